"""The ratio of two studies' ratios: Welch's t on logarithms, since they share neither spread nor number of seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from harness.analysis.distributions import t_quantile
from harness.analysis.results import Interval
from harness.analysis.stats import LEVEL, NO_VARIATION, Estimate

METHOD = "Welch's t on log ratios over seeds of two studies"
TOO_FEW = "fewer than two seeds in a study: nothing says how far another would lie from it"


def estimate_ratio_between(
    first: Sequence[float], second: Sequence[float], *, level: float = LEVEL, widening: float = 1.0
) -> Estimate:
    """Return the geometric mean of `second` over that of `first` and its interval; one value a seed on either side.

    The studies count as independent; where they share seeds that move both alike, the interval is too wide. `widening`
    multiplies the half-width on the logarithm.

    Raises:
        ValueError: a value is not finite and above zero.
    """
    if not all(math.isfinite(value) and value > 0 for value in (*first, *second)):
        raise ValueError("ratios are of values that are finite and above zero")
    n = min(len(first), len(second))
    if n < 2:
        return Estimate(value=None, interval=None, n=n, reason=TOO_FEW)
    sides = [[math.log(value) for value in side] for side in (first, second)]
    gap = statistics.fmean(sides[1]) - statistics.fmean(sides[0])
    errors = [statistics.variance(side) / len(side) for side in sides]
    stderr = math.sqrt(sum(errors))
    method = METHOD if widening == 1.0 else f"{METHOD}, widened {widening:g} times"
    if stderr <= 1e-12:
        value = math.exp(gap)
        return Estimate(
            value=value, interval=Interval(low=value, high=value, level=level, method=method + NO_VARIATION), n=n
        )
    degrees = sum(errors) ** 2 / sum(e**2 / (len(side) - 1) for e, side in zip(errors, sides, strict=True))
    half = widening * t_quantile(0.5 + level / 2, degrees) * stderr
    ends = [_exp(gap - half), _exp(gap + half)]
    if not math.isfinite(ends[1]):
        return Estimate(value=math.exp(gap), interval=None, n=n, reason="the interval has no finite end")
    return Estimate(value=math.exp(gap), interval=Interval(low=ends[0], high=ends[1], level=level, method=method), n=n)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
