"""A recorded trace played again as a simulated sensor, for tests and demonstrations; it never yields a verdict.

The trace is a CSV file with the header ``time_s,power_w`` or ``time_s,power_w,energy_j``, one sample a row, times
rising. It starts when the sensor is opened. Power holds from its row to the next; without ``energy_j`` the counter is
the exact integral of that, with it the counter holds each row's value likewise.
"""

from __future__ import annotations

import bisect
import csv
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.core.clock import now_s
from harness.core.config import SensorConfig
from harness.core.errors import ConfigError, HarnessError, SensorError
from harness.core.readings import SensorInfo
from harness.sensors.base import Sensor, SensorStatus, status_of

_KEY = "measure.sensor.replay_file"
_HEADERS = (["time_s", "power_w"], ["time_s", "power_w", "energy_j"])


@dataclass(frozen=True, slots=True)
class Trace:
    """Samples in seconds since the first, watts and joules; `has_counter`: the joules were recorded, not integrated."""

    time_s: tuple[float, ...]
    power_w: tuple[float, ...]
    energy_j: tuple[float, ...]
    has_counter: bool

    def energy_at_j(self, time_s: float) -> float:
        """Return the counter `time_s` after the first sample, in joules."""
        i = self._index(time_s)
        return self.energy_j[i] + (0.0 if self.has_counter else self.power_w[i] * (time_s - self.time_s[i]))

    def power_at_w(self, time_s: float) -> float:
        """Return the power `time_s` after the first sample, in watts."""
        return self.power_w[self._index(time_s)]

    def _index(self, time_s: float) -> int:
        return max(0, bisect.bisect_right(self.time_s, time_s) - 1)


def read_trace(path: Path) -> Trace:
    """Read a CSV trace.

    Raises:
        ConfigError: the file cannot be read or is not such a trace; the message names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [(number, row) for number, row in enumerate(csv.reader(file), start=1) if any(row)]
    except (OSError, UnicodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{_KEY}={path} cannot be read: {reason}.") from error
    header = [name.strip() for name in lines[0][1]] if lines else []
    if header not in _HEADERS:
        raise ConfigError(f"{path}, line 1 must be the header 'time_s,power_w' or 'time_s,power_w,energy_j'.")
    rows = [_read_row(path, number, row, len(header)) for number, row in lines[1:]]
    if len(rows) < 2:
        raise ConfigError(f"{path} holds {len(rows)} samples; a trace needs at least 2 (the last one ends it).")
    for (_, before), (number, row) in itertools.pairwise(zip((n for n, _ in lines[1:]), rows, strict=True)):
        if row[0] <= before[0]:
            raise ConfigError(f"{path}, line {number}: time_s is {row[0]:g} after {before[0]:g}; times must rise.")
    time_s = tuple(row[0] - rows[0][0] for row in rows)
    power_w = tuple(row[1] for row in rows)
    has_counter = len(header) == 3
    steps_j = (power * (end - begin) for power, (begin, end) in zip(power_w, itertools.pairwise(time_s), strict=False))
    energy_j = tuple(row[2] for row in rows) if has_counter else tuple(itertools.accumulate(steps_j, initial=0.0))
    return Trace(time_s, power_w, energy_j, has_counter)


class ReplaySensor(Sensor):
    """A counter and its power as `trace` recorded them, from now on, on `clock`."""

    def __init__(self, trace: Trace, name: str, clock: Callable[[], float] = now_s) -> None:
        self._trace = trace
        self._clock = clock
        self._start_s = clock()
        self.info = SensorInfo(
            name="replay",
            domain="gpu",
            device=f"trace {name}, {trace.time_s[-1]:g} s",
            device_index=0,
            method="counter",
            grade="A",
            update_period_s=None if trace.has_counter else 0.0,
            source=f"replayed trace, {'recorded counter' if trace.has_counter else 'integral of held power'}",
            simulated=True,
        )

    def read_energy_j(self) -> float | None:
        """Return the counter in joules.

        Raises:
            SensorError: the trace is over.
        """
        return self._trace.energy_at_j(self._elapsed_s())

    def read_power_w(self) -> float | None:
        """Return the held power in watts.

        Raises:
            SensorError: the trace is over.
        """
        return self._trace.power_at_w(self._elapsed_s())

    def _elapsed_s(self) -> float:
        elapsed_s = self._clock() - self._start_s
        if elapsed_s > self._trace.time_s[-1]:
            raise SensorError(f"the trace is over (it lasts {self._trace.time_s[-1]:g} s)")
        return elapsed_s


class Replay:
    """The trace of ``measure.sensor.replay_file``."""

    def __init__(self, config: SensorConfig | None = None) -> None:
        self._file = (config or SensorConfig()).replay_file

    def probe(self) -> list[SensorStatus]:
        """Describe the trace, or say which key would name one."""
        if not self._file:
            reason, fix = "no trace is configured", f"set {_KEY}=trace.csv"
            return [SensorStatus(name="replay", available=False, reason=reason, fix=fix, simulated=True)]
        try:
            (sensor,) = self.open()
        except HarnessError as error:
            return [SensorStatus(name="replay", available=False, reason=str(error), simulated=True)]
        return [status_of(sensor.info, reason="simulated, opened only by name")]

    def open(self) -> list[Sensor]:
        """Read the trace and start it.

        Raises:
            ConfigError: no file is named, or it is not a trace.
        """
        if not self._file:
            raise ConfigError(f"sensor 'replay' has no trace; set {_KEY}=trace.csv (time_s,power_w[,energy_j]).")
        path = Path(self._file)
        return [ReplaySensor(read_trace(path), path.name)]


def _read_row(path: Path, number: int, row: list[str], num_columns: int) -> tuple[float, ...]:
    try:
        values = tuple(float(value) for value in row)
    except ValueError as error:
        raise ConfigError(f"{path}, line {number}: {error}.") from error
    if len(values) != num_columns or not all(math.isfinite(value) for value in values):
        raise ConfigError(f"{path}, line {number}: {num_columns} finite numbers are needed, got '{','.join(row)}'.")
    return values
