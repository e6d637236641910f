"""A calibration in words: one small table a GPU, and under it what was not found and why."""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.measure.fit import AGREEMENT_LOADS
from harness.run.calibrate import CalibrationResult
from harness.sensors.profile import Fit

_GAIN_NOTE = (
    "Counter and power come from the same GPU: their ratio says how they agree, not how far both are from the truth.\n"
    "An absolute gain takes a meter outside the machine; the documented gain error stays."
)
_WIDTH = 24


def calibration_to_text(result: CalibrationResult) -> str:
    """Return one GPU's results as a table; half-widths are of 95% intervals."""
    profile = result.profile
    unknown: dict[str, list[str]] = {}

    def show(what: str, fit: Fit, scale: float = 1.0, unit: str = "") -> str:
        if fit.value is None:
            unknown.setdefault(fit.reason or "no reason is known", []).append(what)
            return "unknown"
        half = "" if fit.half is None else f" ± {_digits(fit.half * scale)}"
        return f"{fit.value * scale:{'.4f' if unit == '' else '.2f'}}{half}{unit}"

    def ms(what: str, fit: Fit) -> str:
        return show(what, fit, 1e3, " ms")

    lines = [
        f"{profile.device}, driver {profile.driver_version or 'unknown'}",
        f"  counter   updated every {ms('counter period', profile.counter_period_s)}",
        f"  jitter    {ms('counter jitter', profile.counter_jitter_s)}",
        f"  idle      {show('idle power', profile.idle_w, 1, ' W')}",
        f"  drift     {show('idle drift', profile.idle_drift_w, 1, ' W')} after the loads",
        f"  reads     every {profile.read_interval_s * 1e3:.2f} ms",
        "",
        "  " + "".join(f"{title:<{_WIDTH}}" for title in ("signal", "period", "window", "delay", "lag")).rstrip(),
    ]
    for signal in profile.signals:
        fits = {"period": signal.period_s, "window": signal.window_s, "delay": signal.delay_s, "lag": signal.lag_s}
        cells = [ms(f"{name} of {signal.name}", fit) for name, fit in fits.items()]
        lines.append("  " + "".join(f"{cell:<{_WIDTH}}" for cell in (f"{signal.name} power", *cells)).rstrip())
    titles = ("counter ÷ integral of", *(f"under {load}" for load in AGREEMENT_LOADS))
    lines += ["", "  " + "".join(f"{title:<{_WIDTH}}" for title in titles).rstrip()]
    for signal in profile.signals:
        cells = [show(f"{signal.name} under {load}", fit) for load, fit in signal.agreement.items()]
        lines.append("  " + "".join(f"{cell:<{_WIDTH}}" for cell in (f"{signal.name} power", *cells)).rstrip())
    if unknown:
        lines.append("")
        lines.extend(f"  not found: {', '.join(what)}: {reason}" for reason, what in unknown.items())
    lines.extend(f"  {finding.severity}: {finding.text}" for finding in profile.findings)
    lines += [
        "",
        f"  saved as {result.path}; later windows use it.",
        *(f"  {line}" for line in _GAIN_NOTE.splitlines()),
    ]
    return "\n".join(lines)


def calibration_to_json(result: CalibrationResult) -> dict[str, Any]:
    """Return the profile as plain data, with the file that holds it as ``saved_as``."""
    return dataclasses.asdict(result.profile) | {"saved_as": str(result.path)}


def _digits(value: float) -> str:
    """Return a half-width with two digits that mean something."""
    return f"{value:.2g}" if value < 100 else f"{value:.0f}"
