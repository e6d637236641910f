"""From one sensor's samples to the reading of one window, and what must be known about it."""

from __future__ import annotations

import dataclasses

import numpy as np

from harness.core.readings import EnergyReading, Finding, SensorInfo
from harness.measure import integrate
from harness.measure.counter import read_counter
from harness.measure.integrate import Integral
from harness.measure.sampled import blind_share, find_lag_s, read_power
from harness.measure.samples import RowArray, Samples
from harness.measure.ticks import Period, Ticks, locate_ticks

# Findings: an uncertainty, or a gap between counter and integrated power, above these shares of the energy.
MAX_EDGE_SHARE = 0.05
MAX_CROSSCHECK_GAP = 0.1
# A peak is read off ticks whose distance is known to this share.
_MAX_APART_ERROR = 0.05


def read_window(  # noqa: PLR0917 - the meter calls it, once for each sensor
    info: SensorInfo,
    samples: Samples,
    edges_s: tuple[float, float],
    interval_s: float,
    period: Period | None,
    ended: str | None = None,
) -> tuple[EnergyReading, list[Finding]]:
    """Turn the samples of one sensor around a window into a reading and its findings.

    `edges_s` are on the monotonic clock, `interval_s` is the poll interval, `period` the counter's measured update
    period, `ended` why sampling stopped if it did.
    """
    why = ended or samples.last_error
    counted, modelled = info.method == "counter", info.method == "modelled"
    by_power = Integral(None) if modelled else read_power(info, samples, edges_s, interval_s, why)
    if counted:
        result = read_counter(info, samples, edges_s, period, why)
    else:
        result = _read_model(samples, edges_s, interval_s, why) if modelled else by_power
    findings = list(result.findings)

    hold_s = integrate.MAX_HOLD_INTERVALS * interval_s
    around = samples.between(edges_s[0] - hold_s, edges_s[1] + hold_s)
    times_s = around["time_s"][~np.isnan(around["power_w" if info.method == "sampled" else "energy_j"])]
    coverage = integrate.measure_coverage(times_s, *edges_s, hold_s)
    gap_s = integrate.find_longest_gap_s(times_s, *edges_s)
    if gap_s > hold_s:
        text = f"no sample for {gap_s:.2f} s" + (f": {why}" if why else "")
        findings.append(Finding(code="sampling_gap", severity="warning", text=text, value=gap_s, limit=hold_s))
    crosscheck_j = by_power.energy_j if counted else None
    findings.extend(check_reading(info, result, by_power if counted else None))
    reading = EnergyReading(
        sensor=info.name,
        domain=info.domain,
        device=info.device,
        device_index=info.device_index,
        energy_j=result.energy_j,
        grade=info.grade,
        method=info.method,
        simulated=info.simulated,
        crosscheck_j=crosscheck_j,
        uncertainty_j=result.uncertainty_j,
        num_samples=int(np.sum((times_s >= edges_s[0]) & (times_s <= edges_s[1]))),
        coverage=coverage,
        reason=result.reason,
        peak_power_w=_find_peak_w(info, around, edges_s, interval_s, period),
        gain_error=info.gain_error,
    )
    return reading, findings


def check_reading(info: SensorInfo, result: Integral, by_power: Integral | None) -> list[Finding]:
    """Return findings for a wide interval and for a counter that disagrees with the power beside it."""
    findings = []
    energy_j, uncertainty_j = result.energy_j, result.uncertainty_j
    if energy_j and uncertainty_j is not None and uncertainty_j > MAX_EDGE_SHARE * abs(energy_j):
        share = uncertainty_j / abs(energy_j)
        text = f"the window's edges leave {share:.0%} of the energy open; measure for longer"
        findings.append(
            Finding(code="edge_uncertainty", severity="warning", text=text, value=share, limit=MAX_EDGE_SHARE)
        )
    if energy_j and by_power is not None and by_power.energy_j is not None:
        gap = (by_power.energy_j - energy_j) / energy_j
        limit = MAX_CROSSCHECK_GAP + ((uncertainty_j or 0.0) + (by_power.uncertainty_j or 0.0)) / abs(energy_j)
        if abs(gap) > limit:
            text = f"integrated power differs from the counter by {gap:+.0%}"
            findings.append(Finding(code="crosscheck_gap", severity="warning", text=text, value=gap, limit=limit))
            if blind_share(info) > 0 or info.power_window_s is None:
                text = f"power samples alias the load (their integral is off by {gap:+.0%}); the counter is the reading"
                findings.append(Finding(code="aliasing", severity="warning", text=text, value=gap, limit=limit))
    return findings


def subtract_idle(reading: EnergyReading, idle_w: float | None, duration_s: float) -> EnergyReading:
    """Return the reading with the energy above idle power beside the gross energy; unknown parts leave it unknown."""
    net_j = None if idle_w is None or reading.energy_j is None else reading.energy_j - idle_w * duration_s
    return dataclasses.replace(reading, idle_w=idle_w, net_energy_j=net_j)


def mean_power_w(reading: EnergyReading, duration_s: float) -> float | None:
    """Return the mean gross power of a reading over its window, in watts; ``None`` when its energy is unknown."""
    return None if reading.energy_j is None or duration_s <= 0 else reading.energy_j / duration_s


def _read_model(samples: Samples, edges_s: tuple[float, float], interval_s: float, why: str | None) -> Integral:
    """Return the difference of a model's own running integral; its power holds between two reads, so it is a line."""
    rows = samples.between(edges_s[0] - 3 * interval_s, edges_s[1] + 3 * interval_s)
    rows = rows[~np.isnan(rows["energy_j"])]
    if rows.size < 2 or rows["time_s"][0] > edges_s[0] + interval_s or rows["time_s"][-1] < edges_s[1] - interval_s:
        failed = f": {why}" if why else ""
        return integrate.unknown("sensor_failed", f"the model could not be asked around the window{failed}")
    begin_j, end_j = np.interp(edges_s, rows["time_s"], rows["energy_j"])
    if end_j <= begin_j:
        return integrate.unknown("counter_stuck", "the model's energy did not rise inside the window", 0.0)
    return Integral(float(end_j - begin_j))


def _find_peak_w(
    info: SensorInfo, rows: RowArray, edges_s: tuple[float, float], interval_s: float, period: Period | None
) -> float | None:
    """Return the highest power inside the window, of its samples and between ticks of the counter."""
    lag_s = find_lag_s(info, interval_s)
    inside = (rows["time_s"] >= edges_s[0] + lag_s) & (rows["time_s"] <= edges_s[1] + lag_s)
    power_w = rows["power_w"][inside]
    power_w = power_w[~np.isnan(power_w)]
    seen_w = float(power_w.max()) if power_w.size else None
    if info.method != "counter":
        return seen_w
    if period is not None and period.period_s < interval_s / 10:
        slope_w = _slope_peak_w(rows, edges_s, interval_s)
    else:
        slope_w = _steepest_w(
            locate_ticks(rows[(rows["time_s"] >= edges_s[0]) & (rows["time_s"] <= edges_s[1])], period)
        )
    return max((w for w in (seen_w, slope_w) if w is not None), default=None)


def _steepest_w(ticks: Ticks) -> float | None:
    """Return the highest mean power between two ticks, near or far, of those whose distance is known well."""
    slopes_w = []
    for hop in (1, 2, 4, 8, 16, 32):
        apart_s = ticks.times_s[hop:] - ticks.times_s[:-hop]
        known = ticks.halves_s[hop:] + ticks.halves_s[:-hop] <= _MAX_APART_ERROR * apart_s
        slopes_w.extend(((ticks.energy_j[hop:] - ticks.energy_j[:-hop])[known] / apart_s[known]).tolist())
    return max(slopes_w, default=None)


def _slope_peak_w(rows: RowArray, edges_s: tuple[float, float], interval_s: float) -> float | None:
    """Return the highest mean power over about a poll interval of a counter that is known at every read."""
    rows = rows[(rows["time_s"] >= edges_s[0]) & (rows["time_s"] <= edges_s[1]) & ~np.isnan(rows["energy_j"])]
    if rows.size < 2:
        return None
    _, picks = np.unique(np.floor((rows["time_s"] - edges_s[0]) / interval_s), return_index=True)
    elapsed_s, steps_j = np.diff(rows["time_s"][picks]), np.diff(rows["energy_j"][picks])
    long_enough = elapsed_s > interval_s / 2
    return float((steps_j[long_enough] / elapsed_s[long_enough]).max()) if long_enough.any() else None
