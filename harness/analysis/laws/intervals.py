"""Intervals from bootstrap draws, with the correction that few configurations need.

Refits to reweighted rows have residuals that are too small by sqrt((m - p) / m), for m configurations (or trunks) and p
parameters, and a percentile takes no account of the t distribution. So each end of the percentile interval is moved
away from the estimate by t(m - p) / z * sqrt(m / (m - p)), on the scale where draws are nearly normal (logarithms for
most of what is positive; E may be 0, so not for it). With 240 configurations this is 1.02, with 12 it is 1.6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.analysis.distributions import normal_quantile, t_quantile
from harness.analysis.laws.objective import Array
from harness.analysis.results import Interval
from harness.analysis.stats import LEVEL

# More lost draws than one tail of the interval holds, and the interval is no longer known.
MAX_LOST = (1 - LEVEL) / 2
Scale = Literal["log", "linear", "not negative"]
Unit = Literal["configurations", "trunks"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How many units were resampled (configurations or trunks), and how many parameters were fitted to them."""

    num_units: int
    num_params: int
    unit: Unit = "configurations"

    @property
    def method(self) -> str:
        """How intervals are made, in words."""
        together = "seeds" if self.unit == "configurations" else "budgets"
        return (
            f"hierarchical bootstrap of {self.unit} ({together} kept together), "
            "percentile ends widened by t where there are few"
        )

    @property
    def degrees(self) -> int:
        """Degrees of freedom, at least 1."""
        return max(1, self.num_units - self.num_params)

    @property
    def inflation(self) -> float:
        """What a standard error of draws must be multiplied by."""
        return math.sqrt(self.num_units / self.degrees)

    @property
    def widening(self) -> float:
        """How much farther than the percentiles the ends of an interval at `LEVEL` lie from the estimate."""
        return self.widen((1 - LEVEL) / 2)

    def widen(self, tail: float) -> float:
        """Return the same for an interval that leaves `tail` out on either side."""
        return t_quantile(tail, self.degrees) / normal_quantile(tail) * self.inflation


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """An estimate from fits with its standard error and interval, or the `reason` why a part is missing.

    `lower_bound` stands where only the upper end of the interval has no finite value.
    """

    estimate: float | None
    stderr: float | None
    interval: Interval | None
    reason: str | None = None
    lower_bound: float | None = None


def estimate_quantity(estimate: float, draws: Array, sampling: Sampling, *, scale: Scale = "log") -> Quantity:
    """Return `estimate` with what the `draws` (R,) of it say; NaN draws are lost, infinite ones are far out.

    `scale` is where the interval is built: "log" for what is above 0, "linear", or "not negative": linear, ending at 0.
    """
    if not math.isfinite(estimate):
        return Quantity(estimate=None, stderr=None, interval=None, reason="the fit gives no finite value")
    known = draws[~np.isnan(draws)]
    if len(known) < 2 or 1 - len(known) / len(draws) > MAX_LOST:
        lost = f"{len(draws) - len(known)} of {len(draws)} resamples give no value"
        return Quantity(estimate=estimate, stderr=None, interval=None, reason=lost)
    with np.errstate(all="ignore"):
        stderr = float(np.std(known, ddof=1)) * sampling.inflation
        low, high = _widen(estimate, known, sampling.widening, scale)
    finite_stderr = stderr if math.isfinite(stderr) else None
    if not (math.isfinite(low) and math.isfinite(high)):
        return Quantity(
            estimate=estimate,
            stderr=finite_stderr,
            interval=None,
            reason="the interval has no finite end",
            lower_bound=low if math.isfinite(low) else None,
        )
    return Quantity(
        estimate=estimate,
        stderr=finite_stderr,
        interval=Interval(low=low, high=high, level=LEVEL, method=sampling.method),
    )


def _widen(estimate: float, draws: Array, factor: float, scale: Scale) -> tuple[float, float]:
    low, high = _take_order_statistics(draws, (1 - LEVEL) / 2)
    if scale != "log":
        ends = estimate + factor * (low - estimate), estimate + factor * (high - estimate)
        least = 0.0 if scale == "not negative" else -math.inf
        return max(least, min(estimate, ends[0])), max(estimate, ends[1])
    center = math.log(estimate) if estimate > 0 else -math.inf
    logs = [math.log(end) if end > 0 else -math.inf for end in (low, high)]
    moved = [center + factor * (end - center) if math.isfinite(center) else end for end in logs]
    return math.exp(min(center, moved[0])), float(np.exp(max(center, moved[1])))


def _take_order_statistics(draws: Array, tail: float) -> tuple[float, float]:
    """Return the draws below and above which `tail` of them lie; one draw, not a mean of two, as some are infinite."""
    ordered = np.sort(draws)
    rank = int(tail * (len(ordered) - 1))
    return float(ordered[rank]), float(ordered[len(ordered) - 1 - rank])


def p_value_of_zero(estimate: float, draws: Array, sampling: Sampling) -> float | None:
    """Return the two-sided p-value of "the true value is 0": 1 minus the level of the interval that just touches 0.

    It is at least 2 / (R + 1) for R draws; ``None`` when too many of them are lost.
    """
    known = draws[~np.isnan(draws)]
    if len(known) < 2 or 1 - len(known) / len(draws) > MAX_LOST:
        return None
    low, high = 1 / (len(known) + 1), 0.5
    if estimate == 0 or not _excludes_zero(estimate, known, sampling, 0.499):
        return 1.0
    if _excludes_zero(estimate, known, sampling, low):
        return 2 * low
    for _ in range(40):
        middle = math.sqrt(low * high)
        if _excludes_zero(estimate, known, sampling, middle):
            high = middle
        else:
            low = middle
    return 2 * high


def _excludes_zero(estimate: float, draws: Array, sampling: Sampling, tail: float) -> bool:
    low, high = _take_order_statistics(draws, tail)
    factor = sampling.widen(tail)
    return estimate + factor * (low - estimate) > 0 if estimate > 0 else estimate + factor * (high - estimate) < 0
