"""Sampled power to joules, and how well samples cover a window: pure functions. Nothing is smoothed away.

Arrays have one entry per sample; NaN is a read that failed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.core.readings import Finding
from harness.measure.samples import FloatArray

# A held value is believed for this many poll intervals; time after that is not covered.
MAX_HOLD_INTERVALS = 3.0
MIN_COVERAGE = 0.9
_MIN_CHANGES = 4


@dataclass(frozen=True, slots=True)
class Integral:
    """Energy of one window and the half-width of its 95% interval in joules, or ``None`` with the reason."""

    energy_j: float | None
    uncertainty_j: float | None = None
    reason: str | None = None
    findings: tuple[Finding, ...] = ()


def unknown(code: str, reason: str, value: float | None = None, limit: float | None = None) -> Integral:
    """Return an unknown energy with its reason, which is also a finding."""
    finding = Finding(code=code, severity="warning", text=reason, value=value, limit=limit)
    return Integral(None, None, reason, (finding,))


def integrate_power(
    times_s: FloatArray,
    power_w: FloatArray,
    begin_s: float,
    end_s: float,
    *,
    max_hold_s: float,
    last_error: str | None = None,
) -> Integral:
    """Return the hold-last integral of power, extended to both edges of the window.

    Each power holds until the next; the first also holds back to `begin_s`, unless a sample before it holds there.
    Unknown where samples cover less than `MIN_COVERAGE` of the window.
    """
    valid = ~np.isnan(power_w)
    times_s, power_w = times_s[valid], power_w[valid]
    first = max(0, int(np.searchsorted(times_s, begin_s, side="right")) - 1)
    last = int(np.searchsorted(times_s, end_s, side="right"))
    times_s, power_w = times_s[first:last], power_w[first:last]
    covered = measure_coverage(times_s, begin_s, end_s, max_hold_s)
    if times_s.size == 0 or covered is None or covered < MIN_COVERAGE:
        reason = f"power samples cover {covered or 0.0:.0%} of the window, less than {MIN_COVERAGE:.0%}"
        reason += f": {last_error}" if last_error else ""
        return unknown("low_coverage", reason, covered or 0.0, MIN_COVERAGE)
    edges_s = np.clip(np.append(times_s, end_s), begin_s, end_s)
    edges_s[0] = begin_s
    return Integral(float(np.sum(power_w * np.diff(edges_s))))


def measure_coverage(times_s: FloatArray, begin_s: float, end_s: float, max_hold_s: float) -> float | None:
    """Return the share of the window within `max_hold_s` after a sample; ``None`` for a window of no length.

    Samples before the window count as far as they hold into it; the time before the first sample counts as covered up
    to `max_hold_s`.
    """
    if end_s <= begin_s:
        return None
    times_s = times_s[(times_s > begin_s - max_hold_s) & (times_s < end_s + max_hold_s)]
    if times_s.size == 0:
        return 0.0
    begins_s = np.clip(np.concatenate(([times_s[0] - max_hold_s], times_s)), begin_s, end_s)
    held_s = np.clip(np.concatenate(([times_s[0]], times_s + max_hold_s)), begin_s, end_s)
    ends_s = np.minimum(held_s, np.append(begins_s[1:], end_s))
    return float(min(1.0, np.maximum(0.0, ends_s - begins_s).sum() / (end_s - begin_s)))


def find_longest_gap_s(times_s: FloatArray, begin_s: float, end_s: float) -> float:
    """Return the longest time without a sample inside the window, in seconds."""
    before_s = times_s[times_s <= begin_s][-1:]
    inside_s = times_s[(times_s > begin_s) & (times_s < end_s)]
    after_s = times_s[times_s >= end_s][:1]
    edges_s = np.concatenate((before_s, [begin_s] if before_s.size == 0 else [], inside_s, after_s))
    edges_s = np.append(edges_s, end_s) if after_s.size == 0 else edges_s
    return float(np.diff(edges_s).max()) if edges_s.size > 1 else 0.0


def estimate_update_period_s(times_s: FloatArray, values: FloatArray, poll_interval_s: float) -> float | None:
    """Return how often a sampled-and-held value changes as far as polling can tell, in seconds.

    The median time between changes plus one poll interval (a change is seen up to one poll late); ``None`` with fewer
    than four changes. Polling slower than the sensor gives the polling's own period: an upper bound.
    """
    valid = ~np.isnan(values)
    times_s, values = times_s[valid], values[valid]
    changes_s = times_s[1:][np.diff(values) != 0]
    if changes_s.size < _MIN_CHANGES:
        return None
    return float(np.median(np.diff(changes_s))) + poll_interval_s


def average_trace(
    times_s: FloatArray, cumulative_j: FloatArray, max_points: int, min_step_s: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Return mid times and mean powers of at most `max_points` stretches; their areas add up to the energy.

    Samples closer than `min_step_s` to the one before are passed over: around an edge reads are dense, and over a
    millisecond a counter's tick is no power. Stretches over which a counter fell are left out.
    """
    valid = ~np.isnan(cumulative_j)
    times_s, cumulative_j = times_s[valid], cumulative_j[valid]
    if times_s.size <= 1:
        return np.empty(0), np.empty(0)
    kept = [0]
    for index in range(1, times_s.size):
        if times_s[index] - times_s[kept[-1]] >= min_step_s:
            kept.append(index)
    if kept[-1] != times_s.size - 1:  # the last sample closes the area, whatever its distance
        kept[-1 if len(kept) > 1 else len(kept) :] = [times_s.size - 1]
    times_s, cumulative_j = times_s[kept], cumulative_j[kept]
    steps = min(max_points, times_s.size - 1)
    picks = np.unique(np.linspace(0, times_s.size - 1, steps + 1).round().astype(np.int64))
    elapsed_s, energy_j = np.diff(times_s[picks]), np.diff(cumulative_j[picks])
    good = (elapsed_s > 0) & (energy_j >= 0)
    middles_s = times_s[picks][:-1] + elapsed_s / 2
    return middles_s[good], energy_j[good] / elapsed_s[good]
