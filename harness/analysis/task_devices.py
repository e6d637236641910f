"""What a task costs device by device: gross and net of idle, prefill and decode, inside the study's boundary or beside.

The parts inside add up to the energy per task that arms are compared by: the same windows, weights and means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.analysis.boundary import counts_device, sum_boundary
from harness.analysis.device_joules import (
    ArmDevices,
    Correctness,
    DeviceJoules,
    TaskJoules,
    Value,
    add_values,
    summarise_joules,
)
from harness.analysis.phases import Joules, SumReadings, sum_phase
from harness.analysis.results import ArmTask, FrontierPoint
from harness.analysis.task_costs import list_kinds, list_phases, measure_task, task_windows, weigh
from harness.core.readings import Domain, EnergyReading, Grade, worst_grade
from harness.core.records import RunRecord, WindowRecord

Device = tuple[Domain, int]
FIELDS = ("gross", "net", "prefill", "decode")
NO_IDLE = "no idle power was measured for it"
PARTLY = "it is inside the boundary of some windows only"
_ORDER: tuple[Domain, ...] = ("gpu", "cpu", "dram", "system")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDevices:
    """One run (or a weighted sum of runs): the boundary's total and each device, by the names in `FIELDS`."""

    total: Mapping[str, Value]
    devices: Mapping[Device, Mapping[str, Value]]


Chosen = Mapping[str, tuple[str, Mapping[int, Sequence[tuple[FrontierPoint, float]]]]]


def compare_devices(
    arm_tasks: Sequence[ArmTask], records: Mapping[str, RunRecord], chosen: Chosen
) -> tuple[ArmDevices, ...]:
    """Return each arm's task by device from the `chosen` runs, weighted as `arm_tasks` weigh them."""
    rows = []
    for task in arm_tasks:
        seeds = _list_seeds(task, records, chosen)
        samples = [weigh_devices([(measure_devices(run), weight) for run, weight in found]) for found in seeds]
        windows = [window for found in seeds for run, _ in found for window in list_windows(run)]
        correct = _read_correct(task, seeds, None)
        size = chosen[task.arm][0]
        rows.append(summarise_devices(task.arm, size, samples, windows, correct, task.run_ids, "seeds"))
    return tuple(rows)


def compare_joules(
    arm_tasks: Sequence[ArmTask], records: Mapping[str, RunRecord], chosen: Chosen, kind: str
) -> tuple[TaskJoules, ...]:
    """Return what a task of `kind` costs each arm in joules inside the boundary, with intervals over seeds."""
    rows = []
    for task in arm_tasks:
        seeds = _list_seeds(task, records, chosen)
        totals = [_weigh([(measure_total(run, kind), weight) for run, weight in found]) for found in seeds]
        rows.append(summarise_joules(totals, _read_correct(task, seeds, kind), "seeds"))
    return tuple(rows)


_Seeds = Sequence[Sequence[tuple[RunRecord, float]]]


def _list_seeds(task: ArmTask, records: Mapping[str, RunRecord], chosen: Chosen) -> _Seeds:
    """Return for each seed the runs that answer for it, with their weights."""
    by_seed = sorted(chosen[task.arm][1].items())
    return [[(records[point.run_id], weight) for point, weight in found] for _, found in by_seed if found]


def _read_correct(task: ArmTask, seeds: _Seeds, kind: str | None) -> Correctness:
    """Return how many of the answers were right in each seed."""
    return Correctness(
        accuracies=[weigh([(measure_task(run, kind).accuracy, weight) for run, weight in found]) for found in seeds],
        stderr=task.accuracy_stderr,
        reason=task.energy_per_correct_reason,
    )


def measure_total(record: RunRecord, kind: str) -> Mapping[str, Value]:
    """Return joules per task of `kind` inside the boundary, as `RunTask` has them, or why they are unknown."""
    task = measure_task(record, kind)
    known = task.energy_j, task.net_energy_j, task.prefill_j, task.decode_j
    if None in known:  # windows know why
        return _measure(task_windows(record, kind), sum_boundary)
    return {name: value for name, value in zip(FIELDS, known, strict=True) if value is not None}


def measure_devices(record: RunRecord, kind: str | None = None) -> RunDevices:
    """Return joules per task of each device in `record`: of `kind`, or the mean over kinds, each weighing the same."""
    kinds = list_kinds(record)
    if not kinds or kind is not None:
        return measure_windows(task_windows(record, kind))
    parts = [measure_windows(task_windows(record, each)) for each in kinds]
    return weigh_devices([(part, 1 / len(parts)) for part in parts])


def list_windows(record: RunRecord) -> list[WindowRecord]:
    """Return the windows that the task of `record` is measured in: those of its kinds, or of no regime."""
    return [window for kind in list_kinds(record) or (None,) for window in task_windows(record, kind)]


def measure_windows(windows: Sequence[WindowRecord]) -> RunDevices:
    """Return joules per task of each device over the prefill and decode windows of one kind."""
    devices = {(r.domain, r.device_index) for window in windows for r in window.energy}
    return RunDevices(
        total=_measure(windows, sum_boundary),
        devices={
            device: dict.fromkeys(FIELDS, PARTLY)
            if is_inside(windows, device) is None
            else _measure(windows, read_device(device))
            for device in devices
        },
    )


def pick_reading(readings: Sequence[EnergyReading], device: Device) -> EnergyReading | None:
    """Return the reading of one device; of several sensors that of the better grade, as the boundary picks it."""
    best: EnergyReading | None = None
    for reading in readings:
        own = reading.device_index == device[1] and reading.domain == device[0]
        if own and (best is None or reading.grade < best.grade):
            best = reading
    return best


class DeviceReading(NamedTuple):
    """Joules of one device over one window, or why they are unknown."""

    energy_j: float | None
    net_energy_j: float | None
    reason: str | None


def read_device(device: Device) -> SumReadings:
    """Return a function that gives one device's joules out of a window's readings."""
    name = f"{device[0]} {device[1]}"
    missing = DeviceReading(None, None, f"{name} was not read in every window")

    def sum_readings(readings: Sequence[EnergyReading]) -> Joules:
        found = pick_reading(readings, device)
        if found is None:
            return missing
        reason = f"{found.sensor} {name}: {found.reason or 'no reading'}" if found.energy_j is None else None
        return DeviceReading(found.energy_j, found.net_energy_j, reason)

    return sum_readings


def is_inside(windows: Sequence[WindowRecord], device: Device) -> bool | None:
    """Return whether the boundary of all `windows` that read `device` counts it; ``None`` where they differ."""
    found = {counts_device(window.energy, device) for window in windows} - {None}
    return found.pop() if len(found) == 1 else None


def weigh_devices(weighted: Sequence[tuple[RunDevices, float]]) -> RunDevices:
    """Return the weighted sum; a device that one part lacks is unknown."""
    devices = {device for part, _ in weighted for device in part.devices}
    return RunDevices(
        total=_weigh([(part.total, weight) for part, weight in weighted]),
        devices={
            device: _weigh([(part.devices.get(device, _missing(device)), weight) for part, weight in weighted])
            for device in devices
        },
    )


def summarise_devices(  # noqa: PLR0917 - what one arm's row is made of
    arm: str,
    size: str,
    samples: Sequence[RunDevices],
    windows: Sequence[WindowRecord],
    correct: Correctness,
    run_ids: Sequence[str],
    over: str,
) -> ArmDevices:
    """Return means and intervals over `samples`, one for each of `over` (seeds, repeats), read from `windows`."""
    devices = {device for sample in samples for device in sample.devices}
    parts = []
    for device in devices:
        values = [sample.devices.get(device, _missing(device)) for sample in samples]
        parts.append(_describe(device, windows, summarise_joules(values, correct, over)))
    grades: list[Grade] = [part.grade for part in parts if part.inside]
    return ArmDevices(
        arm=arm,
        size=size,
        total=summarise_joules([sample.total for sample in samples], correct, over),
        parts=tuple(sorted(parts, key=lambda part: (not part.inside, _ORDER.index(part.domain), part.device_index))),
        grade=worst_grade(*grades) if grades else None,
        simulated=any(part.simulated for part in parts if part.inside),
        run_ids=tuple(sorted(run_ids)),
    )


def _missing(device: Device) -> dict[str, Value]:
    return dict.fromkeys(FIELDS, f"{device[0]} {device[1]} was not read in every run")


def _measure(windows: Sequence[WindowRecord], sum_readings: SumReadings) -> dict[str, Value]:
    phases: dict[str, tuple[Value, Value]] = {}
    for phase in ("prefill", "decode"):
        own = [w for w in windows if w.phase == phase and w.work is not None and w.work.num_tasks > 0]
        cost = sum_phase(own, sum_readings)
        gross, net = cost.per_task("energy_j"), cost.per_task("net_j")
        phases[phase] = gross, NO_IDLE if isinstance(net, str) and not isinstance(gross, str) else net
    done = [phases[phase] for phase in list_phases(windows)]
    return {
        "gross": add_values([gross for gross, _ in done]),
        "net": add_values([net for _, net in done]),
        "prefill": phases["prefill"][0],
        "decode": phases["decode"][0],
    }


def _weigh(weighted: Sequence[tuple[Mapping[str, Value], float]]) -> dict[str, Value]:
    return {
        name: add_values(
            [value if isinstance(value := part[name], str) else value * weight for part, weight in weighted]
        )
        for name in FIELDS
    }


def _describe(device: Device, windows: Sequence[WindowRecord], joules: TaskJoules) -> DeviceJoules:
    found = [reading for window in windows if (reading := pick_reading(window.energy, device)) is not None]
    simulated = any(reading.simulated for reading in found)
    grades: list[Grade] = [reading.grade for reading in found]
    return DeviceJoules(
        domain=device[0],
        device_index=device[1],
        device=found[0].device,
        sensors=tuple(sorted({reading.sensor for reading in found})),
        inside=is_inside(windows, device) is True,
        joules=joules,
        grade="D" if simulated else worst_grade(*grades),
        simulated=simulated,
    )
