"""What a worker knows of the run that the run itself does not: its isolation, and findings about its surroundings."""

from __future__ import annotations

import dataclasses

from harness.core.readings import Finding
from harness.core.records import RunRecord

_isolation: list[str] = []
_noted: list[Finding] = []


def begin_conditions(isolation: str | None = None) -> None:
    """Forget the run before; `isolation` is what this one runs under."""
    _isolation[:] = [] if isolation is None else [isolation]
    _noted.clear()


def note(finding: Finding) -> None:
    """Keep a finding for the record of the run under way."""
    _noted.append(finding)


def note_unlocked() -> None:
    """Keep that the run holds no lock of its device."""
    text = "the device was shared by request (lock=off): other measured runs could use it at the same time"
    note(Finding(code="device_not_locked", severity="info", text=text))


def add_conditions(record: RunRecord) -> RunRecord:
    """Return the record with the isolation in its environment and the findings that were noted."""
    environment = record.environment
    if environment is not None and _isolation:
        environment = dataclasses.replace(environment, isolation=_isolation[0])
    return dataclasses.replace(record, environment=environment, findings=(*record.findings, *_noted))
