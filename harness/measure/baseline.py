"""Idle power: what net energy subtracts."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.core.readings import Finding
from harness.measure.meter import Meter
from harness.measure.reading import mean_power_w
from harness.measure.window import Window

# Idle power before and after that differs by more than this makes net energy doubtful.
MAX_IDLE_DRIFT = 0.1


def measure_idle(
    meter: Meter,
    duration_s: float,
    phase: str = "idle_before",
    repetition: int = 0,
    sync: Callable[[], None] | None = None,
) -> Window:
    """Do nothing for `duration_s` seconds inside a window and return it; `Meter.set_idle` makes it the baseline."""
    with meter.window(phase, repetition=repetition, sync=sync) as window:
        time.sleep(duration_s)
    return window


def check_idle_drift(before: Window, after: Window) -> tuple[Finding, ...]:
    """Return a finding for every sensor whose idle power changed by more than `MAX_IDLE_DRIFT` over the run.

    Modelled power is passed over: its idle says how busy the machine was, not what it drew.
    """
    findings = []
    for reading, later in zip(before.readings, after.readings, strict=True):
        before_w, after_w = mean_power_w(reading, before.duration_s), mean_power_w(later, after.duration_s)
        if not before_w or after_w is None or reading.method == "modelled":
            continue
        drift = after_w / before_w - 1
        if abs(drift) > MAX_IDLE_DRIFT:
            text = f"idle power of {reading.sensor} {reading.domain} went from {before_w:.3g} W to {after_w:.3g} W"
            findings.append(
                Finding(code="idle_drift", severity="warning", text=text, value=drift, limit=MAX_IDLE_DRIFT)
            )
    return tuple(findings)
