"""What a dense trace under known loads tells of a GPU's sensors: timing, and how counter and power agree.

Nothing here knows the true power: a counter divided by an integral says how two readings of the same GPU agree, not
which of them is right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.measure.response import combine_lag, find_updates, fit_response
from harness.measure.samples import FloatArray
from harness.measure.ticks import find_brackets
from harness.measure.trace import SIGNALS, BusyTime, Phase, Switch, TraceArray, counter_rows, cut, find_phase
from harness.sensors.profile import Fit, SignalFit

IDLE, STEADY, SLOW, FAST, FAST_SHIFTED, PROBE, IDLE_AFTER = (
    "idle", "steady", "1 Hz", "10 Hz", "10 Hz shifted", "probe", "idle after",
)  # fmt: skip
AGREEMENT_LOADS = (STEADY, SLOW, FAST, FAST_SHIFTED)
# After a switch to a steady load, what a mean over a second and a settling clock may still change.
SETTLE_S = 1.5
_MIN_SPAN_S = 0.8
# As in `harness.measure.sampled`: 95% of the error of an edge within the resolution, times the range of power.
_EDGE_SHARE = 0.7
# Ticks known this well count (half-width, s); how far two may lie from whole periods of a square wave (share of one).
_PRECISE_S, _WHOLE_SHARE = 0.003, 0.02


@dataclass(frozen=True, slots=True)
class TraceFit:
    """All that a trace told; see `harness.sensors.profile.Calibration`."""

    read_interval_s: float
    counter_period_s: Fit
    counter_jitter_s: Fit
    idle_w: Fit
    idle_drift_w: Fit
    signals: tuple[SignalFit, ...]


@dataclass(frozen=True, slots=True)
class _Timing:
    """Period, window and lag of a signal (s); the first two are guessed where they are not known."""

    period_s: float
    window_s: float
    lag_s: float | None


@dataclass(frozen=True, slots=True)
class _Span:
    """Two ticks of the counter: their times, how far those may be off (s), and the energy between (J)."""

    begin_s: float
    end_s: float
    half_s: float
    energy_j: float


def fit_trace(trace: TraceArray, phases: Sequence[Phase], switches: Sequence[Switch]) -> TraceFit:
    """Fit everything; what cannot be told is a `Fit` without value that says why.

    Args:
        trace: rows of `TRACE_ROW` in order of time.
        phases: the loads, by the names above; one that is missing leaves its results unknown.
        switches: when the load became busy and idle.
    """
    period_s, jitter_s = fit_counter(trace)
    idle_w, drift_w = _fit_idle(trace, phases)
    busy = BusyTime(switches)
    signals = [_fit_signal(name, trace, phases, busy) for name in SIGNALS if not np.isnan(trace[f"{name}_w"]).all()]
    read_s = float(np.median(np.diff(trace["time_s"]))) if trace.size > 1 else math.inf
    return TraceFit(read_s, period_s, jitter_s, idle_w, drift_w, tuple(signals))


def fit_counter(trace: TraceArray) -> tuple[Fit, Fit]:
    """Return the counter's update period and its jitter (the most that two ticks strayed from it), in seconds."""
    known = trace[~np.isnan(trace["counter_j"])]
    if known.size < 2:
        reason = "the GPU has no energy counter"
        return Fit(None, None, reason), Fit(None, None, reason)
    period, updates = find_updates(known["time_s"], known["counter_j"])
    if updates is None or period.value is None:
        return period, Fit(None, None, period.reason)
    earliest_s, latest_s, _ = find_brackets(counter_rows(known))
    steps_s = np.diff(earliest_s + latest_s) / 2
    blurs_s = (latest_s[1:] - earliest_s[1:] + latest_s[:-1] - earliest_s[:-1]) / 2
    # a step counts as far as its own two brackets prove that it strayed: a reader held up proves nothing
    single = np.abs(steps_s - period.value) < period.value / 2
    if not single.any():
        return period, Fit(None, None, "too few ticks in a row were seen")
    strays_s = np.maximum(0.0, np.abs(steps_s - period.value) - blurs_s)[single]
    return period, Fit(float(strays_s.max()), float(np.median(blurs_s[single])))


def measure_agreement(trace: TraceArray, name: str, phase: Phase | None, timing: _Timing) -> Fit:
    """Return the counter's energy in `phase` divided by the integral of the signal `name`, later by its lag.

    Values that are a mean over anything outside the phase are left out. For a square wave the ticks are chosen so that
    a whole number of its periods lies between them. The half-width is for the edges, and for the signal's noise under a
    steady load; a load that hides from the signal shows in the value.
    """
    if phase is None:
        return Fit(None, None, "this load was not played")
    if timing.lag_s is None and phase.period_s is not None:
        return Fit(None, None, "the lag of the signal is unknown")
    if np.isnan(trace["counter_j"]).all():
        return Fit(None, None, "the GPU has no energy counter")
    margin_s = (timing.window_s + timing.period_s) / 2
    begin_s = phase.begin_s + (margin_s if phase.period_s is not None else max(SETTLE_S, margin_s))
    span = _find_span(cut(trace, begin_s, phase.end_s - margin_s), phase.period_s)
    if span is None:
        return Fit(None, None, "no two ticks of the counter lie right inside the load, as far as this signal tells it")
    times_s, power_w = trace["time_s"], trace[f"{name}_w"]
    known = ~np.isnan(power_w)
    shift_s = timing.lag_s or 0.0
    begin_s, end_s = span.begin_s + shift_s, span.end_s + shift_s
    integral_j = _integrate_held(times_s[known], power_w[known], begin_s, end_s)
    if integral_j is None or integral_j <= 0:
        return Fit(None, None, "the signal was not read all the time, or showed no power")
    inside_w = power_w[known & (times_s >= begin_s) & (times_s <= end_s)]
    mean_w = integral_j / (end_s - begin_s)
    edges_j = math.hypot(span.half_s * mean_w, _EDGE_SHARE * float(np.ptp(inside_w)) * timing.period_s / 2)
    ratio = span.energy_j / integral_j
    changes = int(np.sum(np.diff(inside_w) != 0)) + 1
    noise = 2 * float(inside_w.std()) / math.sqrt(changes) / mean_w if phase.period_s is None else 0.0
    return Fit(ratio, ratio * math.hypot(math.sqrt(2) * edges_j / integral_j, noise))


def _fit_signal(name: str, trace: TraceArray, phases: Sequence[Phase], busy: BusyTime) -> SignalFit:
    times_s, power_w = trace["time_s"], trace[f"{name}_w"]
    period, updates = find_updates(times_s, power_w)
    if updates is None:
        window = delay = Fit(None, None, f"its updates are not known: {period.reason}")
        lag = Fit(None, None, window.reason)
    else:
        chosen = np.zeros(updates.times_s.size, dtype=bool)
        for phase in phases:
            if phase.name in (SLOW, PROBE):
                chosen |= (updates.times_s >= phase.begin_s) & (updates.times_s <= phase.end_s)
        response = fit_response(updates.only(chosen), busy)
        window, delay = response.window_s, response.delay_s
        lag = combine_lag(period, response)
    timing = _Timing(period.value or 0.1, window.value or 1.0, lag.value)
    agreement = {load: measure_agreement(trace, name, find_phase(phases, load), timing) for load in AGREEMENT_LOADS}
    return SignalFit(name=name, period_s=period, window_s=window, delay_s=delay, lag_s=lag, agreement=agreement)


def _fit_idle(trace: TraceArray, phases: Sequence[Phase]) -> tuple[Fit, Fit]:
    """Return the idle power before the loads, and by how much it was higher after them (W)."""
    before, after = (_idle_power(trace, find_phase(phases, name)) for name in (IDLE, IDLE_AFTER))
    if before.value is None or after.value is None:
        return before, Fit(None, None, before.reason or after.reason)
    return before, Fit(after.value - before.value, math.hypot(before.half or 0.0, after.half or 0.0))


def _idle_power(trace: TraceArray, phase: Phase | None) -> Fit:
    if phase is None:
        return Fit(None, None, "no idle time was recorded")
    rows = cut(trace, phase.begin_s + SETTLE_S, phase.end_s)
    span = _find_span(rows, None)
    if span is not None:
        power_w = span.energy_j / (span.end_s - span.begin_s)
        return Fit(power_w, math.sqrt(2) * span.half_s * power_w / (span.end_s - span.begin_s) + 0.001)
    for name in SIGNALS:
        known_w = rows[f"{name}_w"][~np.isnan(rows[f"{name}_w"])]
        if known_w.size:
            changes = int(np.sum(np.diff(known_w) != 0)) + 1
            return Fit(float(known_w.mean()), 2 * float(known_w.std()) / math.sqrt(changes) + 0.001)
    return Fit(None, None, "nothing was read while idle")


def _find_span(rows: TraceArray, multiple_of_s: float | None) -> _Span | None:
    """Return two ticks far apart whose distance is nearest to a whole multiple, or as far apart as can be."""
    earliest_s, latest_s, energy_j = find_brackets(counter_rows(rows))
    if earliest_s.size < 2:
        return None
    middles_s, halves_s = (earliest_s + latest_s) / 2, (latest_s - earliest_s) / 2
    precise = np.flatnonzero(halves_s <= max(2 * float(np.median(halves_s)), _PRECISE_S))
    begins, ends = np.meshgrid(precise, precise, indexing="ij")
    length_s = middles_s[ends] - middles_s[begins]
    longest_s = float(length_s.max())
    if longest_s < _MIN_SPAN_S:
        return None
    off_s = -length_s
    if multiple_of_s is not None:
        whole = np.round(length_s / multiple_of_s)
        off_s = np.abs(length_s - whole * multiple_of_s) - 1e-4 * length_s
        enough = max(1, math.floor(0.6 * longest_s / multiple_of_s))
        off_s[(whole < enough) | (off_s > _WHOLE_SHARE * multiple_of_s)] = np.inf
        if not np.isfinite(off_s).any():
            return None
    place = np.unravel_index(int(np.argmin(off_s)), off_s.shape)
    i, j = int(begins[place]), int(ends[place])
    half_s = float(max(halves_s[i], halves_s[j], off_s[place] if multiple_of_s is not None else 0.0))
    return _Span(float(middles_s[i]), float(middles_s[j]), half_s, float(energy_j[j] - energy_j[i]))


def _integrate_held(times_s: FloatArray, power_w: FloatArray, begin_s: float, end_s: float) -> float | None:
    """Return the hold-last integral (J) of dense reads, ``None`` where they do not reach over it."""
    if times_s.size < 2 or times_s[0] > begin_s or times_s[-1] < end_s - 0.05:
        return None
    first, last = np.searchsorted(times_s, begin_s, side="right") - 1, np.searchsorted(times_s, end_s)
    edges_s = np.clip(np.append(times_s[first:last], end_s), begin_s, end_s)
    return float(power_w[first:last] @ np.diff(edges_s))
