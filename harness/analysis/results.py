"""What matching says: multipliers, gaps, tests, energy per task and fairness checks (types only)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.core.readings import Finding, Grade

if TYPE_CHECKING:
    from harness.analysis.device_joules import ArmDevices, TaskJoules

Resource = Literal["flops", "energy", "net_energy", "seconds", "tokens", "peak_memory"]
PairCode = Literal["compute_optimal", "equal_tokens", "equal_active_params"]
TaskMetric = Literal[
    "energy_per_task",
    "energy_per_correct",
    "flops_per_task",
    "seconds_per_task",
    "net_energy_per_task",
    "energy_per_token",
    "energy_per_byte",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A confidence interval and how it was made, e.g. ``"paired t on log ratios over seeds"``."""

    low: float
    high: float
    level: float
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """One finished run seen from the frontier: cost of its whole path and the loss it reached (bits per byte)."""

    run_id: str
    arm: str
    size: str
    seed: int
    tokens: int
    loss: float
    flops: float
    seconds: float
    energy_j: float | None
    net_energy_j: float | None
    peak_memory_bytes: float | None
    energy_grade: Grade | None
    energy_domains: tuple[str, ...]
    active_params: int | None
    total_params: int | None
    simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiplier:
    """Baseline cost over candidate cost (above 1: the candidate needs less) at one matched loss.

    `estimate` is ``None`` with a `reason` when it cannot be told; `lower_bound` holds instead when the baseline never
    reached the loss. `edge_arms` names the arms whose cheapest size stands at an edge of their ladder: the value is
    then size-limited, not a frontier's. `sizes` maps an arm to the size that was cheapest there, seed by seed. `band`
    is the wider interval that holds at all losses of a curve at once, where the multiplier is a point of one.
    """

    resource: Resource
    loss: float
    estimate: float | None
    interval: Interval | None
    n: int
    grade: Grade | None
    per_seed: tuple[tuple[int, float], ...]
    sizes: dict[str, tuple[str, ...]]
    edge_arms: tuple[str, ...]
    run_ids: tuple[str, ...]
    lower_bound: float | None = None
    reason: str | None = None
    simulated: bool = False
    band: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetGap:
    """Both arms' best loss at one equal budget: the dual of a `Multiplier`.

    `gap` is baseline loss less candidate loss in bits per byte (above 0: the candidate is better) with its `interval`;
    `losses` are the means over seeds by arm. `better` names the arm whose loss is lower where the interval leaves out
    0, else it is ``None``. `budget` is in FLOPs, joules, seconds, tokens or bytes. For bytes, runs of at most that peak
    memory count, among those that spent no more FLOPs than both arms did; `flops_limit` is that limit.
    """

    resource: Resource
    budget: float
    gap: float | None
    interval: Interval | None
    n: int
    grade: Grade | None
    better: str | None
    losses: dict[str, float]
    per_seed: tuple[tuple[int, float], ...]
    sizes: dict[str, tuple[str, ...]]
    edge_arms: tuple[str, ...]
    run_ids: tuple[str, ...]
    reason: str | None = None
    simulated: bool = False
    flops_limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """Two one-sided t tests (TOST) of whether two arms are equally good, within a margin declared beforehand.

    `difference` is baseline less candidate, `interval` the one at level 1 - 2 alpha that decides: inside the margin the
    arms are ``equivalent``, wholly outside ``different``, else ``inconclusive``; without a margin or seeds ``unknown``.
    `power` is the chance to find equivalence if the true difference is 0, at the spread seen.
    """

    what: str
    unit: str
    outcome: Literal["equivalent", "different", "inconclusive", "unknown"]
    difference: float | None
    interval: Interval | None
    margin: float | None
    p_value: float | None
    power: float | None
    n: int
    run_ids: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One arm at one training budget over its sizes, and whether the best size lies inside the ladder.

    `sizes` holds (size, active parameters, mean loss over seeds), smallest first; parameters are ``None`` where the
    records name none, and `place` is then ``unknown order``. `place` says where the size of the lowest mean loss stands
    in the ladder. `optimum_params` and `optimum_loss` are the minimum of a parabola in log parameters (of a fit to
    noisy means, so a little low) where the best size is ``interior`` and the parabola's minimum is, too.
    """

    arm: str
    budget_flops: float
    sizes: tuple[tuple[str, float | None, float], ...]
    best_size: str
    place: Literal["interior", "lower edge", "upper edge", "too few sizes", "unknown order"]
    optimum_params: float | None
    optimum_loss: float | None
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One of the axes on which two families can be called equal, and how far apart their losses are on it.

    `gap` is baseline loss less candidate loss (above 0: the candidate is better) in bits per byte.
    """

    code: str
    title: str
    at: str
    gap: float | None
    interval: Interval | None
    n: int
    run_ids: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTask:
    """What one task costs one arm at the matched loss: means over seeds of its cheapest size.

    Inside a seed values are interpolated linearly in loss between the runs around the matched loss. `num_tasks` and
    `num_correct` count distinct tasks and answers, summed over runs; repeats inside a window are no new evidence.
    `energy_per_correct_j` is ``None`` with a reason below 30 correct answers.
    """

    arm: str
    size: str
    energy_per_task_j: float | None
    energy_per_correct_j: float | None
    flops_per_task: float | None
    seconds_per_task: float | None
    prefill_energy_per_task_j: float | None
    decode_energy_per_task_j: float | None
    accuracy: float | None
    accuracy_stderr: float | None
    num_tasks: int
    num_correct: int
    loss: float | None
    energy_grade: Grade | None
    run_ids: tuple[str, ...]
    energy_per_correct_reason: str | None = None
    simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRatio:
    """Candidate over baseline for one task (below 1: the candidate needs less), at matched loss."""

    metric: TaskMetric
    estimate: float | None
    interval: Interval | None
    n: int
    grade: Grade | None
    run_ids: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KindTasks:
    """One kind of task of a suite: its cost for each arm and the ratios; `chance` is what blind answers would reach.

    `task_joules` holds gross and net energy with their intervals, in the order of `arm_tasks`.
    """

    kind: str
    arm_tasks: tuple[ArmTask, ...]
    task_ratios: tuple[TaskRatio, ...]
    chance: float | None
    task_joules: tuple[TaskJoules, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPair:
    """Two models that can be called equal, what a task costs each, and what is unequal about them all the same.

    `loss_gap` (bits per byte) and `accuracy_gap` (a share) are baseline less candidate with their intervals over seeds.
    ``None`` with a `reason` where no two models agree in what `code` asks for.
    """

    code: PairCode
    title: str
    at: str
    arm_tasks: tuple[ArmTask, ...]
    task_ratios: tuple[TaskRatio, ...]
    loss_gap: float | None
    loss_interval: Interval | None
    accuracy_gap: float | None
    accuracy_interval: Interval | None
    n: int
    run_ids: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One fairness check over the records.

    A failing check turns a directional verdict into *inconclusive*, unless `blocking` is false (it only discloses) or
    `energy_only` is true and the claim is about counted operations.
    """

    code: str
    title: str
    outcome: Literal["pass", "fail", "unknown"]
    text: str
    blocking: bool = True
    energy_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyMatch:
    """The same comparison matched by the error rate of the task (1 - accuracy) in place of the loss.

    `error_rate` is the lowest that both arms reached in every seed, ``None`` with a `reason`.
    """

    error_rate: float | None
    common: tuple[float, float] | None
    headline: tuple[Multiplier, ...]
    arm_tasks: tuple[ArmTask, ...]
    task_ratios: tuple[TaskRatio, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchResult:
    """Everything that matching says about one study."""

    study: str
    baseline_arm: str
    candidate_arm: str
    rule: str
    matched_loss: float | None
    matched_loss_reason: str | None
    common_losses: tuple[float, float] | None
    curve: tuple[Multiplier, ...]
    headline: tuple[Multiplier, ...]
    points: tuple[FrontierPoint, ...]
    arm_tasks: tuple[ArmTask, ...]
    task_ratios: tuple[TaskRatio, ...]
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    excluded: tuple[tuple[str, str], ...]
    budget_gaps: tuple[BudgetGap, ...] = ()
    equivalence: tuple[Equivalence, ...] = ()
    accuracy: AccuracyMatch | None = None
    slices: tuple[Slice, ...] = ()
    axes: tuple[Axis, ...] = ()
    decay: float | None = None
    kinds: tuple[KindTasks, ...] = ()
    task_pairs: tuple[TaskPair, ...] = ()
    task_devices: tuple[ArmDevices, ...] = ()
