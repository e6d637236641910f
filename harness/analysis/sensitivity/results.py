"""What an analysis of sensitivity says (types only)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.analysis.results import Interval
from harness.analysis.verdicts import ClaimMetric, VerdictWord
from harness.core.readings import Grade

Group = Literal["idle power", "energy boundary", "FLOP convention", "matched loss", "one seed less", "one repeat less"]
Change = Literal["yes", "no", "not judged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimChange:
    """One claim's verdict in the study and under an alternative; ``None`` and ``not judged`` where that gives none."""

    claim_id: str
    before: VerdictWord
    after: VerdictWord | None
    changes: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class SensitivityRow:
    """One headline ratio (candidate over baseline) under one alternative, all else as in the study.

    `headline` is the study's own ratio and `change` is ratio / headline - 1. `loss` is where it was read off, in bits
    per byte. A ratio that cannot be computed exactly from the records is ``None`` with a `reason`.
    """

    group: Group
    alternative: str
    metric: ClaimMetric
    ratio: float | None
    interval: Interval | None
    n: int
    grade: Grade | None
    simulated: bool
    headline: float | None
    change: float | None
    loss: float | None
    claims: tuple[ClaimChange, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """How far a claim is from turning: `factor` times its ratio would lie exactly at the claim's limit.

    `interval_factor` is the same for the end of the interval that decides. ``None`` with a `reason` without a ratio
    that the claim was judged on.
    """

    claim_id: str
    statement: str
    verdict: VerdictWord
    limit: float
    ratio: float | None
    factor: float | None
    interval_factor: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A year's mean of greenhouse gases of an electricity grid, in grams of CO2 equivalent per kilowatt-hour."""

    id: str
    name: str
    g_per_kwh: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Emissions:
    """Energy of one thing for one arm in joules, inside the headline boundary, and what it is in other terms.

    `joules_at_pue` multiplies it by the power usage effectiveness of a building; `grams_at_grid` holds grams of CO2
    equivalent at a PUE of 1, by grid. All of them carry the grade of the energy and are ``None`` where it is unknown.
    """

    quantity: str
    arm: str
    energy_j: float | None
    grade: Grade | None
    simulated: bool
    joules_at_pue: tuple[tuple[float, float | None], ...]
    grams_at_grid: tuple[tuple[str, float | None], ...]
    run_ids: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """All alternatives of one study; `reason` says why there are none."""

    rows: tuple[SensitivityRow, ...]
    distances: tuple[Distance, ...]
    emissions: tuple[Emissions, ...]
    grids: tuple[Grid, ...]
    reason: str | None = None

    @property
    def overturned(self) -> tuple[SensitivityRow, ...]:
        """Rows under which the verdict of some claim would change."""
        return tuple(row for row in self.rows if any(claim.changes == "yes" for claim in row.claims))
