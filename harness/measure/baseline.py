"""Idle power: what net energy subtracts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.core.records import Finding

if TYPE_CHECKING:
    from harness.measure.window import Meter, Window

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


def estimate_idle_w(window: Window) -> tuple[float | None, ...]:
    """Return the mean gross power of a closed window per sensor, in watts; unknown energy gives ``None``."""
    return tuple(
        None if reading.energy_j is None or window.duration_s <= 0 else reading.energy_j / window.duration_s
        for reading in window.readings
    )


def check_idle_drift(before: Window, after: Window) -> tuple[Finding, ...]:
    """Return a finding for every sensor whose idle power changed by more than `MAX_IDLE_DRIFT` over the run."""
    findings = []
    for reading, before_w, after_w in zip(
        before.readings, estimate_idle_w(before), estimate_idle_w(after), strict=True
    ):
        if not before_w or after_w is None:
            continue
        drift = after_w / before_w - 1
        if abs(drift) > MAX_IDLE_DRIFT:
            text = f"idle power of {reading.sensor} {reading.domain} went from {before_w:.3g} W to {after_w:.3g} W"
            findings.append(
                Finding(code="idle_drift", severity="warning", text=text, value=drift, limit=MAX_IDLE_DRIFT)
            )
    return tuple(findings)
