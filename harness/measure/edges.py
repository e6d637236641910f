"""What a counter would have shown at a window's edge, between two ticks, and how far that can be wrong.

Between ticks the energy is known (the counter's step), its course is not. Two courses are tried: constant power, and a
step of power from the level of the tick before to the level of the tick after, at the moment that the counter's step
implies; the second is right where a load begins or ends. The half-width given is a 95% one: the tick's timing, half of
it where the course is open, and the whole range that power was seen to cross between two ticks (a load that alternates
faster than the counter ticks).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.measure.samples import FloatArray
from harness.measure.ticks import Period, Ticks

# 95% of an error spread evenly over +-h lies within .95 h; two such edges add to 1.13 sqrt(2) h.
_UNIFORM_95 = 1.13
# Shares of the difference between the courses, of the bounds by the levels seen in ticks and by those hidden in them,
# and of the roughness from tick to tick, that cover 95% (METHODOLOGY, "Edges").
STEP_SHARE = 0.12
RANGE_SHARE = 1.0
HIDDEN_SHARE = 1.25
ROUGH_SHARE = 2.0
_ROUGH_QUANTILE = 0.7
_CLEAN = 0.9
_MIN_BENDS = 3
# Ticks before and after an edge whose levels explain a power sample there (samples lag).
_LEVELS_BEFORE, _LEVELS_AFTER = 7, 4
# Power samples this far outside the counter's own levels are another level, not the sensor's gain.
_GAIN_TOLERANCE = 0.08
# Steps of power below this share are no steps.
_MIN_STEP_SHARE = 0.03
_RESOLUTION_J = 0.001
# A pattern of ticks is told by so many levels that differ by so much, and is the same within this share of that.
_PATTERN_TICKS = 5
_MIN_CONTRAST = 0.1
_SAME_PATTERN = 0.08
# Windows of fewer ticks are bounded by what the device can draw.
SHORT_TICKS = 6.0


@dataclass(frozen=True, slots=True)
class EdgeEnergy:
    """Counter value at an edge (J), and the half-widths of its 95% interval (J): of the tick's timing, of the course.

    `low_w` and `high_w` are the levels of power around it, `levels_w` those of the ticks from two before to two after.
    """

    energy_j: float
    timing_j: float
    open_j: float
    low_w: float
    high_w: float
    tick_j: float  # counter value at the tick before, which tells the interval that the edge lies in
    share: float  # where in it, 0 to 1
    step_j: float = 0.0  # what the counter added over that interval
    length_s: float = 0.0
    levels_w: tuple[float, ...] = ()


def energy_at(edge_s: float, ticks: Ticks, period: Period | None, power_w: FloatArray) -> EdgeEnergy | None:
    """Return the counter's value at `edge_s`; ``None`` without two ticks, or farther than a period from any.

    `power_w` are the power samples seen around the edge.
    """
    times_s, energy_j = ticks.times_s, ticks.energy_j
    if times_s.size < 2:
        return None
    slopes_w = np.diff(energy_j) / np.maximum(np.diff(times_s), 1e-9)
    k = int(np.searchsorted(times_s, edge_s, side="right")) - 1
    if k < 0 or k >= slopes_w.size:
        return _extrapolate(edge_s, ticks, slopes_w, period, after=k >= 0)
    length_s = times_s[k + 1] - times_s[k]
    share = float((edge_s - times_s[k]) / length_s)
    step_j = float(energy_j[k + 1] - energy_j[k])
    near = slopes_w[max(0, k - 2) : k + 3]
    low_w, high_w = float(near.min()), float(near.max())
    even_j = share * step_j
    stepped_j, weight = _try_step(slopes_w, k, share, step_j)
    course_j = weight * stepped_j + (1 - weight) * even_j
    spread_j = bound_course_j(share, step_j, length_s, low_w, high_w) * RANGE_SHARE
    open_j = (1 - weight) * spread_j + weight * STEP_SHARE * abs(stepped_j - even_j)
    levels_w = slopes_w[max(0, k - _LEVELS_BEFORE) : k + _LEVELS_AFTER]
    seen_w = (float(levels_w.min()), float(levels_w.max()))
    wide_w = widen_range_w(float(slopes_w[k]), *seen_w, power_w)
    if wide_w != seen_w:
        open_j = max(open_j, HIDDEN_SHARE * bound_course_j(share, step_j, length_s, *wide_w))
        low_w, high_w = min(low_w, wide_w[0]), max(high_w, wide_w[1])
    open_j = max(open_j, ROUGH_SHARE * 2 * share * (1 - share) * measure_roughness_j(energy_j, slopes_w, k))
    timing_j = float(slopes_w[k]) * ((1 - share) * ticks.halves_s[k] + share * ticks.halves_s[k + 1]) * _UNIFORM_95
    levels = tuple(slopes_w[k - 2 : k + 3].tolist()) if k >= 2 else ()
    at_edge_j = float(energy_j[k]) + course_j
    return EdgeEnergy(
        at_edge_j, timing_j, open_j, low_w, high_w, float(energy_j[k]), share, step_j, float(length_s), levels
    )


def bound_course_j(share: float, step_j: float, length_s: float, low_w: float, high_w: float) -> float:
    """Return how far the energy at `share` of a tick can lie from the even course if power stays in its range.

    The energy so far is at least ``low * elapsed`` and leaves no more than ``high * rest`` for the rest, and likewise
    upwards.
    """
    elapsed_s, rest_s = share * length_s, (1 - share) * length_s
    lowest_j = max(low_w * elapsed_s, step_j - high_w * rest_s)
    highest_j = min(high_w * elapsed_s, step_j - low_w * rest_s)
    even_j = share * step_j
    return max(0.0, even_j - lowest_j, highest_j - even_j)


def measure_roughness_j(energy_j: FloatArray, slopes_w: FloatArray, k: int) -> float:
    """Return how far the counter typically lies from the line between the tick before and the tick after (J).

    That is the error that the ticks around make when every second one is left out: what a load that varies from tick to
    tick hides inside one. Clean steps are passed over, since they are followed.
    """
    ticks = range(max(1, k - 7), min(energy_j.size - 1, k + 6))
    clean = {j for j in range(ticks.start - 1, ticks.stop) if _try_step(slopes_w, j, 0.5, 1.0)[1] > _CLEAN}
    bends_j = [
        abs(float(energy_j[j] - (energy_j[j - 1] + energy_j[j + 1]) / 2))
        for j in ticks
        if j not in clean and j - 1 not in clean
    ]
    return float(np.quantile(bends_j, _ROUGH_QUANTILE)) if len(bends_j) >= _MIN_BENDS else 0.0


def widen_range_w(slope_w: float, low_w: float, high_w: float, power_w: FloatArray) -> tuple[float, float]:
    """Return the range of power widened to the samples that lie clearly outside it.

    A blind sensor locked to the load shows one level only; the other is then as far on the other side of the mean.
    """
    if power_w.size == 0:
        return low_w, high_w
    seen_low_w, seen_high_w = float(power_w.min()), float(power_w.max())
    margin_w = _GAIN_TOLERANCE * max(abs(slope_w), abs(high_w))
    if seen_high_w > high_w + margin_w:
        low_w = min(low_w, max(0.0, 2 * slope_w - seen_high_w))
        high_w = seen_high_w
    if seen_low_w < low_w - margin_w:
        high_w = max(high_w, 2 * slope_w - seen_low_w)
        low_w = seen_low_w
    return low_w, high_w


def _try_step(slopes_w: FloatArray, k: int, share: float, step_j: float) -> tuple[float, float]:
    """Return the energy at `share` if power stepped once inside tick `k`, and how far that is to be believed (0-1)."""
    if k == 0 or k + 1 >= slopes_w.size:
        return share * step_j, 0.0
    before_w, mean_w, after_w = (float(w) for w in slopes_w[k - 1 : k + 2])
    jump_w = after_w - before_w
    if abs(jump_w) < _MIN_STEP_SHARE * max(abs(before_w), abs(after_w), 1e-9):
        return share * step_j, 0.0
    at = (after_w - mean_w) / jump_w  # share of the tick that passed before the step
    if not -0.05 <= at <= 1.05 or mean_w <= 0:
        return share * step_j, 0.0
    at = min(1.0, max(0.0, at))
    stepped_w = before_w * min(share, at) + after_w * max(0.0, share - at)
    drift_w = abs(before_w - float(slopes_w[max(0, k - 2)])) + abs(
        float(slopes_w[min(slopes_w.size - 1, k + 2)]) - after_w
    )
    return stepped_w * step_j / mean_w, max(0.0, 1 - drift_w / abs(jump_w))


def _extrapolate(
    edge_s: float, ticks: Ticks, slopes_w: FloatArray, period: Period | None, *, after: bool
) -> EdgeEnergy | None:
    """Go on from the first or last tick at the power of the interval beside it, by at most a period and a half."""
    nearest = -1 if after else 0
    slope_w = float(slopes_w[nearest])
    away_s = float(edge_s - ticks.times_s[nearest])
    longest_s = 1.5 * period.period_s if period is not None else float(np.median(np.diff(ticks.times_s))) * 1.5
    if abs(away_s) > longest_s + ticks.halves_s[nearest]:
        return None
    near = slopes_w[-3:] if after else slopes_w[:3]
    open_j, timing_j = abs(slope_w * away_s), slope_w * float(ticks.halves_s[nearest])
    energy_j = float(ticks.energy_j[nearest]) + slope_w * away_s
    tick_j = float(ticks.energy_j[-1]) if after else math.nan
    return EdgeEnergy(energy_j, timing_j, open_j, float(near.min()), float(near.max()), tick_j, 0.0)


def combine_edges_j(begin: EdgeEnergy, end: EdgeEnergy, duration_s: float, highest_w: float | None) -> float:
    """Return the half-width of a window's 95% interval (J) from those of its two edges.

    A window of less than `SHORT_TICKS` ticks shows too little of the load to say how it varies inside one: there the
    bounds are hard, between nothing and `highest_w`, what the device can draw, and add up: work that begins and ends
    with the window makes both edges err to the same side.
    """
    open_j = float(np.hypot(begin.open_j, end.open_j)) * (_uncancelled(begin, end))
    half_j = float(np.sqrt(begin.timing_j**2 + end.timing_j**2 + open_j**2 + 2 * _RESOLUTION_J**2))
    length_s = max(begin.length_s, end.length_s)
    if highest_w is None or duration_s >= SHORT_TICKS * length_s:
        return half_j
    hard_j = sum(bound_course_j(e.share, e.step_j, e.length_s, 0.0, highest_w) for e in (begin, end))
    if begin.tick_j == end.tick_j:
        energy_j = end.energy_j - begin.energy_j
        hard_j = min(hard_j, max(energy_j, min(end.step_j, highest_w * duration_s) - energy_j))
    return max(half_j, hard_j)


def _uncancelled(begin: EdgeEnergy, end: EdgeEnergy) -> float:
    """Return the share of the two edges' open energy that remains in their difference.

    Where a load repeats itself in step with the window, both edges lie at the same place of the same pattern of ticks,
    and what is not known of its course is the same at both.
    """
    if len(begin.levels_w) != len(end.levels_w) or len(begin.levels_w) < _PATTERN_TICKS:
        return 1.0
    first, second = np.array(begin.levels_w), np.array(end.levels_w)
    contrast_w = float(np.ptp(first))
    if contrast_w < _MIN_CONTRAST * float(first.max()) or np.abs(first - second).max() > _SAME_PATTERN * contrast_w:
        return 1.0
    return min(1.0, 0.1 + 4 * abs(begin.share - end.share))
