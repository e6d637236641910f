"""What the devices were doing inside a window, as findings: clocks held down, other processes, temperature."""

from __future__ import annotations

import os
from collections.abc import Sequence

from harness.core.readings import Finding, SensorInfo
from harness.measure.sampler import StateSample

# States are read about once a second, so one a little later still tells of a short window.
_AFTERGLOW_S = 1.5


def states_of(states: Sequence[StateSample], begin_s: float, end_s: float) -> list[StateSample]:
    """Return the states read inside a window or just after it."""
    return [state for state in states if begin_s <= state.time_s <= end_s + _AFTERGLOW_S]


def hottest_c(states: Sequence[StateSample], begin_s: float, end_s: float) -> float | None:
    """Return the hottest device's temperature over a window in degrees Celsius; the state before it for a short one."""
    chosen = states_of(states, begin_s, end_s) or [state for state in states if state.time_s < begin_s][-1:]
    known = [state.state.temperature_c for state in chosen if state.state.temperature_c is not None]
    return max(known, default=None)


def find_state_problems(
    infos: Sequence[SensorInfo], states: Sequence[StateSample], begin_s: float, end_s: float
) -> list[Finding]:
    """Return findings for throttled clocks and for devices that others computed on during the window."""
    findings = []
    inside = states_of(states, begin_s, end_s)
    for i, info in enumerate(infos):
        own = [state.state for state in inside if state.sensor == i]
        where = f"{info.name} {info.domain} {info.device_index}"
        reasons = sorted({reason for state in own for reason in state.throttle_reasons or ()})
        if reasons:
            text = f"{where}: clocks were held down by {', '.join(reasons)}"
            findings.append(Finding(code="throttled", severity="info", text=text))
        pids = {pid for state in own for pid in state.process_ids or ()}
        others = pids - _own_process_ids() if pids else set()
        if others:
            text = f"{where}: {len(others)} other process(es) used the device"
            findings.append(
                Finding(code="device_shared", severity="warning", text=text, value=float(len(others)), limit=0.0)
            )
    return findings


def _own_process_ids() -> set[int]:
    """Return the measured process and its children, and the ranks that one launcher started beside it."""
    import psutil  # noqa: PLC0415 - only where a device tells its processes

    own = psutil.Process(os.getpid())
    try:
        launcher = own.parent() if "TORCHELASTIC_RUN_ID" in os.environ else None
        own = launcher or own
        return {own.pid, *(child.pid for child in own.children(recursive=True))}
    except psutil.Error:
        return {own.pid}
