"""What a measured command drew, as text for people and as JSON for programs."""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.core.readings import EnergyReading
from harness.core.units import format_digits
from harness.measure.command import CommandEnergy, Stretch
from harness.measure.totals import total_energy_j
from harness.sensors.describe import GRADE_WORDS

SCHEMA_VERSION = 1


def command_to_text(result: CommandEnergy) -> str:
    """Return a table: one line per device and domain, then the total, the time and what must be known."""
    lines = ["", f" Energy of '{' '.join(result.command)}':", ""]
    for reading in result.readings:
        lines.extend(_describe(reading, result.duration_s))
    total_j = result.energy_j
    if len(result.readings) > 1:
        lines.append(f"{_joules(total_j):>16}  in total" + _say_modelled(result, total_j))
    if not result.readings:
        lines.append(f"{'unknown':>16}  no sensor could be read")
    lines.append(f"{result.duration_s:>14.3f} s  elapsed, exit code {result.exit_code}")
    notes = [finding for finding in result.findings if finding.severity != "info"]
    if notes:
        lines.append("")
        lines.extend(f" {finding.severity}: {finding.text}" for finding in notes)
    return "\n".join(lines) + "\n"


def stretch_to_text(stretch: Stretch) -> str:
    """Return one line for an interval: when it ended and what each device drew."""
    parts = [
        f"{reading.domain} {reading.device_index} {_joules(reading.energy_j)}"
        f" ({_watts(reading.energy_j, stretch.end_s - stretch.begin_s)})"
        for reading in stretch.readings
    ]
    return f"{stretch.end_s:10.3f} s  " + ("  ".join(parts) or "unknown: no sensor could be read")


def _say_modelled(result: CommandEnergy, total_j: float | None) -> str:
    """Return what of a total is not measured."""
    if total_j is None:
        return " (a part is unknown)"
    modelled = [reading for reading in result.readings if reading.method == "modelled"]
    if not modelled:
        return ""
    measured = [reading for reading in result.readings if reading.method != "modelled"]
    measured_j = total_energy_j(measured) if measured else 0.0
    return f", of which {_joules(total_j - (measured_j or 0.0))} modelled, not measured"


def _describe(reading: EnergyReading, duration_s: float) -> list[str]:
    word = "simulated" if reading.simulated else GRADE_WORDS[reading.grade]
    where = f"{reading.domain} {reading.device_index}: {reading.device}"
    lines = [f"{_joules(reading.energy_j):>16}  {where}"]
    if reading.energy_j is None:
        lines.append(f"{'':18}{reading.reason}")
    else:
        spread = (
            "" if reading.uncertainty_j is None else f" \u00b1 {format_digits(reading.uncertainty_j)} J (95%, timing)"
        )
        gain = "" if reading.gain_error is None else f" \u00b1 {reading.gain_error:.0%} (sensor gain)"
        peak = "" if reading.peak_power_w is None else f", peak {format_digits(reading.peak_power_w)} W"
        lines.append(f"{'':18}{_watts(reading.energy_j, duration_s)} mean{peak};{spread}{gain or ''}".rstrip(";"))
    if reading.net_energy_j is not None:
        lines.append(
            f"{'':18}{_joules(reading.net_energy_j)} above {format_digits(reading.idle_w or 0.0)} W of idle power"
        )
    covered = "" if reading.coverage is None else f", {reading.coverage:.0%} covered"
    lines.append(f"{'':18}grade {reading.grade} ({word}), {reading.method}, {reading.num_samples} samples{covered}")
    return lines


def _joules(energy_j: float | None) -> str:
    return "unknown" if energy_j is None else f"{energy_j:.2f} J"


def _watts(energy_j: float | None, duration_s: float) -> str:
    return "unknown" if energy_j is None or duration_s <= 0 else f"{format_digits(energy_j / duration_s)} W"


def command_to_json(result: CommandEnergy) -> dict[str, Any]:
    """Return the result as plain data; unknown numbers are null, with the reason beside them."""
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "command": list(result.command),
        "exit_code": result.exit_code,
        "duration_s": result.duration_s,
        "energy_j": result.energy_j,
        "readings": [_reading_to_json(reading, result.duration_s) for reading in result.readings],
        "findings": [dataclasses.asdict(finding) for finding in result.findings],
    }
    if result.stretches:
        content["intervals"] = [
            {
                "begin_s": stretch.begin_s,
                "end_s": stretch.end_s,
                "readings": [
                    _reading_to_json(reading, stretch.end_s - stretch.begin_s) for reading in stretch.readings
                ],
            }
            for stretch in result.stretches
        ]
    return content


def _reading_to_json(reading: EnergyReading, duration_s: float) -> dict[str, Any]:
    mean_w = reading.energy_j / duration_s if reading.energy_j is not None and duration_s > 0 else None
    return {
        "sensor": reading.sensor,
        "domain": reading.domain,
        "device_index": reading.device_index,
        "device": reading.device,
        "energy_j": reading.energy_j,
        "grade": reading.grade,
        "method": reading.method,
        "uncertainty_j": reading.uncertainty_j,
        "gain_error": reading.gain_error,
        "num_samples": reading.num_samples,
        "coverage": reading.coverage,
        "crosscheck_j": reading.crosscheck_j,
        "mean_power_w": mean_w,
        "peak_power_w": reading.peak_power_w,
        "net_energy_j": reading.net_energy_j,
        "idle_w": reading.idle_w,
        "simulated": reading.simulated,
        "reason": reading.reason,
    }
