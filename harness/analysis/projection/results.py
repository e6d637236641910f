"""What a projection holds: always grade D, a model and no measurement."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from harness.analysis.projection.assumptions import SOURCES, Assumptions
from harness.analysis.projection.batches import Sweep
from harness.analysis.projection.checks import PublicCheck
from harness.analysis.projection.constants import DecodeConstants
from harness.analysis.projection.decode import DecodeStep
from harness.analysis.projection.hardware import Card
from harness.analysis.projection.pairs import Pair
from harness.analysis.projection.requests import TaskProjection
from harness.analysis.projection.sensitivity import SensitivityRow
from harness.analysis.projection.training import TrainingComparison

LABEL = "projected, grade D: a model, not a measurement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One model, as it was counted; `cache_bytes` is of one sequence at the projection's context."""

    name: str
    model_type: str
    total_params: int
    active_params: int
    weights: str
    weight_bytes: int
    cache_dtype: str
    cache_bytes: int
    max_context: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    """Both decode steps at one batch; `ratio` is sparse-expert over dense in joules per token.

    `ratio_uncapped` leaves the power limit out. `interval` is the fit's model error, ``None`` where the constants say
    why.
    """

    batch: int
    ratio: float
    ratio_uncapped: float
    interval: tuple[float, float] | None
    dense: DecodeStep
    moe: DecodeStep


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualPrecision:
    """The same comparison with both models' weights in `dtype`: what is left when precision does not differ."""

    dtype: str
    ratios: tuple[float, ...]
    sweep: Sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightCriterion:
    """Dense over sparse-expert parameters: q (dense / active) times s (active / total).

    Below 1 the sparse-expert model reads more weights once its batch touches every expert.
    """

    q: float
    s: float
    qs: float
    weight_bytes_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A whole projection of one pair on one card.

    `checks` put others' measurements of the pair beside the projection; none where none is known on this card.
    `equal_precision` is there where the two models' weights differ in precision; its ratios are in the rows' order.
    """

    dense: Side
    moe: Side
    card: Card
    constants: DecodeConstants
    assumptions: Assumptions
    context: int
    rows: tuple[BatchRow, ...]
    sensitivity: tuple[SensitivityRow, ...]
    sweep: Sweep
    equal_precision: EqualPrecision | None
    criterion: WeightCriterion
    checks: tuple[PublicCheck, ...]
    task: TaskProjection | None
    training: TrainingComparison | None
    training_reason: str | None
    pair: Pair | None
    notes: tuple[str, ...]
    kind: Literal["projected"] = "projected"
    grade: Literal["D"] = "D"


def projection_to_json(projection: Projection) -> dict[str, Any]:
    """Return the projection as plain data, with its label and the source of every figure and assumption."""
    plain = {field.name: getattr(projection, field.name) for field in dataclasses.fields(projection)}
    plain["card"] = projection.card.model_dump()
    plain["pair"] = None if projection.pair is None else projection.pair.model_dump()
    for name, value in plain.items():
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            plain[name] = dataclasses.asdict(value)
        elif name in ("rows", "sensitivity", "checks"):
            plain[name] = [dataclasses.asdict(row) for row in value]
    plain["assumption_sources"] = SOURCES
    return {"grade": plain.pop("grade"), "kind": plain.pop("kind"), "label": LABEL, **plain}
