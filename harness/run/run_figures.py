"""What one record says of the cost of its run: training, the rest, energy, the machine; everything else is not read.

A study's status, its budget and its estimates need no more, so that thousands of records are read in seconds.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from harness.core.collector import pause_collector
from harness.core.errors import RecordError
from harness.core.plain_json import read_bytes, why_unreadable
from harness.core.readings import Domain, Grade, Method, SensorInfo, worst_grade
from harness.core.records import SCHEMA_VERSION
from harness.core.store import MAX_RECORD_BYTES
from harness.core.strict import Integer, StrictReader
from harness.sensors.overlap import domains_to_sum

_Amount = Annotated[float, msgspec.Meta(ge=-1e30, le=1e30)]
_TRAINING = "pretrain"


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """The machine of a run, as far as speed goes: records of different ones say nothing of each other's time."""

    device: str
    name: str
    num_cpus: int
    num_threads: int

    def __str__(self) -> str:
        if self.device != "cpu":
            return self.name
        threads = "1 thread" if self.num_threads == 1 else f"{self.num_threads} threads"
        return f"{self.name}, {self.num_cpus} CPUs, {threads}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """The cost of one run of a store, its own part alone: of a branch only what came after the fork.

    `train_s`, `train_j` and `train_flops` are those of its training windows. `rest_s` is all other time from its first
    window's begin to its last window's end, `rest_j` the energy of all other windows. Joules count every device once
    and are ``None`` as soon as a window's are unknown, `energy_reason` says why. A failed run keeps no windows: its
    `failed_s` lasts from its start to its end, ``None`` where the record does not say when that was, and its work and
    energy are not known.
    """

    run_id: str
    arm: str
    size: str
    role: str
    seed: int
    status: Literal["finished", "failed"]
    started_s: float | None
    device: DeviceKey | None
    error: str | None = None
    train_flops: float = 0.0
    train_s: float = 0.0
    train_j: float | None = None
    rest_s: float = 0.0
    rest_j: float | None = None
    grade: Grade | None = None
    energy_reason: str | None = None
    failed_s: float | None = None

    @property
    def seconds(self) -> float | None:
        """Return the time of the run in seconds, without the start of its process."""
        return self.train_s + self.rest_s if self.status == "finished" else self.failed_s

    @property
    def joules(self) -> float | None:
        """Return the energy of all windows of the run."""
        if self.status != "finished" or self.rest_j is None:
            return None
        if self.train_flops == 0 and self.train_s == 0:
            return self.rest_j
        return None if self.train_j is None else self.train_j + self.rest_j


def load_figures(root: Path) -> tuple[list[RunFigures], list[str]]:
    """Return the figures of all records of the store at `root` by run id, and one line for each that is unreadable."""
    figures, unreadable = [], []
    with pause_collector():
        for path in sorted((root / "records").glob("[!.]*.json")):
            try:
                figures.append(read_figures(path))
            except RecordError as error:
                unreadable.append(str(error))
    return figures, unreadable


def read_figures(path: Path) -> RunFigures:
    """Return the figures of the record at `path`; the file's name is the run's id.

    Raises:
        RecordError: it is no record, or one of a newer isojoule.
    """
    what = f"{path.name} is not a readable run record"
    try:
        record = _READER.read(read_bytes(path, MAX_RECORD_BYTES), what)
    except OSError as error:
        raise RecordError(f"{what}: {why_unreadable(error)}") from error
    if record.schema_version > SCHEMA_VERSION:
        raise RecordError(f"{path.name} has record schema {record.schema_version}, newer than this isojoule reads.")
    return _to_figures(record, path.stem)


def total_time_s(spans: list[tuple[str, float, float]], *, resumed: bool) -> float:
    """Return the seconds of a run from its windows ``(phase, begin_s, duration_s)`` in order, with what lies between.

    Training windows of a run that was resumed count from the start of another process: the gaps before them are not
    counted.
    """
    total, end_s = 0.0, None
    for phase, begin_s, duration_s in spans:
        if end_s is not None and not (resumed and phase == _TRAINING):
            total += max(0.0, begin_s - end_s)
        total += duration_s
        end_s = begin_s + duration_s
    return total


class _Reading(msgspec.Struct, frozen=True, gc=False):
    sensor: str
    domain: Domain
    energy_j: _Amount | None
    grade: Grade
    method: Method
    simulated: bool = False
    reason: str | None = None


class _Work(msgspec.Struct, frozen=True, gc=False):
    flops: _Amount | None = None


class _Window(msgspec.Struct, frozen=True, gc=False):
    phase: str
    begin_s: _Amount
    duration_s: Annotated[float, msgspec.Meta(ge=0, le=1e30)]
    work: _Work | None
    energy: tuple[_Reading, ...]


class _Environment(msgspec.Struct, frozen=True, gc=False):
    device: str
    device_name: str
    num_cpus: Integer
    num_threads: Integer


class _Finding(msgspec.Struct, frozen=True, gc=False):
    code: str


class _Record(msgspec.Struct, frozen=True, gc=False):
    schema_version: Integer
    run_id: str
    arm: str
    size: str
    role: str
    seed: Integer
    status: Literal["finished", "failed"]
    started_utc: str
    environment: _Environment | None = None
    windows: tuple[_Window, ...] = ()
    findings: tuple[_Finding, ...] = ()
    error: str | None = None
    ended_utc: str | None = None


_READER = StrictReader(_Record, unique_keys=False)


def _to_figures(record: _Record, run_id: str) -> RunFigures:
    started_s = parse_utc(record.started_utc)
    ended_s = None if record.ended_utc is None else parse_utc(record.ended_utc)
    failed_s = None
    if record.status == "failed" and started_s is not None and ended_s is not None:
        failed_s = max(0.0, ended_s - started_s)
    training = [window for window in record.windows if window.phase == _TRAINING]
    resting = [window for window in record.windows if window.phase != _TRAINING]
    resumed = any(finding.code == "resumed" for finding in record.findings)
    total_s = total_time_s([(w.phase, w.begin_s, w.duration_s) for w in record.windows], resumed=resumed)
    train_s = sum(window.duration_s for window in training)
    counted = list(_counted(record.windows))
    grades: list[Grade] = ["D" if reading.simulated else reading.grade for reading in counted]
    unknown = next((reading for reading in counted if reading.energy_j is None), None)
    reason = "no sensor was read" if not counted else None
    if unknown is not None:
        reason = f"{unknown.sensor} {unknown.domain}: {unknown.reason or 'no reading'}"
    env = record.environment
    return RunFigures(
        run_id=run_id,
        arm=record.arm,
        size=record.size,
        role=record.role,
        seed=record.seed,
        status=record.status,
        started_s=started_s,
        device=None if env is None else DeviceKey(env.device, env.device_name, env.num_cpus, env.num_threads),
        error=record.error,
        train_flops=sum(w.work.flops or 0.0 for w in training if w.work is not None),
        train_s=train_s,
        train_j=_sum_joules(training),
        rest_s=max(0.0, total_s - train_s),
        rest_j=_sum_joules(resting),
        grade=worst_grade(*grades) if grades else None,
        energy_reason=reason,
        failed_s=failed_s,
    )


def parse_utc(text: str) -> float | None:
    """Return the time of a label such as ``2026-11-24T04:29:09+00:00`` in seconds, ``None`` where it is none."""
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _sum_joules(windows: list[_Window]) -> float | None:
    total = 0.0
    for window in windows:
        parts = [reading.energy_j for reading in _counted((window,))]
        known = [part for part in parts if part is not None]
        if not parts or len(known) < len(parts):
            return None
        total += sum(known)
    return total if windows else None


def _counted(windows: tuple[_Window, ...]) -> Iterator[_Reading]:
    for window in windows:
        counts = _which_count(tuple((r.sensor, r.domain, r.method) for r in window.energy))
        yield from (reading for reading, counted in zip(window.energy, counts, strict=True) if counted)


@lru_cache(maxsize=256)
def _which_count(sensors: tuple[tuple[str, Domain, Method], ...]) -> tuple[bool, ...]:
    infos = [
        SensorInfo(
            name=name,
            domain=domain,
            device="",
            device_index=0,
            method=method,
            grade="D",
            update_period_s=None,
            source="",
        )
        for name, domain, method in sensors
    ]
    return domains_to_sum(infos)
