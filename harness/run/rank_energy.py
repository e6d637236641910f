"""The meter of a run of several processes: one meter a machine, windows that open and close on all ranks together.

The lowest rank of each machine samples its sensors; the others sample nothing. An edge of a window is taken behind a
barrier, when every rank has synchronised its device, so that all meters measure the same work. A window's readings are
gathered once it has closed: those of all machines, each device once, devices numbered on over machines so that their
indices stay distinct. A domain that one machine reads and another does not is unknown there, and so is then the total.

All ranks must ask for the same things in the same order; what they get is the same on each.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from harness.core.clock import now_s
from harness.core.errors import HarnessError, SensorError
from harness.core.markers import describe_owner
from harness.core.readings import EnergyReading, Finding, SensorInfo
from harness.core.records import WindowRecord, Work
from harness.measure import Meter
from harness.measure.totals import total_energy_j
from harness.measure.window import Window
from harness.run.merge_readings import HostReadings, check_same_sensors, merge_infos, merge_readings
from harness.train.ranks import ALONE, Ranks

# Tells machines apart where they cannot be told otherwise: several launchers on one machine, in tests.
HOST_VARIABLE = "ISOJOULE_HOST_ID"


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a rank is: its machine, the container there, and the index of its GPU (``None``: on the CPU)."""

    machine: str
    container: str
    gpu: int | None

    @classmethod
    def here(cls, gpu: int | None) -> Place:
        """Return the place of this process."""
        owner, given = describe_owner(), os.environ.get(HOST_VARIABLE)
        machine = given or owner.boot_id or owner.host
        return cls(machine, f"{machine} {owner.host} {owner.pid_namespace}", gpu)


class RankMeter:
    """What a rank has in place of a `Meter`: the same windows, gathered. Use it as a context manager, once."""

    def __init__(self, ranks: Ranks, gpu: int | None, make_meter: Callable[[], Meter]) -> None:
        """Find out who measures: `gpu` is the index of this rank's GPU, ``None`` on the CPU."""
        self.ranks, self._gpu = ranks, gpu
        self._places = ranks.gather(Place.here(gpu))
        containers = [place.container for place in self._places]
        self._leaders = [containers.index(container) for container in dict.fromkeys(containers)]
        machines = list(dict.fromkeys(place.machine for place in self._places))
        self._hosts = [machines.index(self._places[leader].machine) for leader in self._leaders]
        self.num_hosts = len(machines)
        self.meter = make_meter() if ranks.rank in self._leaders else None
        self._infos: list[tuple[SensorInfo, ...]] = []

    def __enter__(self) -> Self:
        """Start sampling on every machine.

        Raises:
            SensorError: a sensor asked for cannot be read on some machine, or machines read a domain differently.
        """
        problem: HarnessError | None = None
        if self.meter is not None:
            try:
                self.meter.__enter__()
            except HarnessError as error:
                problem = error
        first = self.ranks.first_true(str(problem) if problem else "")
        if first:
            raise problem or SensorError(first)
        self._infos = self._gather_leaders(self.meter.sensors if self.meter is not None else ())
        check_same_sensors(self._infos)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sampling on this machine; if all went well the ranks have asked for what they need."""
        if self.meter is not None:
            self.meter.__exit__(kind, error, trace)

    def window(self, phase: str, repetition: int = 0, sync: Callable[[], None] | None = None) -> RankWindow:
        """Return a window that all ranks enter and leave together."""
        return RankWindow(self, phase, repetition, sync)

    def set_idle(self, window: RankWindow) -> None:
        """Take the power of a closed idle window as the baseline on every machine."""
        if self.meter is not None and window.inner is not None:
            self.meter.set_idle(window.inner)

    @property
    def sensors(self) -> tuple[SensorInfo, ...]:
        """The sensors of all machines that count, numbered as readings are."""
        infos = self._gather_leaders(self.meter.sensors if self.meter is not None else ())
        return merge_infos([self._describe(place, (), found) for place, found in enumerate(infos)])

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the meters of all machines found over the whole run."""
        return self.merge_findings(self.meter.findings if self.meter is not None else ())

    def merge_findings(self, own: Sequence[Finding]) -> tuple[Finding, ...]:
        """Return findings of all machines, those beyond the first with their number; the same one only once."""
        merged: dict[Finding, None] = {}
        for host, findings in zip(self._hosts, self._gather_leaders(tuple(own)), strict=True):
            for finding in findings:
                named = finding if host == 0 else dataclasses.replace(finding, text=f"host {host}: {finding.text}")
                merged[named] = None
        return tuple(merged)

    def merge(self, own: Sequence[EnergyReading]) -> tuple[EnergyReading, ...]:
        """Return the readings of all machines, each device once."""
        found = self._gather_leaders(tuple(own))
        return merge_readings(
            [self._describe(place, readings, self._infos[place]) for place, readings in enumerate(found)]
        )

    def gather_energy_so_far_j(self, own: float | None) -> float | None:
        """Return the energy of all machines up to their latest polls (J), ``None`` where a part is unknown.

        It counts every device that a machine's meter sees, and is for budgets only.
        """
        parts = self._gather_leaders(own)
        known = [part for part in parts if part is not None]
        return sum(known) if known and len(known) == len(parts) else None

    def trace(self) -> dict[str, Any] | None:
        """Return the power over time of this machine, as `Meter.trace` does; ``None`` where nothing is sampled."""
        return self.meter.trace() if self.meter is not None else None

    def for_main(self) -> RankMeter:
        """Return the meter of what the main rank does alone: its machine, and of GPUs its own one."""
        if self.meter is None:
            raise RuntimeError("only the main rank works alone, and it has a meter")
        inner = self.meter
        alone = RankMeter(ALONE, self._gpu, lambda: inner)
        alone._infos = [inner.sensors]
        return alone

    def _gather_leaders(self, own: Any) -> list[Any]:
        found = self.ranks.gather(own if self.meter is not None else None)
        return [found[leader] for leader in self._leaders]

    def _describe(self, place: int, readings: Sequence[EnergyReading], infos: Sequence[SensorInfo]) -> HostReadings:
        """Return what the meter at the `place`-th leader says, with the GPUs that its container's ranks compute on."""
        container = self._places[self._leaders[place]].container
        gpus = frozenset(p.gpu for p in self._places if p.container == container and p.gpu is not None)
        return HostReadings(self._hosts[place], tuple(readings), tuple(infos), gpus or None)


class RankWindow:
    """A window of all ranks; `inner` is that of this machine's meter, on the rank that has it."""

    def __init__(self, meter: RankMeter, phase: str, repetition: int, sync: Callable[[], None] | None) -> None:
        self._meter = meter
        self._sync = sync
        self._began_s = 0.0
        self.inner: Window | None = None
        if meter.meter is not None:
            self.inner = meter.meter.window(phase, repetition=repetition, sync=sync)
        self.phase, self.repetition = phase, repetition
        self.duration_s = 0.0
        self._readings: tuple[EnergyReading, ...] | None = None
        self._findings: tuple[Finding, ...] | None = None

    def __enter__(self) -> Self:
        self._meet()
        self._began_s = now_s()
        if self.inner is not None:
            self.inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._meet()
        self.duration_s = now_s() - self._began_s
        if self.inner is not None:
            self.inner.__exit__(kind, error, trace)
            self.duration_s = self.inner.duration_s

    @property
    def readings(self) -> tuple[EnergyReading, ...]:
        """The readings of all machines, each device once."""
        if self._readings is None:
            self._readings = self._meter.merge(self.inner.readings if self.inner is not None else ())
        return self._readings

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What a reader must know about the readings of all machines."""
        if self._findings is None:
            self._findings = self._meter.merge_findings(self.inner.findings if self.inner is not None else ())
        return self._findings

    @property
    def energy_j(self) -> float | None:
        """Gross energy over all devices in joules, no domain twice; ``None`` if any part of it is unknown."""
        return total_energy_j(self.readings)

    def energy_so_far_j(self) -> float | None:
        """Return the energy of the open window over all machines, up to their latest polls, in joules."""
        return self._meter.gather_energy_so_far_j(self.inner.energy_so_far_j() if self.inner is not None else None)

    def to_record(self, work: Work | None = None, peak_memory_bytes: int | None = None) -> WindowRecord:
        """Return the record of the closed window: the main rank's times, all devices' energy, the largest peak."""
        own = self.inner.to_record(work=work) if self.inner is not None else None
        records = self._meter.ranks.gather(own and dataclasses.replace(own, work=None, energy=()))
        peaks = [peak for peak in self._meter.ranks.gather(peak_memory_bytes) if peak is not None]
        hottest = [r.temperature_c for r in records if r is not None and r.temperature_c is not None]
        first = next(record for record in records if record is not None)
        return dataclasses.replace(
            first,
            work=work,
            energy=self.readings,
            peak_memory_bytes=max(peaks, default=None),
            temperature_c=max(hottest, default=None),
            synced=self._sync is not None,
        )

    def _meet(self) -> None:
        """Wait for this rank's device, then for all ranks."""
        if self._sync is not None:
            self._sync()
        self._meter.ranks.barrier()
