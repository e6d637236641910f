"""What a worker knows of the run that the run itself does not: its isolation, and findings about its surroundings."""

from __future__ import annotations

import dataclasses
import os

from harness.core.readings import Finding
from harness.core.records import RunRecord

_isolation: list[str] = []
_commands: list[int] = []
_noted: list[Finding] = []


def begin_conditions(isolation: str | None = None, command_pid: int | None = None) -> None:
    """Forget the run before; `isolation` is what this one runs under, `command_pid` the process that shows progress."""
    _isolation[:] = [] if isolation is None else [isolation]
    _commands[:] = [] if command_pid is None else [command_pid]
    _noted.clear()


def watching_pids() -> tuple[int, ...]:
    """Return the processes that watch over this one: its parent, and the command behind a parent that only forks."""
    return tuple({os.getppid(), *_commands})


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
