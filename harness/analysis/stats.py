"""Confidence intervals for a handful of seeds: Student's t on means, on log ratios and on differences.

With three to five seeds a percentile bootstrap covers about 81% where 95% is promised; the t interval holds its level
for roughly normal noise, which log costs at matched loss are. Two arms are held against each other in one of two ways:
``paired`` takes the ratio inside each seed (n - 1 degrees of freedom; right whatever the seeds share), ``two_sample``
takes the arms' seeds as independent with one variance (2n - 2 degrees; narrower at three seeds, too wide where a seed
moves both arms alike). `make bench-stats` holds both against simulated studies.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.analysis.distributions import t_quantile
from harness.analysis.results import Interval

LEVEL = 0.95
NORMAL_95 = 1.959964
PAIRED_METHOD = "paired t on log ratios over seeds"
TWO_SAMPLE_METHOD = "two-sample t on log costs over seeds"
DIFFERENCE_METHODS = {"paired": "paired t over seeds", "two_sample": "two-sample t over seeds"}
Pairing = Literal["paired", "two_sample"]
MEAN_METHOD = "t over runs"
NO_VARIATION = " (no variation)"
ONE_VALUE = "one seed or repeat: no interval, so no number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A point estimate with its interval, or with the `reason` why there is no interval or no estimate."""

    value: float | None
    interval: Interval | None
    n: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard error of a difference of means, and the degrees of freedom it was estimated with."""

    stderr: float
    degrees: int


def estimate_stdev(values: Sequence[float]) -> float:
    """Return ``statistics.stdev(values)``, the same to the last bit in a tenth of the time.

    It adds up whole numbers where that makes fractions. A page of 10 000 runs asks for it half a million times.

    Raises:
        ValueError: there are fewer than two values.
    """
    num = len(values)
    if num < 2:
        raise ValueError("a standard deviation needs two values")
    ratios = [value.as_integer_ratio() for value in values]
    # denominators of floats are powers of two, so the longest is a multiple of all
    length = max(below.bit_length() for _, below in ratios)
    whole = [above << (length - below.bit_length()) for above, below in ratios]
    variance = num * sum(value * value for value in whole) - sum(whole) ** 2
    return _round_root(variance, num * (num - 1) << 2 * (length - 1))


def _round_root(above: int, below: int) -> float:
    """Return the square root of a ratio, rounded once from 54 bits or more, the last one odd if any are cut off."""
    shift = (above.bit_length() - below.bit_length() - 109) // 2
    above, below = (above, below << 2 * shift) if shift >= 0 else (above << -2 * shift, below)
    root = math.isqrt(above // below)
    root |= root * root * below != above
    return float(root << shift) if shift >= 0 else root / (1 << -shift)


@functools.lru_cache(maxsize=4096)
def t_critical(n: int, level: float = LEVEL) -> float:
    """Return the two-sided critical value of Student's t for `n` values (n - 1 degrees of freedom)."""
    return t_quantile(0.5 + level / 2, n - 1)


def estimate_mean(values: Sequence[float], *, level: float = LEVEL, method: str = MEAN_METHOD) -> Estimate:
    """Return the mean of independent `values` and its t interval, in the unit of the values.

    One value gives an estimate without an interval; values that are all equal give an interval of width zero whose
    method says so; no value gives neither. Comparisons of arms ask for more: see `estimate_difference`.

    Raises:
        ValueError: a value is not finite.
    """
    if not all(math.isfinite(value) for value in values):
        raise ValueError("a mean of values that are not finite has no meaning")
    n = len(values)
    if n == 0:
        return Estimate(value=None, interval=None, n=0, reason="no value")
    mean = statistics.fmean(values)
    if n == 1:
        return Estimate(value=mean, interval=None, n=1, reason="one value gives no interval")
    spread = estimate_stdev(values)
    # Below rounding error the values are equal: a count repeats exactly over seeds.
    if spread <= 1e-12 * max(1.0, abs(mean)):
        return Estimate(
            value=mean, interval=Interval(low=mean, high=mean, level=level, method=method + NO_VARIATION), n=n
        )
    half = t_critical(n, level) * spread / math.sqrt(n)
    return Estimate(value=mean, interval=Interval(low=mean - half, high=mean + half, level=level, method=method), n=n)


def floor_at_zero(estimate: Estimate) -> Estimate:
    """Return the estimate of a cost, which is never negative: the lower end of its interval is cut off at 0."""
    if estimate.interval is None or estimate.interval.low >= 0:
        return estimate
    return dataclasses.replace(estimate, interval=dataclasses.replace(estimate.interval, low=0.0))


def estimate_difference(
    first: Sequence[float],
    second: Sequence[float],
    pairing: Pairing,
    *,
    level: float = LEVEL,
    method: str | None = None,
) -> Estimate:
    """Return mean(first) - mean(second) over seeds, in the unit of the values, with its t interval.

    Both sequences hold one value a seed, in the same order of seeds. One seed gives no estimate: nothing would say how
    far another lies from it.

    Raises:
        ValueError: a value is not finite, or the numbers of values differ.
    """
    if len(first) != len(second):
        raise ValueError("both sides need one value for each seed")
    if len(first) == 1:
        return Estimate(value=None, interval=None, n=1, reason=ONE_VALUE)
    method = method or DIFFERENCE_METHODS[pairing]
    spread = spread_of_difference(first, second, pairing)
    if pairing == "paired" or spread is None:
        return estimate_mean([a - b for a, b in zip(first, second, strict=True)], level=level, method=method)
    mean, n = statistics.fmean(first) - statistics.fmean(second), len(first)
    # Below rounding error both sides repeat exactly, as counts do.
    if spread.stderr <= 1e-12 * max(1.0, abs(statistics.fmean(first)), abs(statistics.fmean(second))):
        interval = Interval(low=mean, high=mean, level=level, method=method + NO_VARIATION)
        return Estimate(value=mean, interval=interval, n=n)
    half = t_critical(spread.degrees + 1, level) * spread.stderr
    interval = Interval(low=mean - half, high=mean + half, level=level, method=method)
    return Estimate(value=mean, interval=interval, n=n)


def spread_of_difference(first: Sequence[float], second: Sequence[float], pairing: Pairing) -> Spread | None:
    """Return the standard error of mean(first) - mean(second) and its degrees of freedom; ``None`` below two seeds."""
    n = len(first)
    if n < 2:
        return None
    if pairing == "paired":
        stderr = statistics.stdev([a - b for a, b in zip(first, second, strict=True)]) / math.sqrt(n)
        return Spread(stderr=stderr, degrees=n - 1)
    variance = (statistics.variance(first) + statistics.variance(second)) / 2
    return Spread(stderr=math.sqrt(2 * variance / n), degrees=2 * n - 2)


def estimate_ratio_of(
    numerators: Sequence[float],
    denominators: Sequence[float],
    pairing: Pairing,
    *,
    level: float = LEVEL,
    widening: float = 1.0,
) -> Estimate:
    """Return the ratio of geometric means over seeds and its t interval, made on logarithms and carried back.

    `widening` multiplies the half-width on the logarithm, for values whose noise is not quite normal.

    Raises:
        ValueError: a value is not finite and above zero, or the numbers of values differ.
    """
    if not all(math.isfinite(value) and value > 0 for value in (*numerators, *denominators)):
        raise ValueError("ratios are of values that are finite and above zero")
    method = PAIRED_METHOD if pairing == "paired" else TWO_SAMPLE_METHOD
    sides = [[math.log(value) for value in values] for values in (numerators, denominators)]
    if widening != 1.0:
        method += f", widened {widening:g} times"
    logs = estimate_difference(sides[0], sides[1], pairing, level=level, method=method)
    return _carry_back(_widen(logs, widening))


def estimate_ratio(ratios: Sequence[float], *, level: float = LEVEL) -> Estimate:
    """Return the geometric mean of per-seed `ratios` and the t interval of its logarithm, carried back.

    Raises:
        ValueError: a ratio is not finite and above zero.
    """
    if not all(math.isfinite(ratio) and ratio > 0 for ratio in ratios):
        raise ValueError("ratios must be finite and above zero")
    logs = [math.log(ratio) for ratio in ratios]
    return _carry_back(estimate_difference(logs, [0.0] * len(logs), "paired", level=level, method=PAIRED_METHOD))


def _widen(estimate: Estimate, factor: float) -> Estimate:
    """Return the estimate with `factor` times the half-width of its interval."""
    if estimate.interval is None or estimate.value is None:
        return estimate
    low, high = (
        estimate.value + factor * (end - estimate.value) for end in (estimate.interval.low, estimate.interval.high)
    )
    return dataclasses.replace(estimate, interval=dataclasses.replace(estimate.interval, low=low, high=high))


def _carry_back(logs: Estimate) -> Estimate:
    """Return the estimate whose logarithm `logs` is."""
    if logs.value is None:
        return logs
    interval = logs.interval
    if interval is not None:
        interval = Interval(
            low=_exp(interval.low), high=_exp(interval.high), level=interval.level, method=interval.method
        )
        if not math.isfinite(interval.high):
            return Estimate(value=_exp(logs.value), interval=None, n=logs.n, reason="the interval has no finite end")
    return Estimate(value=_exp(logs.value), interval=interval, n=logs.n, reason=logs.reason)


def invert_interval(interval: Interval | None) -> Interval | None:
    """Return the interval of 1/x for the interval of a positive x; an end at zero has no inverse and gives ``None``."""
    if interval is None or interval.low <= 0:
        return None
    return Interval(low=1 / interval.high, high=1 / interval.low, level=interval.level, method=interval.method)


def estimate_stderr(values: Sequence[float]) -> float | None:
    """Return the standard error of the mean, ``None`` for fewer than two values."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
