"""What the marks of loss against cost stand for: runs, or the seeds of a cell together where runs are many."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.analysis.results import FrontierPoint
from harness.analysis.stats import Estimate, estimate_mean

Cost = Callable[[FrontierPoint], float | None]
MAX_RUNS = 120
MAX_CELLS = 150
MAX_LISTED = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One mark and its row: a run, or all seeds of one arm, size and budget (`points`).

    `cost` and `loss` are means over the seeds, `losses` the lowest and the highest seed; `estimate` is the mean loss
    with its interval. `cost` is ``None`` where a run of the cell has none.
    """

    arm: str
    size: str
    tokens: int
    points: tuple[FrontierPoint, ...]
    cost: float | None
    loss: float
    losses: tuple[float, float]
    estimate: Estimate

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs that the mark stands for."""
        return tuple(point.run_id for point in self.points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The rows of the table in its order, and the places in it of those that are drawn.

    `pooled` says that each stands for the seeds of a cell; `num_all` counts what there is before any selection.
    """

    rows: tuple[Mark, ...]
    drawn: tuple[int, ...]
    pooled: bool
    num_all: int

    @property
    def note(self) -> str:
        """What a reader must know of the selection, or an empty string."""
        unknown = f"of {self.num_all} cells drawn"
        if len(self.rows) < self.num_all:
            return f"{len(self.drawn)} {unknown} and listed, evenly chosen; every run stands in the table of runs."
        if self.pooled and self.num_all > MAX_CELLS:
            return f"{len(self.drawn)} {unknown}, evenly chosen; all are in the table."
        return ""


def gather_marks(points: Sequence[FrontierPoint], cost: Cost) -> Marks:
    """Return one mark a run up to `MAX_RUNS` runs, else one a cell of arm, size and tokens, at most `MAX_CELLS` drawn.

    Marks without a cost stand in the table and are not drawn.
    """
    if len(points) <= MAX_RUNS:
        rows = [_mark([point], cost) for point in sorted(points, key=lambda point: point.run_id)]
        return Marks(rows=tuple(rows), drawn=_drawable(rows), pooled=False, num_all=len(rows))
    ordered = sorted(points, key=lambda point: (point.arm, point.size, point.tokens, point.seed, point.run_id))
    cells = itertools.groupby(ordered, key=lambda point: (point.arm, point.size, point.tokens))
    rows = [_mark(list(found), cost) for _, found in cells]
    everything = len(rows)
    if everything > MAX_LISTED:
        rows = [rows[place] for place in pick_evenly(_drawable(rows), MAX_CELLS)]
    return Marks(rows=tuple(rows), drawn=pick_evenly(_drawable(rows), MAX_CELLS), pooled=True, num_all=everything)


def pick_evenly(values: Sequence[int], limit: int) -> tuple[int, ...]:
    """Return at most `limit` of `values` at even steps, the first and the last among them."""
    if len(values) <= limit:
        return tuple(values)
    return tuple(values[round(i * (len(values) - 1) / (limit - 1))] for i in range(limit))


def _drawable(rows: Sequence[Mark]) -> tuple[int, ...]:
    return tuple(place for place, row in enumerate(rows) if row.cost is not None and row.cost > 0)


def _mark(points: list[FrontierPoint], cost: Cost) -> Mark:
    costs = [cost(point) for point in points]
    known = [value for value in costs if value is not None]
    losses = [point.loss for point in points]
    return Mark(
        arm=points[0].arm,
        size=points[0].size,
        tokens=points[0].tokens,
        points=tuple(points),
        cost=statistics.fmean(known) if len(known) == len(costs) else None,
        loss=statistics.fmean(losses),
        losses=(min(losses), max(losses)),
        estimate=estimate_mean(losses, method="t over seeds"),
    )
