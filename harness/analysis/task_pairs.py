"""Pairs of models that a suite of tasks is compared on: many share a loss, and the ratio depends on which are picked.

The compute-optimal pair at the matched loss is the headline. Beside it stand the pair trained on equally many tokens
and the pair of equally many active parameters that come nearest to that loss, each with what remains unequal.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from harness.analysis.axes import SAME_PARAMS, SAME_TOKENS, is_near, list_cells
from harness.analysis.multipliers import Pair
from harness.analysis.results import FrontierPoint, PairCode, TaskPair
from harness.analysis.stats import Estimate, estimate_difference
from harness.analysis.task_costs import read_accuracy
from harness.analysis.tasks import Chosen, choose_runs, compare_chosen
from harness.core.records import RunRecord

Cell = list[FrontierPoint]


def compare_pairs(pair: Pair, records: Mapping[str, RunRecord], loss: float) -> tuple[TaskPair, ...]:
    """Return the compute-optimal pair at `loss` (bits per byte), then those of equal tokens and active parameters."""
    chosen = choose_runs(pair, loss)
    pairs = []
    if chosen is not None:
        sizes = " and ".join(f"{arm} {chosen[arm][0]}" for arm in pair.arms)
        pairs.append(
            _build(
                "compute_optimal",
                "Compute-optimal at the matched loss",
                f"{sizes}, {loss:.4g} bits per byte",
                pair,
                records,
                chosen,
            )
        )
    pairs.append(
        _nearest(
            "equal_tokens",
            "Equal training tokens, nearest to that loss",
            pair,
            records,
            loss,
            lambda ours, theirs: is_near(ours.tokens, theirs.tokens, SAME_TOKENS),
        )
    )
    pairs.append(
        _nearest(
            "equal_active_params",
            "Equal active parameters, nearest to that loss",
            pair,
            records,
            loss,
            lambda ours, theirs: (
                ours.active_params is not None
                and theirs.active_params is not None
                and is_near(ours.active_params, theirs.active_params, SAME_PARAMS)
            ),
        )
    )
    return tuple(pairs)


def _nearest(  # noqa: PLR0917 - one call for each way of being equal
    code: PairCode,
    title: str,
    pair: Pair,
    records: Mapping[str, RunRecord],
    loss: float,
    agree: Callable[[FrontierPoint, FrontierPoint], bool],
) -> TaskPair:
    """Return the two cells that agree and together lie nearest to `loss`; of equally near ones the larger budgets."""
    cells = {arm: list_cells(pair, arm) for arm in pair.arms}
    found = [
        (ours, theirs) for ours in cells[pair.baseline] for theirs in cells[pair.candidate] if agree(ours[0], theirs[0])
    ]
    if not found:
        return TaskPair(
            code=code,
            title=title,
            at="",
            arm_tasks=(),
            task_ratios=(),
            loss_gap=None,
            loss_interval=None,
            accuracy_gap=None,
            accuracy_interval=None,
            n=0,
            run_ids=(),
            reason=f"no models of {pair.baseline} and {pair.candidate} agree in it in every seed",
        )
    best = min(found, key=lambda cells: (_distance(cells, loss), -cells[0][0].tokens, -cells[1][0].tokens))
    chosen: dict[str, Chosen] = {
        arm: (cell[0].size, {seed: [(point, 1.0)] for seed, point in zip(pair.seeds, cell, strict=True)})
        for arm, cell in zip(pair.arms, best, strict=True)
    }
    at = " and ".join(
        f"{arm} {cell[0].size} after {cell[0].tokens:.3g} tokens" for arm, cell in zip(pair.arms, best, strict=True)
    )
    return _build(code, title, at, pair, records, chosen)


def _distance(cells: tuple[Cell, Cell], loss: float) -> float:
    return sum(abs(statistics.fmean(point.loss for point in cell) - loss) for cell in cells)


def _build(  # noqa: PLR0917 - the parts of one row
    code: PairCode, title: str, at: str, pair: Pair, records: Mapping[str, RunRecord], chosen: Mapping[str, Chosen]
) -> TaskPair:
    tasks, ratios = compare_chosen(pair, records, chosen)
    losses = [_by_seed(pair, chosen[arm], lambda point: point.loss) for arm in pair.arms]
    accuracies = [_by_seed(pair, chosen[arm], lambda point: read_accuracy(records[point.run_id])) for arm in pair.arms]
    loss_gap = _difference(losses, pair)
    accuracy_gap = _difference(accuracies, pair)
    return TaskPair(
        code=code,
        title=title,
        at=at,
        arm_tasks=tasks,
        task_ratios=ratios,
        loss_gap=loss_gap.value if loss_gap else None,
        loss_interval=loss_gap.interval if loss_gap else None,
        accuracy_gap=accuracy_gap.value if accuracy_gap else None,
        accuracy_interval=accuracy_gap.interval if accuracy_gap else None,
        n=len(pair.seeds),
        run_ids=tuple(sorted({run_id for task in tasks for run_id in task.run_ids})),
    )


def _by_seed(pair: Pair, chosen: Chosen, read: Callable[[FrontierPoint], float | None]) -> list[float | None]:
    values: list[float | None] = []
    for seed in pair.seeds:
        known = [(read(point), weight) for point, weight in chosen[1][seed]]
        complete = known and all(value is not None for value, _ in known)
        values.append(sum(v * w for v, w in known if v is not None) if complete else None)
    return values


def _difference(sides: Sequence[Sequence[float | None]], pair: Pair) -> Estimate | None:
    known = [[value for value in side if value is not None] for side in sides]
    if any(len(side) < len(pair.seeds) for side in known):
        return None
    return estimate_difference(known[0], known[1], pair.pairing)
