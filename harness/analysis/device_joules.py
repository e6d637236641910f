"""Joules of a task by device, with intervals: what devices cost an arm, and how means over runs are made of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.results import Interval
from harness.analysis.stats import NORMAL_95, Estimate, estimate_mean, floor_at_zero
from harness.core.readings import Domain, Grade

# A value of one run or seed in joules, or the reason why it is unknown.
Value = float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskJoules:
    """Joules of one task: means over seeds or repeats with their interval, or the reason why they are unknown.

    `prefill` and `decode` are gross and add up to `gross`; `net` is what remains above idle and may fall below zero.
    """

    gross: Estimate
    net: Estimate
    prefill: Estimate
    decode: Estimate
    gross_per_correct: Estimate
    net_per_correct: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceJoules:
    """One device's part of a task; `inside` says whether the study's boundary counts it.

    `grade` is the worst of its readings, D where they are simulated.
    """

    domain: Domain
    device_index: int
    device: str
    sensors: tuple[str, ...]
    inside: bool
    joules: TaskJoules
    grade: Grade
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmDevices:
    """One arm's task: the boundary's `total` and the `parts`, those inside the boundary first."""

    arm: str
    size: str
    total: TaskJoules
    parts: tuple[DeviceJoules, ...]
    grade: Grade | None
    simulated: bool
    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Correctness:
    """Accuracy of each seed or repeat (a share), its binomial error, and why joules per correct answer are unknown."""

    accuracies: Sequence[float | None]
    stderr: float | None
    reason: str | None


def summarise_joules(samples: Sequence[Mapping[str, Value]], correct: Correctness, method: str) -> TaskJoules:
    """Return means over `samples` with t intervals; per correct answer the ratio of two means, so that parts add up."""
    return TaskJoules(
        gross=_mean([sample["gross"] for sample in samples], method),
        net=_mean([sample["net"] for sample in samples], method, floor=False),
        prefill=_mean([sample["prefill"] for sample in samples], method),
        decode=_mean([sample["decode"] for sample in samples], method),
        gross_per_correct=_per_correct([sample["gross"] for sample in samples], correct, method),
        net_per_correct=_per_correct([sample["net"] for sample in samples], correct, method, floor=False),
    )


def add_values(values: Sequence[Value]) -> Value:
    """Return the sum of `values`, or the first reason why one of them is unknown."""
    reasons = [value for value in values if isinstance(value, str)]
    return reasons[0] if reasons else math.fsum(value for value in values if not isinstance(value, str))


def _mean(values: Sequence[Value], method: str, *, floor: bool = True) -> Estimate:
    total = add_values(values)
    if isinstance(total, str) or not values:
        return Estimate(value=None, interval=None, n=0, reason=total if isinstance(total, str) else "no run")
    estimate = estimate_mean([value for value in values if not isinstance(value, str)], method=f"t over {method}")
    if estimate.n == 1:
        estimate = dataclasses.replace(estimate, reason=f"one {method.removesuffix('s')} gives no interval")
    return floor_at_zero(estimate) if floor else estimate


def _per_correct(values: Sequence[Value], correct: Correctness, method: str, *, floor: bool = True) -> Estimate:
    """Return joules per correct answer: mean energy over mean accuracy.

    Its interval is that of the linearised ratio over seeds, joined with the binomial error of the accuracy.
    """
    known = [accuracy for accuracy in correct.accuracies if accuracy is not None]
    energy = _mean(values, method)
    accuracy = math.fsum(known) / len(known) if known else 0.0
    reason = energy.reason if energy.value is None else correct.reason
    if reason is None and (len(known) < len(values) or accuracy <= 0):
        reason = "the accuracy is unknown or no answer was correct"
    if energy.value is None or reason is not None:
        return Estimate(value=None, interval=None, n=0, reason=reason)
    value = energy.value / accuracy
    joules = [joule for joule in values if not isinstance(joule, str)]
    linear = estimate_mean(
        [value + (joule - value * share) / accuracy for joule, share in zip(joules, known, strict=True)],
        method=f"t over {method} on the linearised ratio",
    )
    if linear.interval is None:
        return Estimate(
            value=value, interval=None, n=linear.n, reason=f"one {method.removesuffix('s')} gives no interval"
        )
    if correct.stderr is None:
        return Estimate(value=value, interval=None, n=linear.n, reason="no error of the accuracy is known")
    interval = _widen(
        value, floor_at_zero(linear).interval if floor else linear.interval, NORMAL_95 * correct.stderr / accuracy
    )
    return Estimate(value=value, interval=interval, n=linear.n)


def _widen(value: float, interval: Interval | None, relative: float) -> Interval | None:
    """Return `interval` joined with a relative error: on the logarithm, or straight where an end is below zero."""
    if interval is None:
        return None
    below, above = value - interval.low, interval.high - value
    low, high = value - math.hypot(below, relative * value), value + math.hypot(above, relative * value)
    if value > 0 and interval.low >= 0:
        # an end that was cut off at 0 has no logarithm, and nothing lies below it
        low = value * math.exp(-math.hypot(math.log(interval.low / value), relative)) if interval.low > 0 else 0.0
        high = value * math.exp(math.hypot(math.log(interval.high / value), relative))
    method = f"{interval.method}, with the binomial error of the accuracy"
    return Interval(low=low, high=high, level=interval.level, method=method)
