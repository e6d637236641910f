"""Small-sample statistics: t intervals on logs of costs, and the binomial standard error.

A bootstrap over three seeds covers 81% instead of 95%, so intervals over seeds are t intervals. All take plain
sequences and answer with an `Estimate` whose interval is ``None``, with the reason, where there is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from harness.analysis.results import Interval

LEVEL = 0.95
ONE_VALUE = "one value has no spread, so there is no interval; run at least 3 seeds"
NO_VALUE = "there is no value"
PAIRED_METHOD = "paired t on log ratios over seeds"
WELCH_METHOD = "Welch's t on logs over unpaired seeds"
MEAN_METHOD = "t of the mean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its interval; `n` is the number of independent values (of pairs, of the smaller group)."""

    value: float | None
    interval: Interval | None
    n: int
    reason: str | None = None


def estimate_mean(values: Sequence[float], level: float = LEVEL, method: str = MEAN_METHOD) -> Estimate:
    """Return the mean with its t interval; identical values give an interval of no width."""
    if not values:
        return Estimate(value=None, interval=None, n=0, reason=NO_VALUE)
    mean = float(np.mean(values))
    n = len(values)
    if n == 1:
        return Estimate(value=mean, interval=None, n=1, reason=ONE_VALUE)
    half = _t_quantile(level, n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Estimate(value=mean, interval=Interval(low=mean - half, high=mean + half, level=level, method=method), n=n)


def estimate_ratio(numerators: Sequence[float], denominators: Sequence[float], level: float = LEVEL) -> Estimate:
    """Return the geometric mean of paired ratios with a t interval made on their logs.

    Raises:
        ValueError: the lengths differ, or a value is not above 0 (its log does not exist).
    """
    _require_positive(numerators, denominators)
    logs = [math.log(a / b) for a, b in zip(numerators, denominators, strict=True)]
    return _exp(estimate_mean(logs, level, PAIRED_METHOD))


def estimate_ratio_welch(numerators: Sequence[float], denominators: Sequence[float], level: float = LEVEL) -> Estimate:
    """Return the ratio of geometric means of two unpaired groups with Welch's t interval on logs.

    Raises:
        ValueError: a value is not above 0.
    """
    _require_positive(numerators, denominators)
    n = min(len(numerators), len(denominators))
    if n == 0:
        return Estimate(value=None, interval=None, n=0, reason=NO_VALUE)
    logs_a, logs_b = np.log(numerators), np.log(denominators)
    difference = float(logs_a.mean() - logs_b.mean())
    if n == 1:
        return Estimate(value=math.exp(difference), interval=None, n=1, reason=ONE_VALUE)
    part_a, part_b = (float(np.var(logs, ddof=1)) / len(logs) for logs in (logs_a, logs_b))
    error = part_a + part_b
    half = 0.0
    if error > 0:
        freedom = error**2 / (part_a**2 / (len(logs_a) - 1) + part_b**2 / (len(logs_b) - 1))
        half = _t_quantile(level, freedom) * math.sqrt(error)
    interval = Interval(low=difference - half, high=difference + half, level=level, method=WELCH_METHOD)
    return _exp(Estimate(value=difference, interval=interval, n=n))


def invert(interval: Interval | None) -> Interval | None:
    """Return the interval of 1 / x for an interval of a positive x."""
    if interval is None:
        return None
    return Interval(low=1 / interval.high, high=1 / interval.low, level=interval.level, method=interval.method)


def binomial_stderr(num_correct: float, num_samples: float) -> float | None:
    """Return the standard error of a share, or ``None`` without samples.

    At 0 or all correct the plain formula says 0, which would be a claim of certainty; one half success is added on
    either side there (Jeffreys).
    """
    if num_samples <= 0:
        return None
    share = num_correct / num_samples
    if num_correct <= 0 or num_correct >= num_samples:
        share = (num_correct + 0.5) / (num_samples + 1)
    return math.sqrt(share * (1 - share) / num_samples)


def _exp(estimate: Estimate) -> Estimate:
    interval = estimate.interval
    if interval is not None:
        interval = Interval(
            low=math.exp(interval.low), high=math.exp(interval.high), level=interval.level, method=interval.method
        )
    value = None if estimate.value is None else math.exp(estimate.value)
    return Estimate(value=value, interval=interval, n=estimate.n, reason=estimate.reason)


def _require_positive(*groups: Sequence[float]) -> None:
    if any(not (value > 0 and math.isfinite(value)) for group in groups for value in group):
        raise ValueError("a ratio on logs needs finite values above 0")


def _t_quantile(level: float, freedom: float) -> float:
    return float(stats.t.ppf(0.5 + level / 2, freedom))
