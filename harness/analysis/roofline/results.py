"""What a fit of a step's energy says, and what its constants predict of another arm (types only)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from harness.analysis.results import Interval
from harness.analysis.stats import Estimate
from harness.core.inference import Regime
from harness.core.readings import Grade

Phase = Literal["prefill", "decode"]
Term = Literal["j_per_step", "j_per_byte", "j_per_flop"]
PHASES: tuple[Phase, ...] = ("prefill", "decode")
TERMS: tuple[Term, ...] = ("j_per_step", "j_per_byte", "j_per_flop")


class ObservedRun(NamedTuple):
    """A run that windows are of."""

    run_id: str
    arm: str
    size: str
    seed: int


class ObservedBoundary(NamedTuple):
    """What the energy of windows covers and how far it is trusted; `num_gpus` counts its accelerators."""

    domains: tuple[str, ...]
    grade: Grade
    simulated: bool
    num_gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """How many windows of an arm and phase are no observation, and why."""

    arm: str
    phase: Phase
    reason: str
    num_windows: int
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """One constant in joules per step, byte or FLOP; `at_bound` where the fit holds it at 0.

    `reason` says why there is no interval.
    """

    value: float
    interval: Interval | None
    at_bound: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFit:
    """The energy of one arm's steps in one phase: ``j_per_step + j_per_byte * bytes + j_per_flop * FLOPs``.

    `constants` is ``None`` where they are unknown, with the `reason`. `rms` is that of predicted over measured less 1,
    `held_out_rms` the same for workloads that the fit did not see, each weighing the same. `own_ratio` is the geometric
    mean of measured over predicted on the fit's own windows: how far from 1 the weighting alone leaves it.
    `num_regimes` counts regimes (of one size), `num_workloads` those that differ in work. `condition` is the condition
    number of the scaled design, `correlation` that of bytes and FLOPs, `mixed` the constants that are not told apart.
    """

    phase: Phase
    arm: str
    constants: dict[Term, Constant] | None
    rms: float | None
    held_out_rms: float | None
    own_ratio: float | None
    condition: float | None
    correlation: float | None
    mixed: tuple[Term, ...]
    num_observations: int
    num_runs: int
    num_regimes: int
    num_workloads: int
    num_capped: int
    domains: tuple[str, ...]
    grade: Grade | None
    simulated: bool
    run_ids: tuple[str, ...]
    reason: str | None = None

    @property
    def word(self) -> str:
        """Return what kind of energy was fitted: simulated, modelled, measured or unknown."""
        return energy_word(self.grade, self.simulated)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedRegime:
    """One size and regime of the candidate: joules of a step, measured and predicted, and their ratio over seeds."""

    size: str
    regime: Regime
    measured_j: Estimate
    predicted_j: float
    ratio: Estimate
    num_observations: int
    num_capped: int
    grade: Grade
    simulated: bool
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The candidate's steps as the baseline's constants predict them; every number here is projected.

    `ratio` is the geometric mean of measured over predicted, each regime weighing the same, with its interval over
    seeds; it does not hold the error of the constants. `ratio_range` does in part: lowest and highest over all sets of
    constants that fit the baseline about as well (``None`` where there is no ratio). `overhead` is the factor on bytes
    and FLOPs, not on the step, that makes the ratio 1 without the power limit: the projection's ``expert_overhead``.
    `work_share` is the share of the predicted joules that it multiplies. `rms` is that of predicted over measured less
    1, `overhead_rms` what is left of it with the overhead, `scaled_rms` with the whole step times `ratio`: which of the
    two is smaller says which form the loss has. `within` is the share of observations whose
    relative error is no larger than the fit's `held_out_rms`; `num_outside` counts observations with more bytes or
    FLOPs, or fewer, than any that the constants were fitted on.
    """

    phase: Phase
    baseline_arm: str
    candidate_arm: str
    regimes: tuple[PredictedRegime, ...]
    ratio: Estimate
    ratio_range: tuple[float, float] | None
    overhead: Estimate
    work_share: float | None
    rms: float | None
    scaled_rms: float | None
    overhead_rms: float | None
    within: float | None
    num_observations: int
    num_capped: int
    num_outside: int
    grade: Grade | None
    simulated: bool
    run_ids: tuple[str, ...]
    finding: str
    reason: str | None = None

    @property
    def word(self) -> str:
        """Return what kind of energy both sides have: simulated, modelled, measured or unknown."""
        return energy_word(self.grade, self.simulated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roofline:
    """The fits of both arms and what the baseline's predicts of the candidate, phase by phase.

    `device` is the measured device's name as records have it; `power_limit_w` the limit of one card that caps
    predictions, ``None`` where none was named, with `power_limit_note`. `num_in_sweeps` counts observations of a sweep.
    """

    study: str
    baseline_arm: str
    candidate_arm: str
    device: str | None
    power_limit_w: float | None
    power_limit_note: str
    fits: tuple[StepFit, ...]
    predictions: tuple[Prediction, ...]
    left_out: tuple[LeftOut, ...]
    num_observations: int
    num_in_sweeps: int
    energy: Literal["gross"] = "gross"

    def fit_of(self, arm: str, phase: Phase) -> StepFit:
        """Return the fit of an arm of the pair in a phase."""
        return next(fit for fit in self.fits if (fit.arm, fit.phase) == (arm, phase))


def energy_word(grade: Grade | None, simulated: bool) -> str:
    """Return what kind of energy this is: simulated, modelled, measured or unknown."""
    if simulated:
        return "simulated"
    if grade is None:
        return "unknown"
    return "modelled" if grade in ("C", "D") else "measured"
