"""What the records of inference say: figures per regime, views, accuracy by example, arms and ratios (types only)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.analysis.device_joules import ArmDevices
from harness.analysis.inference.figures import Metric, RepeatedFigures
from harness.analysis.results import Check, Interval, TaskRatio
from harness.analysis.stats import Estimate
from harness.core.inference import Regime
from harness.core.readings import Finding, Grade

View = Literal["equal_batch", "equal_latency", "own_best"]
AnswerLength = Literal["fixed", "free"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeCost:
    """One run in one regime: every figure with its interval over repetitions, or the reason why there is none."""

    run_id: str
    arm: str
    size: str
    seed: int
    regime: Regime
    figures: RepeatedFigures
    num_repetitions: int
    grade: Grade | None
    domains: tuple[str, ...]
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRegime:
    """One arm and size in one regime: means over its seeds with their interval, or one run's over its repetitions.

    Runs of one seed (budgets around the matched loss) are one sample: their mean, weighted as the comparison weighs
    them.
    """

    arm: str
    size: str
    regime: Regime
    figures: dict[Metric, Estimate]
    num_runs: int
    grade: Grade | None
    simulated: bool
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KindScore:
    """How well one arm and size answered one kind of task, a mean over its seeds; repeats are no new evidence.

    `num_asked` counts distinct questions of one run, `accuracy_stderr` is the binomial error of one run (of the runs'
    mean), and `chance` what blind answers would reach.
    """

    arm: str
    size: str
    kind: str
    accuracy: float | None
    accuracy_stderr: float | None
    chance: float | None
    num_asked: int
    num_runs: int
    run_ids: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Additivity:
    """Whether prefill and decode add up to the whole ``generate`` window, in joules per task.

    The half-widths hold what the windows' edges leave open and the spread over repetitions (95%, in quadrature);
    `gap_j` is the sum less the whole. ``unknown`` where neither is known, or where together they are more than half of
    the whole, so that no sum could fail.
    """

    run_id: str
    regime: Regime
    parts_j: float | None
    parts_half_j: float | None
    whole_j: float | None
    whole_half_j: float | None
    gap_j: float | None
    relative_gap: float | None
    outcome: Literal["pass", "fail", "unknown"]
    text: str
    grade: Grade | None
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRow:
    """Candidate over baseline for one workload of the sweep: the same prompt, the same limit on the answer.

    `batches` and `values` are by arm; a batch is ``None`` where no regime of that arm qualifies, and `reason` says so.
    """

    view: View
    metric: Metric
    answer_length: AnswerLength
    num_input_tokens: int | None
    num_output_tokens: int | None
    batches: dict[str, int | None]
    values: dict[str, float | None]
    ratio: Estimate
    grade: Grade | None
    simulated: bool
    run_ids: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """The three views over one sweep; `max_ttft_s` and `max_itl_s` are the limits of the view at equal latency."""

    baseline_arm: str
    candidate_arm: str
    max_ttft_s: float | None
    max_itl_s: float | None
    rows: tuple[ViewRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyDifference:
    """Candidate less baseline in accuracy (a share), paired by example; each kind weighs the same.

    `interval` is at level 1 - 2 alpha. ``equivalent``: it lies inside the margin. `non_inferior`: its lower end is
    above -margin. `not_superior`: its upper end is below the margin. Repeats of a greedy answer are no new evidence, so
    `num_examples` counts distinct examples. `power` is the chance to find equivalence if the true difference is 0, at
    the spread seen; `num_examples_needed` what 80% of power would need.
    """

    what: str
    difference: float | None
    interval: Interval | None
    margin: float | None
    outcome: Literal["equivalent", "different", "inconclusive", "unknown"]
    non_inferior: bool | None
    not_superior: bool | None
    p_value: float | None
    power: float | None
    num_examples: int
    num_examples_needed: int | None
    num_failed: int
    run_ids: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmCost:
    """What a task (of one kind, or of the whole suite) costs one arm, each figure with its interval over repeats.

    Figures are named as in `TaskRatio`; `tokens_per_task` and `bytes_per_answer` say how long its answers are.
    """

    arm: str
    figures: dict[str, Estimate]
    tokens_per_task: float | None
    bytes_per_answer: float | None
    accuracy: float | None
    accuracy_stderr: float | None
    num_examples: int
    num_correct: int
    grade: Grade | None
    simulated: bool
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KindCost:
    """One kind of task in an inference study; `kind` is ``suite`` for all of them together."""

    kind: str
    chance: float | None
    arms: tuple[ArmCost, ...]
    ratios: tuple[TaskRatio, ...]
    accuracy: AccuracyDifference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceResult:
    """Two models or servers that were not trained here, held against each other on the same questions.

    `free` holds the same costs where answers ended where they ended, the suite first, in studies that measured both.
    `families` maps an arm to ``("dense",)`` or ``("sparse",)`` where its parameters are known, `boundaries` lists the
    domains that the energy covers.
    """

    study: str
    baseline_arm: str
    candidate_arm: str
    rule: str
    suite: KindCost | None
    kinds: tuple[KindCost, ...]
    families: dict[str, tuple[str, ...]]
    boundaries: tuple[tuple[str, ...], ...]
    grades: tuple[Grade | None, ...]
    num_runs: int
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    excluded: tuple[tuple[str, str], ...]
    margin_accuracy: float | None
    reason: str | None = None
    free: tuple[KindCost, ...] = ()
    task_devices: tuple[ArmDevices, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRouting:
    """Whom one kind of task used in one arm and size, means over its seeds.

    `share_for_90` is the smallest share of a layer's experts that carries 90% of the kind's choices (a mean over
    layers; about 0.9 where the load is even), with its interval over seeds; `active_share` the
    parameters that a token used over all.
    """

    arm: str
    size: str
    kind: str
    num_runs: int
    num_tokens: int
    num_experts: int
    mean_entropy: float
    share_for_90: float
    active_share: float
    active_params_per_token: float
    total_params: int
    run_ids: tuple[str, ...]
    share_for_90_interval: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KindOverlap:
    """How alike two kinds are in the experts they use: 1 - total variation of their loads, a mean over layers.

    1: the same shares of the same experts; 0: no expert in common. `overlap` is a mean over seeds with its interval.
    """

    arm: str
    size: str
    kinds: tuple[str, str]
    overlap: Estimate
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Distinct experts that a decode step touched, a mean over an arm's seeds, beside what two formulas expect."""

    arm: str
    size: str
    kind: str
    batch_size: int
    num_experts: int
    top_k: int
    measured: Estimate
    expected_even: float
    expected_load: float
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSide:
    """What one arm's server did under load, means over repeats with their intervals.

    `figures` maps names such as ``ttft_p50_s``, ``goodput_per_s``, ``j_per_request`` and ``steady_j_per_request``;
    `failures` counts causes over all repeats.
    """

    arm: str
    server_model: str
    api: str
    load: str
    num_sent: int
    num_answered: int
    num_failed: int
    num_retries: int
    failures: dict[str, int]
    token_source: str
    figures: dict[str, Estimate]
    grade: Grade | None
    simulated: bool
    additivity_text: str
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceDetail:
    """What single runs say of inference, whatever the study: regimes, sums, views, experts by task, servers.

    `matched_loss` is that of the study, where all is read off at it as the costs of tasks are; else runs of one arm and
    seed weigh the same.
    """

    matched_loss: float | None = None
    regimes: tuple[RegimeCost, ...] = ()
    arm_regimes: tuple[ArmRegime, ...] = ()
    scores: tuple[KindScore, ...] = ()
    additivity: tuple[Additivity, ...] = ()
    views: Views | None = None
    routing: tuple[KindRouting, ...] = ()
    overlaps: tuple[KindOverlap, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    serving: tuple[ServingSide, ...] = ()
