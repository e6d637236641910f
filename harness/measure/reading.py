"""From one sensor's samples to the reading of one window, and what must be known about it."""

from __future__ import annotations

import dataclasses

import numpy as np

from harness.core.records import EnergyReading, Finding, SensorInfo
from harness.measure import integrate
from harness.measure.sampler import Samples

# Findings: an edge bound, or a gap between counter and integrated power, above these shares of the energy.
MAX_EDGE_SHARE = 0.05
MAX_CROSSCHECK_GAP = 0.1
# Samples before a window that still tell how often a counter ticks.
_PERIOD_SAMPLES = 600


def read_window(
    info: SensorInfo, samples: Samples, indices: tuple[int, int], edges_s: tuple[float, float], interval_s: float
) -> tuple[EnergyReading, list[Finding]]:
    """Turn the samples of one sensor between two indices into a reading and its findings."""
    first, last = indices
    times_s, energy_j, power_w, _ = samples.between(first, last)
    failed = samples.last_error
    max_hold_s = integrate.MAX_HOLD_INTERVALS * interval_s
    by_power = integrate.integrate_power(times_s, power_w, *edges_s, max_hold_s=max_hold_s, last_error=failed)
    cumulative = info.method != "sampled"
    result = integrate.difference_counter(energy_j, failed) if cumulative else by_power
    findings = list(result.findings)

    valid = ~np.isnan(energy_j if cumulative else power_w)
    coverage = integrate.measure_coverage(times_s[valid], *edges_s, max_hold_s)
    gap_s = integrate.find_longest_gap_s(times_s[valid], *edges_s)
    if gap_s > max_hold_s:
        text = f"no sample for {gap_s:.2f} s"
        findings.append(Finding(code="sampling_gap", severity="warning", text=text, value=gap_s, limit=max_hold_s))

    crosscheck_j = uncertainty_j = None
    if info.method != "modelled":
        crosscheck_j = by_power.energy_j if cumulative else None
        history_s, history_j, history_w, _ = samples.between(last - _PERIOD_SAMPLES, last)
        period_s = info.update_period_s
        if period_s is None:
            period_s = integrate.estimate_update_period_s(history_s, history_j if cumulative else history_w, interval_s)
        elif not cumulative:
            period_s += interval_s
        range_w = integrate.find_power_range_w(
            times_s, energy_j, power_w, max(interval_s, 2 * (period_s or interval_s))
        )
        bound = integrate.bound_counter_edges_j if cumulative else integrate.bound_power_edges_j
        uncertainty_j = bound(range_w, period_s)
    findings.extend(check_reading(result.energy_j, uncertainty_j, crosscheck_j))
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
        uncertainty_j=uncertainty_j,
        num_samples=int(valid.sum()),
        coverage=coverage,
        reason=result.reason,
    )
    return reading, findings


def check_reading(energy_j: float | None, uncertainty_j: float | None, crosscheck_j: float | None) -> list[Finding]:
    """Return findings about a wide edge bound and about a counter and its integrated power that disagree."""
    findings = []
    if energy_j and uncertainty_j is not None and uncertainty_j > MAX_EDGE_SHARE * energy_j:
        share = uncertainty_j / energy_j
        text = f"the edges of the window leave {share:.0%} of its energy open; make it longer"
        findings.append(
            Finding(code="edge_uncertainty", severity="warning", text=text, value=share, limit=MAX_EDGE_SHARE)
        )
    if energy_j and crosscheck_j is not None:
        gap = (crosscheck_j - energy_j) / energy_j
        limit = MAX_CROSSCHECK_GAP + (uncertainty_j or 0.0) / energy_j
        if abs(gap) > limit:
            text = f"integrated power differs from the counter by {gap:+.0%}"
            findings.append(Finding(code="crosscheck_gap", severity="warning", text=text, value=gap, limit=limit))
    return findings


def subtract_idle(reading: EnergyReading, idle_w: float | None, duration_s: float) -> EnergyReading:
    """Return the reading with the energy above idle power beside the gross energy; unknown parts leave it unknown."""
    net_j = None if idle_w is None or reading.energy_j is None else reading.energy_j - idle_w * duration_s
    return dataclasses.replace(reading, idle_w=idle_w, net_energy_j=net_j)


def mean_power_w(reading: EnergyReading, duration_s: float) -> float | None:
    """Return the mean gross power of a reading over its window, in watts; ``None`` when its energy is unknown."""
    return None if reading.energy_j is None or duration_s <= 0 else reading.energy_j / duration_s
