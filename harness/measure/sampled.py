"""The energy of a window by sampled power: aligned for the sensor's averaging, widened for the time it does not see."""

from __future__ import annotations

import math

import numpy as np

from harness.core.readings import Finding, SensorInfo
from harness.measure.integrate import (
    MAX_HOLD_INTERVALS,
    Integral,
    estimate_update_period_s,
    integrate_power,
)
from harness.measure.samples import Samples

# 95% of the error of an edge within +-half the resolution, times the levels of power around it.
_EDGE_SHARE = 0.7
# What a load may hide at an edge between two updates, and inside a longer mean, as shares of its power over that time.
_HIDDEN_SHARE = 0.25
_HIDDEN_IN_MEAN = 0.15
_RESOLUTION_W = 0.001


def find_lag_s(info: SensorInfo, poll_interval_s: float) -> float:
    """Return how long after the fact sampled power tells it, in seconds; 0 where the sensor's timing is unknown.

    A value is the mean of the window before its update, on average half a window old, and is shown for one update
    period, on average half a period longer, until a poll sees it, half a poll later. A calibration may have found that
    the mean ends some time before its update; that delay counts too.
    """
    if info.power_period_s is None or info.power_window_s is None:
        return 0.0
    return (info.power_window_s + info.power_period_s + poll_interval_s) / 2 + (info.power_delay_s or 0.0)


def read_power(
    info: SensorInfo, samples: Samples, edges_s: tuple[float, float], poll_interval_s: float, why: str | None
) -> Integral:
    """Return the energy between two times (s, monotonic) as the hold-last integral of power, shifted by its lag.

    The half-width covers the edges, and for a sensor that is blind for a part of each period whatever a load could have
    drawn meanwhile, between nothing and the power limit: a load locked to the sensor can hide there.
    """
    lag_s = find_lag_s(info, poll_interval_s)
    begin_s, end_s = edges_s[0] + lag_s, edges_s[1] + lag_s
    around_s = (info.power_window_s or 0.0) + 2 * ((info.power_period_s or 0.0) + poll_interval_s)
    rows = samples.between(begin_s - around_s, end_s + around_s)
    times_s, power_w = rows["time_s"].astype(np.float64), rows["power_w"].astype(np.float64)
    hold_s = MAX_HOLD_INTERVALS * poll_interval_s + lag_s
    result = integrate_power(times_s, power_w, begin_s, end_s, max_hold_s=hold_s, last_error=why)
    if result.energy_j is None:
        return result
    known = ~np.isnan(power_w)
    times_s, power_w = times_s[known], power_w[known]
    period_s = info.power_period_s or estimate_update_period_s(times_s, power_w, poll_interval_s)
    resolution_s = (period_s or poll_interval_s) + poll_interval_s + (info.power_window_s or 0.0)
    step_s = (period_s or poll_interval_s) + poll_interval_s
    hidden_s = max(_HIDDEN_SHARE * step_s, _HIDDEN_IN_MEAN * (info.power_window_s or 0.0))
    halves_j = []
    for edge_s in (begin_s, end_s):
        near_w = power_w[np.abs(times_s - edge_s) <= resolution_s]
        range_w = float(np.ptp(near_w)) if near_w.size else float(np.ptp(power_w))
        level_w = float(near_w.mean()) if near_w.size else float(power_w.mean())
        halves_j.append(max(_EDGE_SHARE * range_w * resolution_s / 2, level_w * hidden_s))
    duration_s = edges_s[1] - edges_s[0]
    half_j = math.hypot(*halves_j) + _RESOLUTION_W * duration_s
    findings: tuple[Finding, ...] = ()
    blind = blind_share(info)
    if blind > 0 and info.method == "sampled":
        mean_w = result.energy_j / duration_s
        highest_w = max(info.power_limit_w or 0.0, float(power_w.max()))
        half_j += blind * max(mean_w, highest_w - mean_w) * duration_s
        text = f"the sensor sees {1 - blind:.0%} of the time; a load in step with it can hide, so the range is wide"
        findings = (Finding(code="blind_sensor", severity="warning", text=text, value=blind, limit=0.0),)
    return Integral(result.energy_j, half_j, None, findings)


def blind_share(info: SensorInfo) -> float:
    """Return the share of the time that the power sensor does not see, 0 where its timing is unknown."""
    if info.power_period_s is None or info.power_window_s is None or info.power_period_s <= 0:
        return 0.0
    return max(0.0, 1 - info.power_window_s / info.power_period_s)
