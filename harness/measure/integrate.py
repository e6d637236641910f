"""From samples to joules: pure functions over the samples of one window. Nothing is smoothed away.

All arrays have one entry per sample of the window, the first taken at its beginning and the last at its end; NaN is a
read that failed. Source of the bounds: METHODOLOGY, "Error budget of one window".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.core.records import Finding
from harness.measure.sampler import FloatArray

# A held value is believed for this many poll intervals; time after that is not covered.
MAX_HOLD_INTERVALS = 3.0
MIN_COVERAGE = 0.9
_MIN_TICKS = 3


@dataclass(frozen=True, slots=True)
class Integral:
    """Energy of one window in joules, or ``None`` with the reason, and what a reader must know about it."""

    energy_j: float | None
    reason: str | None = None
    findings: tuple[Finding, ...] = ()


def difference_counter(energy_j: FloatArray, last_error: str | None = None) -> Integral:
    """Return last minus first of a cumulative counter.

    Unknown where an edge was not read, where the counter fell in between (a reset: what it had counted is lost) and
    where it never moved (the window is shorter than the counter's period, or the counter is stuck).
    """
    failed = f": {last_error}" if last_error else ""
    if energy_j.size <= 1 or np.isnan(energy_j[0]) or np.isnan(energy_j[-1]):
        edge = "beginning" if energy_j.size == 0 or np.isnan(energy_j[0]) else "end"
        reason = f"the counter could not be read at the window's {edge}{failed}"
        return Integral(None, reason, (Finding(code="sensor_failed", severity="warning", text=reason),))
    steps_j = np.diff(energy_j[~np.isnan(energy_j)])
    if steps_j.min() < 0:
        reason = f"the counter fell by {-steps_j.min():.6g} J inside the window (reset or driver reload)"
        finding = Finding(code="counter_reset", severity="warning", text=reason, value=float(steps_j.min()), limit=0.0)
        return Integral(None, reason, (finding,))
    total_j = float(energy_j[-1] - energy_j[0])
    if total_j == 0:
        reason = "the counter did not move inside the window"
        return Integral(None, reason, (Finding(code="counter_stuck", severity="warning", text=reason),))
    return Integral(total_j)


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

    Each power holds until the next; the first also holds back to `begin_s`. Unknown where samples cover less than
    `MIN_COVERAGE` of the window.
    """
    valid = ~np.isnan(power_w)
    covered = measure_coverage(times_s[valid], begin_s, end_s, max_hold_s)
    if not valid.any() or covered is None or covered < MIN_COVERAGE:
        share = f"{covered or 0.0:.0%}"
        reason = f"power samples cover {share} of the window, less than {MIN_COVERAGE:.0%}"
        reason += f": {last_error}" if last_error else ""
        finding = Finding(
            code="low_coverage", severity="warning", text=reason, value=covered or 0.0, limit=MIN_COVERAGE
        )
        return Integral(None, reason, (finding,))
    edges_s = np.clip(np.append(times_s[valid], end_s), begin_s, end_s)
    edges_s[0] = begin_s
    return Integral(float(np.sum(power_w[valid] * np.diff(edges_s))))


def measure_coverage(times_s: FloatArray, begin_s: float, end_s: float, max_hold_s: float) -> float | None:
    """Return the share of the window within `max_hold_s` after a sample; ``None`` for a window of no length.

    The time before the first sample counts as covered up to `max_hold_s`.
    """
    if end_s <= begin_s:
        return None
    if times_s.size == 0:
        return 0.0
    edges_s = np.clip(np.concatenate(([begin_s], times_s, [end_s])), begin_s, end_s)
    return float(min(1.0, np.minimum(np.diff(edges_s), max_hold_s).sum() / (end_s - begin_s)))


def find_longest_gap_s(times_s: FloatArray, begin_s: float, end_s: float) -> float:
    """Return the longest time without a sample inside the window, in seconds."""
    edges_s = np.clip(np.concatenate(([begin_s], times_s, [end_s])), begin_s, end_s)
    return float(np.diff(edges_s).max())


def estimate_update_period_s(times_s: FloatArray, values: FloatArray, poll_interval_s: float) -> float | None:
    """Return how often a sampled-and-held value changes as far as polling can tell, in seconds.

    The median time between changes plus one poll interval (a change is seen up to one poll late); ``None`` with fewer
    than three such times. Polling slower than the sensor gives the polling's own period: an upper bound.
    """
    valid = ~np.isnan(values)
    times_s, values = times_s[valid], values[valid]
    changes_s = times_s[1:][np.diff(values) != 0]
    if changes_s.size < _MIN_TICKS + 1:
        return None
    return float(np.median(np.diff(changes_s))) + poll_interval_s


def find_power_range_w(
    times_s: FloatArray, energy_j: FloatArray, power_w: FloatArray, min_stretch_s: float
) -> tuple[float, float] | None:
    """Return the lowest and highest power seen, in watts: of the power samples, or else of the counter's slopes.

    Slopes are taken over about `min_stretch_s` or more, since a tick between two close reads is no power.
    """
    power_w = power_w[~np.isnan(power_w)]
    if power_w.size == 0:
        valid = ~np.isnan(energy_j)
        times_s, energy_j = times_s[valid], energy_j[valid]
        if times_s.size <= 1:
            return None
        _, picks = np.unique(np.floor((times_s - times_s[0]) / min_stretch_s), return_index=True)
        elapsed_s, steps_j = np.diff(times_s[picks]), np.diff(energy_j[picks])
        long_enough = elapsed_s > min_stretch_s / 2
        power_w = steps_j[long_enough] / elapsed_s[long_enough]
    return (float(power_w.min()), float(power_w.max())) if power_w.size else None


def bound_counter_edges_j(power_range_w: tuple[float, float] | None, period_s: float | None) -> float | None:
    """Bound the edges of a counter's window, in joules: ``P_max * T``.

    At each edge the counter shows its last tick, up to one period T old, so each edge misses between 0 and P_max T;
    the two errors have opposite signs and their difference stays within P_max T. No correction for the phase.
    """
    if power_range_w is None or period_s is None:
        return None
    return max(0.0, power_range_w[1]) * period_s


def bound_power_edges_j(power_range_w: tuple[float, float] | None, period_s: float | None) -> float | None:
    """Bound the edges of sampled power, in joules: ``(P_max - P_min) * T`` at each of the two, T the sample period."""
    if power_range_w is None or period_s is None:
        return None
    return 2 * (power_range_w[1] - power_range_w[0]) * period_s


def average_trace(
    times_s: FloatArray, cumulative_j: FloatArray, max_points: int, min_step_s: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Return mid times and mean powers of at most `max_points` stretches; their areas add up to the energy.

    Samples closer than `min_step_s` to the one before are passed over: a window edge falls at any distance from a poll,
    and over a millisecond the jitter of two readings is larger than what lies between them. Stretches over which a
    counter fell are left out.
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
