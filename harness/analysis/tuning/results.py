"""What a search of learning rate and batch says (types only)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.analysis.results import Check, Interval
from harness.core.readings import Finding, Grade

TrialState = Literal["finished", "diverged", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One rate and batch over all its seeds; loss in bits per byte on held-out text.

    `spread` is the sample standard deviation over seeds, ``None`` for one. Costs are sums over the seeds, ``None`` as
    soon as one is unknown. A trial is ``finished`` only where every seed is; `reason` says why it is not.
    """

    learning_rate: float
    batch_size: int | None
    state: TrialState
    reason: str | None
    losses: tuple[tuple[int, float], ...]
    mean_loss: float | None
    spread: float | None
    tokens: int | None
    flops: float | None
    duration_s: float | None
    energy_j: float | None
    energy_grade: Grade | None
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCost:
    """What training all trials took; a total is ``None`` as soon as one part is unknown, `known_` sums the others.

    `num_unknown` runs have no known cost: a run that failed does not say how far it came.
    """

    num_runs: int
    num_unknown: int
    flops: float | None
    duration_s: float | None
    energy_j: float | None
    energy_grade: Grade | None
    known_flops: float
    known_duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The search of one arm and size.

    `chosen` has the lowest mean loss, ``None`` with a `reason`. `rate_interior` says whether lower and higher rates
    were tried at its batch and judged worse (diverged counts, failed does not), ``None`` where that cannot be told;
    `batch_interior` likewise, and ``None`` where one batch was tried. `gap` is the next best trial's mean loss minus
    the chosen one's, its interval over seeds ``None`` with one seed; `is_clear` says whether that interval lies above
    0.
    """

    arm: str
    size: str
    trials: tuple[Trial, ...]
    chosen: Trial | None
    reason: str | None
    rate_interior: bool | None
    batch_interior: bool | None
    next_best: Trial | None
    gap: float | None
    gap_interval: Interval | None
    is_clear: bool | None
    learning_rates: tuple[float, ...]
    batch_sizes: tuple[int, ...]
    num_seeds: int
    tokens_per_trial: int | None
    flops_per_trial: float | None
    num_missing: int
    cost: SearchCost


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmChoice:
    """One rate and batch for all sizes of an arm: the lowest mean over its sizes, ``None`` with a `reason`."""

    arm: str
    sizes: tuple[str, ...]
    learning_rate: float | None
    batch_size: int | None
    mean_loss: float | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningResult:
    """Everything that the records of a search say."""

    study: str
    command: str | None
    searches: tuple[Search, ...]
    arms: tuple[ArmChoice, ...]
    equal_budgets: Check
    findings: tuple[Finding, ...]
