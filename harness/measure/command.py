"""Energy of any command, as ``perf stat`` does for cycles: one window around a child process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from harness.core.clock import now_s
from harness.core.config import MeasureConfig
from harness.core.errors import ConfigError
from harness.core.readings import EnergyReading, Finding
from harness.measure.baseline import measure_idle
from harness.measure.meter import Meter
from harness.measure.totals import total_energy_j

_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Energy of one interval while the command ran; times in seconds from its start."""

    begin_s: float
    end_s: float
    readings: tuple[EnergyReading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEnergy:
    """What a command drew: one reading per device and domain, and the exit code it ended with."""

    command: tuple[str, ...]
    exit_code: int
    duration_s: float
    readings: tuple[EnergyReading, ...]
    findings: tuple[Finding, ...]
    stretches: tuple[Stretch, ...] = ()
    trace: dict[str, Any] = field(default_factory=dict)

    @property
    def energy_j(self) -> float | None:
        """Gross energy over all devices in joules, no domain twice; ``None`` where a part is unknown."""
        return total_energy_j(self.readings)


def measure_command(
    command: Sequence[str],
    config: MeasureConfig,
    *,
    idle_s: float = 0.0,
    interval_s: float = 0.0,
    on_stretch: Callable[[Stretch], None] | None = None,
) -> CommandEnergy:
    """Run `command` inside a window and return its energy; its input, output and signals pass through.

    Args:
        command: the program and its arguments; no shell.
        config: which sensors, and the poll interval.
        idle_s: seconds of idleness before, whose power is subtracted for the net energy; 0 for none.
        interval_s: also read every so many seconds while the command runs; 0 for no such readings.
        on_stretch: called with each of these as it ends.

    Raises:
        ConfigError: the command cannot be started.
        SensorError: a sensor asked for by name cannot be read.
    """
    with Meter(config) as meter:
        if idle_s > 0:
            meter.set_idle(measure_idle(meter, idle_s))
        with meter.window("command") as window, _pass_signals() as attach:
            began_s = now_s()
            process = _start(command)
            attach(process)
            reader = _StretchReader(meter, began_s, interval_s, on_stretch)
            process.wait()
        stretches = reader.finish()
        readings = window.readings
        findings = (*meter.findings, *(window.findings if readings else ()))
        trace = meter.trace()
    unique = tuple(dict.fromkeys(findings))
    return CommandEnergy(
        command=tuple(command),
        exit_code=_exit_code(process.returncode),
        duration_s=window.duration_s,
        readings=readings,
        findings=unique,
        stretches=stretches,
        trace=trace,
    )


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(list(command))
    except FileNotFoundError:
        raise ConfigError(f"cannot run '{command[0]}': there is no such program.") from None
    except OSError as error:
        raise ConfigError(f"cannot run '{command[0]}': {error.strerror}.") from error


class _StretchReader:
    """Reads every `interval_s` from a thread, so that the end of the command is not missed meanwhile."""

    def __init__(
        self, meter: Meter, began_s: float, interval_s: float, on_stretch: Callable[[Stretch], None] | None
    ) -> None:
        self._meter, self._began_s, self._interval_s = meter, began_s, interval_s
        self._on_stretch = on_stretch
        self._stretches: list[Stretch] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        if interval_s > 0:
            self._thread.start()

    def finish(self) -> tuple[Stretch, ...]:
        """Stop at the last whole interval and return all."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()
        return tuple(self._stretches)

    def _run(self) -> None:
        while True:
            begin_s = len(self._stretches) * self._interval_s
            end_s = begin_s + self._interval_s
            if self._done.wait(max(0.0, self._began_s + end_s - now_s())):
                return
            self._meter.sampler.mark()
            reading = self._meter.read(self._began_s + begin_s, self._began_s + end_s, self._meter.idle_w)
            self._stretches.append(Stretch(begin_s=begin_s, end_s=end_s, readings=reading.readings))
            if self._on_stretch is not None:
                self._on_stretch(self._stretches[-1])


@contextlib.contextmanager
def _pass_signals() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Pass signals on to the command instead of ending first, so that what was measured is still reported.

    Yields what names the command once it runs; a signal that comes before that waits for it, so none leaves a command
    behind that nobody waits for. A terminal sends Ctrl-C to the command as well, so it is passed on only without one.
    """
    started: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def forward(number: int, _: FrameType | None) -> None:
        if not started:
            early.append(number)
            return
        with contextlib.suppress(ProcessLookupError):
            started[0].send_signal(number)

    def attach(process: subprocess.Popen[bytes]) -> None:
        started.append(process)
        for number in early:
            forward(number, None)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not _in_foreground():
            forward(number, frame)

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, interrupt)
    try:
        yield attach
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_foreground() -> bool:
    try:
        with open("/dev/tty", "rb") as terminal:  # noqa: PTH123 - a device, not a path of ours
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _exit_code(returncode: int) -> int:
    """Return the code that a shell would give: 128 plus the signal for a killed command."""
    return 128 - returncode if returncode < 0 else returncode
