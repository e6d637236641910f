"""Points that a law is fitted to: one family's sizes, tokens, FLOPs and losses, in an order of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.laws.forms import (
    FLOPS_PER_PARAM_TOKEN,
    LOSS_OF_COMPUTE,
    LOSS_OF_SIZE_AND_TOKENS,
    MIN_LEVELS,
    Form,
)
from harness.analysis.laws.objective import Array
from harness.analysis.results import FrontierPoint

ACTIVE_PARAMS_NOTE = (
    "N = active parameters, embeddings and head included; D = trained tokens; C = counted training FLOPs"
)

# Below a tenth of a per cent tokens follow from params but for rounding.
MIN_SPREAD_OF_SHAPES = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class LawPoints:
    """Points of one family; each array is (n,), and those the form does not need may be ``None``.

    `seeds` are labels; rows of one configuration (the form's columns) with different seeds are its repeats. `trunks`
    label the path that a run branched off: rows of one trunk share its noise and are resampled together.
    """

    family: str | None
    form: Form
    loss: Array
    params: Array | None = None
    tokens: Array | None = None
    flops: Array | None = None
    seeds: tuple[str, ...] | None = None
    trunks: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Put the rows into one order, so that no result depends on the order they came in."""
        keys = [labels for labels in (self.trunks, self.seeds) if labels is not None] + [self.loss]
        keys += [column for column in (self.flops, self.tokens, self.params) if column is not None]
        order = np.lexsort([np.asarray(key) for key in keys])
        for name in ("loss", "params", "tokens", "flops"):
            column = getattr(self, name)
            if column is not None:
                object.__setattr__(self, name, np.asarray(column, dtype=np.float64)[order])
        for name in ("seeds", "trunks"):
            labels = getattr(self, name)
            if labels is not None:
                object.__setattr__(self, name, tuple(labels[i] for i in order))

    def __len__(self) -> int:
        return len(self.loss)

    def column(self, name: str) -> Array:
        """Return the column `name`, which the form needs."""
        column: Array | None = getattr(self, name)
        if column is None:
            raise ValueError(f"these points have no {name}")
        return column

    @property
    def columns(self) -> dict[str, Array]:
        """The columns that the form is a function of."""
        return {name: self.column(name) for name in self.form.columns}

    @property
    def configurations(self) -> np.ndarray:
        """The number (n,) of each row's configuration: rows with equal columns share one."""
        stacked = np.stack([self.columns[name] for name in self.form.columns], axis=1)
        return np.unique(stacked, axis=0, return_inverse=True)[1].reshape(-1)

    @property
    def num_configurations(self) -> int:
        """Distinct configurations."""
        return int(self.configurations.max()) + 1 if len(self) else 0

    @property
    def units(self) -> np.ndarray:
        """The number (n,) of what each row is resampled with: its trunk where trunks are known, else configuration."""
        if self.trunks is None:
            return self.configurations
        return np.unique(np.asarray(self.trunks), return_inverse=True)[1].reshape(-1)

    @property
    def num_units(self) -> int:
        """Units that noise is independent between."""
        return int(self.units.max()) + 1 if len(self) else 0

    @property
    def flops_per_param_token(self) -> float:
        """Return k of C = k N D: the geometric mean over the points where all three are there, else 6."""
        if self.flops is None or self.params is None or self.tokens is None:
            return FLOPS_PER_PARAM_TOKEN
        return float(np.exp(np.mean(np.log(self.flops) - np.log(self.params) - np.log(self.tokens))))

    @property
    def budgets(self) -> Array:
        """Training FLOPs (n,) of each row: given, or k N D."""
        if self.flops is not None:
            return self.flops
        return FLOPS_PER_PARAM_TOKEN * self.column("params") * self.column("tokens")

    @property
    def spread_of_shapes(self) -> float:
        """Standard deviation of ln tokens about its line in ln params; near 0 the two terms cannot be told apart."""
        logs = [np.log(self.column(name)) - np.log(self.column(name)).mean() for name in ("params", "tokens")]
        square = float(logs[0] @ logs[0])
        slope = float(logs[0] @ logs[1]) / square if square > 0 else 0.0
        return float(np.std(logs[1] - slope * logs[0]))

    def select(self, mask: np.ndarray) -> LawPoints:
        """Return the rows where `mask` (n,) is true."""
        kept = np.flatnonzero(mask)
        return LawPoints(
            family=self.family,
            form=self.form,
            loss=self.loss[kept],
            params=None if self.params is None else self.params[kept],
            tokens=None if self.tokens is None else self.tokens[kept],
            flops=None if self.flops is None else self.flops[kept],
            seeds=None if self.seeds is None else tuple(self.seeds[i] for i in kept),
            trunks=None if self.trunks is None else tuple(self.trunks[i] for i in kept),
            notes=self.notes,
        )


def check_enough(points: LawPoints) -> str | None:
    """Return why these points are too few for their form, ``None`` when they are enough."""
    form = points.form
    words = {"params": "sizes (params)", "tokens": "token counts", "flops": "budgets (flops)"}
    for name in form.columns:
        have = len(np.unique(points.column(name)))
        need = MIN_LEVELS if len(form.columns) > 1 else form.min_configurations
        if have < need:
            return f"{form.name} needs at least {need} distinct {words[name]}, and there are {have}"
    if points.num_configurations < form.min_configurations:
        return (
            f"{form.name} needs at least {form.min_configurations} distinct pairs of params and tokens, "
            f"and there are {points.num_configurations}"
        )
    if points.num_units < form.min_configurations:
        return (
            f"{form.name} needs at least {form.min_configurations} trunks, and there are {points.num_units}: budgets "
            "that branch off one path share its noise and count once"
        )
    if len(form.columns) > 1 and points.spread_of_shapes < MIN_SPREAD_OF_SHAPES:
        return (
            f"{form.name} needs tokens that vary at equal params, and here tokens follow from params; "
            "add other budgets or sizes, or leave out params and give flops to fit L(C)"
        )
    if np.ptp(points.loss) <= 0:
        return f"{form.name} needs losses that differ, and all of them are {points.loss[0]:.6g}"
    return None


def points_from_frontier(points: Sequence[FrontierPoint]) -> dict[str, LawPoints | str]:
    """Return each arm's points, or why it has none that a law can be fitted to.

    N is active parameters and D trained tokens, C the counted FLOPs of the whole path; the loss is in bits per byte.
    Budgets of one size and seed branch off one trunk, so they are resampled together.
    """
    found: dict[str, LawPoints | str] = {}
    for arm in dict.fromkeys(point.arm for point in points):
        rows = [point for point in points if point.arm == arm]
        missing = sorted({point.size for point in rows if point.active_params is None})
        if missing:
            found[arm] = f"active parameters are unknown for {', '.join(missing)}"
            continue
        law = LawPoints(
            family=arm,
            form=LOSS_OF_SIZE_AND_TOKENS,
            loss=np.array([point.loss for point in rows]),
            params=np.array([float(point.active_params or 0) for point in rows]),
            tokens=np.array([float(point.tokens) for point in rows]),
            flops=np.array([point.flops for point in rows]),
            seeds=tuple(str(point.seed) for point in rows),
            trunks=tuple(f"{point.size}, seed {point.seed}" for point in rows),
            notes=(ACTIVE_PARAMS_NOTE,),
        )
        found[arm] = check_enough(law) or law
    return found


__all__ = ["LOSS_OF_COMPUTE", "LOSS_OF_SIZE_AND_TOKENS", "LawPoints", "check_enough", "points_from_frontier"]
