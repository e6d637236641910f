"""What a task costs an arm over its repeats, and the ratio of two arms in each unit, with intervals."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

from harness.analysis.correct import explain_few_correct
from harness.analysis.inference.answered import Answered
from harness.analysis.inference.results import ArmCost
from harness.analysis.results import Interval, TaskMetric, TaskRatio
from harness.analysis.stats import NORMAL_95, Estimate, Pairing, estimate_mean, estimate_ratio_of, floor_at_zero
from harness.core.readings import Grade, worst_grade

RATIO_METRICS: tuple[TaskMetric, ...] = (
    "energy_per_task",
    "energy_per_token",
    "energy_per_byte",
    "energy_per_correct",
    "net_energy_per_task",
    "seconds_per_task",
    "flops_per_task",
)
METHOD = "t over repeats"
ONE_REPEAT = "one repeat gives no interval"
NO_RATIO = "one repeat: no interval, so no number"


def summarise_arm(arm: str, found: Sequence[Answered]) -> ArmCost:
    """Return what a task costs one arm over its repeats (`found`), each figure with its interval."""
    figures: dict[str, Estimate] = {}
    for metric in RATIO_METRICS:
        values = [_cost(one, metric) for one in found]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            figures[metric] = Estimate(value=None, interval=None, n=0, reason=f"{metric} is unknown in some repeat")
            continue
        estimate = estimate_mean(known, method=METHOD)
        estimate = estimate if metric == "net_energy_per_task" else floor_at_zero(estimate)
        reason = ONE_REPEAT if estimate.n == 1 else estimate.reason
        figures[metric] = Estimate(value=estimate.value, interval=estimate.interval, n=estimate.n, reason=reason)
    short = _too_few_correct(found)
    figures["energy_per_correct"] = _with_accuracy_error(figures["energy_per_correct"], [found])
    if short:
        figures["energy_per_correct"] = Estimate(value=None, interval=None, n=0, reason=short)
    grades: list[Grade] = [one.grade for one in found if one.grade is not None]
    return ArmCost(
        arm=arm,
        figures=figures,
        tokens_per_task=_mean([one.tokens for one in found]),
        bytes_per_answer=_mean([one.bytes for one in found]),
        accuracy=_mean([one.accuracy for one in found]),
        # the same questions again are no new evidence: the error is that of one repeat
        accuracy_stderr=_mean([one.accuracy_stderr for one in found]),
        num_examples=max((one.num_examples for one in found), default=0),
        num_correct=round(statistics.fmean(one.num_correct for one in found)) if found else 0,
        grade=worst_grade(*grades) if grades else None,
        simulated=any(one.simulated for one in found),
        run_ids=tuple(sorted(one.run_id for one in found)),
    )


def compare_cost(
    metric: TaskMetric,
    found: Sequence[Sequence[Answered]],
    costs: Sequence[ArmCost],
    pairing: Pairing,
    mixed: bool,
) -> TaskRatio:
    """Return candidate over baseline in one unit; `found` are the repeats of either side, `costs` their sums.

    `mixed` says that the energies cover different domains, so that they do not compare.
    """
    energetic = "energy" in metric
    reason = None
    if energetic and mixed:
        reason = "the runs differ in which domains their energy covers, so it does not compare"
    elif metric == "energy_per_correct":
        short = [f"{cost.arm}: {why}" for cost, own in zip(costs, found, strict=True) if (why := _too_few_correct(own))]
        reason = "; ".join(short) or None
    sides = [[_cost(one, metric) for one in own] for own in found]
    known = [[value for value in side if value is not None and value > 0 and math.isfinite(value)] for side in sides]
    if reason is None and any(len(side) < len(found[0]) for side in known):
        reason = f"{metric} is unknown or not above zero in some repeat"
    estimate = estimate_ratio_of(known[1], known[0], pairing) if reason is None else None
    if estimate is not None and metric == "energy_per_correct":
        estimate = _with_accuracy_error(estimate, found)
    if estimate is not None and estimate.n == 1:
        reason = NO_RATIO
    grades: list[Grade] = [cost.grade for cost in costs if cost.grade is not None]
    interval = estimate.interval if estimate else None
    if interval is not None:
        interval = dataclasses.replace(interval, method=interval.method.replace("over seeds", "over repeats"))
    return TaskRatio(
        metric=metric,
        estimate=estimate.value if estimate else None,
        interval=interval,
        n=estimate.n if estimate else 0,
        grade=worst_grade(*grades) if energetic and grades else None,
        run_ids=tuple(sorted({*costs[0].run_ids, *costs[1].run_ids})),
        reason=reason or (estimate.reason if estimate else None),
    )


def _cost(one: Answered, metric: TaskMetric) -> float | None:
    energy = one.energy_j
    per = {"energy_per_token": one.tokens, "energy_per_byte": one.bytes, "energy_per_correct": one.accuracy}
    if metric in per:
        amount = per[metric]
        return energy / amount if energy is not None and amount else None
    values = {
        "energy_per_task": energy,
        "net_energy_per_task": one.net_energy_j,
        "seconds_per_task": one.seconds,
        "flops_per_task": one.flops,
    }
    return values[metric]


def _with_accuracy_error(estimate: Estimate, sides: Sequence[Sequence[Answered]]) -> Estimate:
    """Return the estimate with the binomial error of the accuracies in its interval, joined on the logarithm.

    Repeats ask the same questions, so their spread says nothing about other questions. The errors of both sides count
    as independent, which is the careful way for answers to the same questions.
    """
    interval = estimate.interval
    errors = [(_mean([one.accuracy_stderr for one in own]), _mean([one.accuracy for one in own])) for own in sides]
    known = [error / accuracy for error, accuracy in errors if error is not None and accuracy]
    if interval is None or estimate.value is None or estimate.value <= 0:
        return estimate
    if len(known) < len(errors):
        return Estimate(value=estimate.value, interval=None, n=estimate.n, reason="no error of the accuracy is known")
    half = NORMAL_95 * math.hypot(*known)
    high = math.log(interval.high / estimate.value)
    # an end that was cut off at 0 has no logarithm, and nothing lies below it
    low = math.exp(-math.hypot(math.log(interval.low / estimate.value), half)) if interval.low > 0 else 0.0
    widened = Interval(
        low=estimate.value * low,
        high=estimate.value * math.exp(math.hypot(high, half)),
        level=interval.level,
        method=f"{interval.method}, with the binomial error of the accuracy",
    )
    return Estimate(value=estimate.value, interval=widened, n=estimate.n)


def _too_few_correct(found: Sequence[Answered]) -> str | None:
    """Return why there is no energy per correct answer: distinct questions count, not repeats of them."""
    return explain_few_correct(min((one.num_correct for one in found), default=0))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if values and len(known) == len(values) else None
