"""One measured stretch of work: its edges are taken at once, its readings are made when they are asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

from harness.core.clock import now_s
from harness.core.readings import EnergyReading, Finding
from harness.core.records import WindowRecord, Work
from harness.measure.sampler import Sampler
from harness.measure.totals import total_energy_j


@dataclass(frozen=True, slots=True)
class WindowReading:
    """What a meter says about one stretch of time."""

    readings: tuple[EnergyReading, ...]
    findings: tuple[Finding, ...]
    temperature_c: float | None


class _Meter(Protocol):
    """What a window needs of its meter."""

    sampler: Sampler
    start_s: float
    idle_w: tuple[float | None, ...]
    closed_windows: list[Window]

    def read(self, begin_s: float, end_s: float, idle_w: Sequence[float | None]) -> WindowReading: ...

    def energy_between_j(self, begin_s: float) -> float | None: ...


class Window:
    """One stretch of work: its time, its energy per sensor and what must be known about them.

    Entering and leaving only synchronise, take the time and wake the sampler. While open it answers
    `energy_so_far_j`; `readings`, `findings` and `to_record` are there once it has closed, and wait for the sampler to
    see the counter's next tick (about a tenth of a second after the end). If the body or `sync` raises, the exception
    goes on and the window stays without readings.
    """

    def __init__(self, meter: _Meter, phase: str, repetition: int, sync: Callable[[], None] | None) -> None:
        self._meter = meter
        self._sync = sync
        self._begin_abs_s = 0.0
        self._idle_w: tuple[float | None, ...] = ()
        self._state: Literal["new", "open", "closed", "failed"] = "new"
        self._reading: WindowReading | None = None
        self.end_abs_s = 0.0
        self.phase = phase
        self.repetition = repetition
        self.begin_s = 0.0
        self.duration_s = 0.0

    def __enter__(self) -> Self:
        if self._state != "new":
            raise RuntimeError("a window is entered once; ask the meter for another")
        if self._sync is not None:
            self._sync()
        self._begin_abs_s = now_s()
        self._meter.sampler.mark()
        self.begin_s = self._begin_abs_s - self._meter.start_s
        self._state = "open"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state = "failed"
        if error is not None:
            return
        if self._sync is not None:
            self._sync()
        self.end_abs_s = now_s()
        self._meter.sampler.mark()
        self.duration_s = self.end_abs_s - self._begin_abs_s
        self._idle_w = self._meter.idle_w
        self._state = "closed"
        self._meter.closed_windows.append(self)

    @property
    def closed(self) -> bool:
        """Whether the window has ended well and can be read."""
        return self._state == "closed"

    @property
    def readings(self) -> tuple[EnergyReading, ...]:
        """One reading per sensor, in the meter's order; empty without sensors and until the window has closed."""
        return self._read().readings

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What a reader must know about the readings."""
        return self._read().findings

    @property
    def energy_j(self) -> float | None:
        """Gross energy over all devices in joules, no domain twice; ``None`` if any part of it is unknown."""
        return total_energy_j(self.readings)

    @property
    def synced(self) -> bool:
        """Whether the device was synchronised at both edges."""
        return self._sync is not None and self.closed

    def energy_so_far_j(self) -> float | None:
        """Return the energy of an open window up to the latest poll, in joules; cheap enough for every step.

        Reads no sensor and corrects no edge, so it lags by up to one poll interval; ``None`` where any part is unknown.
        """
        return self._meter.energy_between_j(self._begin_abs_s) if self._state == "open" else self.energy_j

    def to_record(self, work: Work | None = None, peak_memory_bytes: int | None = None) -> WindowRecord:
        """Return the record of a closed window; `work` is what it did."""
        if not self.closed:
            raise RuntimeError(f"window '{self.phase}' is {self._state}; only a closed one has a record")
        return WindowRecord(
            phase=self.phase,
            repetition=self.repetition,
            begin_s=self.begin_s,
            duration_s=self.duration_s,
            synced=self.synced,
            work=work,
            energy=self.readings,
            peak_memory_bytes=peak_memory_bytes,
            temperature_c=self._read().temperature_c,
        )

    def _read(self) -> WindowReading:
        if not self.closed:
            return WindowReading((), (), None)
        if self._reading is None:
            reading = self._meter.read(self._begin_abs_s, self.end_abs_s, self._idle_w)
            findings = tuple(
                dataclasses.replace(finding, text=f"window {self.phase} {self.repetition}, {finding.text}")
                for finding in reading.findings
            )
            self._reading = dataclasses.replace(reading, findings=findings)
        return self._reading
