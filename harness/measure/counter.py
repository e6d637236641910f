"""The energy of a window by a cumulative counter: its value at both edges, corrected for the phase of its ticks."""

from __future__ import annotations

import numpy as np

from harness.core.readings import Finding, SensorInfo
from harness.measure.edges import EdgeEnergy, combine_edges_j, energy_at
from harness.measure.integrate import Integral, unknown
from harness.measure.samples import FloatArray, RowArray, Samples
from harness.measure.ticks import CONTEXT_PERIODS, Period, find_brackets, locate_ticks

# Without a measured period ticks are looked for this far around an edge.
_DEFAULT_PERIOD_S = 0.1
# A counter that does not tick for this many periods stands still; one that rises this many times faster than the
# device can draw power is wrong.
STUCK_PERIODS = 5.0
_MAX_POWER_FACTOR = 5.0
# No single device of today draws more.
_MAX_POWER_W = 100_000.0


def read_counter(
    info: SensorInfo, samples: Samples, edges_s: tuple[float, float], period: Period | None, why: str | None
) -> Integral:
    """Return the energy between two times (s, monotonic) by the counter in `samples`.

    `why` is what is known about reads that failed. Unknown where the counter could not be read around an edge, where it
    fell in between (a reset: what it had counted is lost), where it stands still, and where it rises faster than the
    device can draw power.
    """
    begin_s, end_s = edges_s
    failed = f": {why}" if why else ""
    period_s = period.period_s if period is not None else info.update_period_s or _DEFAULT_PERIOD_S
    around_s = max(CONTEXT_PERIODS * period_s, 4 * _DEFAULT_PERIOD_S)
    rows = samples.between(begin_s - around_s, end_s + around_s)
    rows = rows[~np.isnan(rows["energy_j"])]
    rows, fall_j = cut_at_falls(rows, begin_s, end_s)
    if fall_j is not None:
        reason = f"the counter fell by {fall_j:.6g} J inside the window (reset or driver reload)"
        return unknown("counter_reset", reason, -fall_j, 0.0)
    near_edges: list[EdgeEnergy] = []
    for name, edge_s in (("beginning", begin_s), ("end", end_s)):
        near = rows[(rows["time_s"] >= edge_s - around_s) & (rows["time_s"] <= edge_s + around_s)]
        at_edge = energy_at(edge_s, locate_ticks(near, period), period, power_around(samples, edge_s, period_s))
        if at_edge is None:
            return _explain(name, edge_s, near, period_s, failed)
        near_edges.append(at_edge)
    begin, end = near_edges
    highest_w = info.power_limit_w or 2 * max(begin.high_w, end.high_w)
    jump_w = _find_jump_w(info, samples, edges_s, rows)
    if jump_w is not None:
        reason = f"the counter rose at {jump_w:.3g} W inside the window, more than the device can draw"
        return unknown("counter_jump", reason, jump_w)
    energy_j = end.energy_j - begin.energy_j
    if energy_j <= 0:
        return unknown("counter_stuck", "the counter did not move inside the window", 0.0)
    still_s = _longest_still_s(rows, begin_s, end_s)
    findings: tuple[Finding, ...] = ()
    if still_s > STUCK_PERIODS * max(period_s, _DEFAULT_PERIOD_S):
        text = f"the counter stood still for {still_s:.2f} s inside the window"
        findings = (Finding(code="counter_stuck", severity="warning", text=text, value=still_s, limit=period_s),)
    return Integral(energy_j, combine_edges_j(begin, end, end_s - begin_s, highest_w), None, findings)


def power_around(samples: Samples, edge_s: float, period_s: float) -> FloatArray:
    """Return the power samples (W) near an edge: old enough and late enough to have seen the tick it lies in."""
    rows = samples.between(edge_s - 4 * period_s, edge_s + 2 * period_s)
    power_w = rows["power_w"].astype(np.float64)
    return power_w[~np.isnan(power_w)]


def cut_at_falls(rows: RowArray, begin_s: float, end_s: float) -> tuple[RowArray, float | None]:
    """Return the rows between the falls of the counter around a window, and how far it fell inside (J) if it did."""
    falls = np.flatnonzero(np.diff(rows["energy_j"]) < 0)
    first, last = 0, int(rows.size)
    for fall in falls.tolist():
        if rows["time_s"][fall + 1] <= begin_s:
            first = fall + 1
        elif rows["time_s"][fall] >= end_s:
            last = min(last, fall + 1)
        else:
            return rows, float(rows["energy_j"][fall] - rows["energy_j"][fall + 1])
    return rows[first:last], None


def _explain(name: str, edge_s: float, near: RowArray, period_s: float, failed: str) -> Integral:
    """Say why there is no energy at an edge: nothing was read there, or what was read does not move."""
    close_s = STUCK_PERIODS * max(period_s, _DEFAULT_PERIOD_S)
    before = near[(near["time_s"] > edge_s - close_s) & (near["time_s"] <= edge_s)]
    after = near[near["time_s"] > edge_s]
    if before.size and after.size and (near["time_s"][-1] - near["time_s"][0]) > 2 * period_s:
        return unknown("counter_stuck", f"the counter did not move around the window's {name}{failed}")
    return unknown("sensor_failed", f"the counter could not be read at the window's {name}{failed}")


def _find_jump_w(info: SensorInfo, samples: Samples, edges_s: tuple[float, float], rows: RowArray) -> float | None:
    """Return a rate of the counter that no device could draw, or ``None``."""
    earliest_s, latest_s, energy_j = find_brackets(rows)
    inside = (latest_s >= edges_s[0]) & (earliest_s <= edges_s[1])
    earliest_s, latest_s, energy_j = earliest_s[inside], latest_s[inside], energy_j[inside]
    if latest_s.size < 2:
        return None
    rate_w = float(np.max(np.diff(energy_j) / np.maximum(latest_s[1:] - earliest_s[:-1], 1e-6)))
    power_w = samples.between(*edges_s)["power_w"]
    seen_w = float(np.nanmax(power_w)) if np.any(~np.isnan(power_w)) else 0.0
    known_w = max(seen_w, info.power_limit_w or 0.0)
    limit_w = _MAX_POWER_FACTOR * known_w if info.power_limit_w else _MAX_POWER_W
    return rate_w if rate_w > limit_w else None


def _longest_still_s(rows: RowArray, begin_s: float, end_s: float) -> float:
    """Return the longest time inside the window over which reads showed one and the same value, at least 0 s."""
    starts = np.append(0, np.flatnonzero(np.diff(rows["energy_j"]) != 0) + 1)
    firsts_s = np.maximum(rows["time_s"][starts], begin_s)
    lasts_s = np.minimum(rows["time_s"][np.append(starts[1:], rows.size) - 1], end_s)
    return float((lasts_s - firsts_s).max(initial=0.0))
