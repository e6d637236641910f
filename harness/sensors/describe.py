"""The sensors of this machine in words: what is there, how far to trust it, what would mend what is not."""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.sensors.base import SensorStatus
from harness.sensors.discover import list_sensors

GRADE_WORDS = {
    "A": "hardware energy counter",
    "B": "sampled hardware power",
    "C": "modelled, not measured",
    "D": "assumed",
}


def sensors_to_text(statuses: list[SensorStatus] | None = None) -> str:
    """Return one block a sensor; simulated ones are named last, since they are opened only by name."""
    found = list_sensors() if statuses is None else statuses
    lines = []
    for status in sorted(found, key=lambda status: status.simulated):
        if not status.available:
            lines.append(f"-  {status.name:<11} not there: {status.reason or 'it cannot be read'}")
            if status.fix:
                lines.append(f"{'':15}to get it: {status.fix}")
            continue
        grade = status.grade or "?"
        kind = "simulated" if status.simulated else GRADE_WORDS.get(grade, "")
        lines.append(f"{grade}  {status.name:<11} {status.domain}: {status.device} ({kind})")
        if status.reason and not status.simulated:
            lines.append(f"{'':15}{status.reason}")
    return "\n".join(lines)


def sensors_to_json(statuses: list[SensorStatus] | None = None) -> list[dict[str, Any]]:
    """Return the same as plain data."""
    return [dataclasses.asdict(status) for status in (list_sensors() if statuses is None else statuses)]


def can_measure_energy(statuses: list[SensorStatus]) -> bool:
    """Return whether a real sensor of grade A or B can be read: only then an energy claim gets a verdict."""
    return any(s.available and not s.simulated and s.grade in ("A", "B") for s in statuses)
