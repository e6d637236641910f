"""The headline boundary of energy: which readings count, what they add up to, and how far to trust the sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.readings import EnergyReading, Grade, worst_grade


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryEnergy:
    """Energy inside the headline boundary in joules, with the worst grade of its parts; simulated counts as D.

    `reason` is that of the first part whose energy is unknown.
    """

    energy_j: float | None
    net_energy_j: float | None
    grade: Grade | None
    domains: tuple[str, ...]
    simulated: bool
    reason: str | None = None


def select_boundary(readings: Sequence[EnergyReading]) -> tuple[EnergyReading, ...]:
    """Return the readings of the headline boundary: the accelerators alone where there are any, else CPU and DRAM.

    A whole-system reading counts only where nothing else is measured, since it contains the others; beside CPU and DRAM
    that are only modelled it counts. Where two sensors read one device, the better grade counts.
    """
    order: tuple[tuple[str, ...], ...] = (("gpu",), ("cpu", "dram"), ("system",))
    parts = [reading for reading in readings if reading.domain != "system"]
    if all(reading.method == "modelled" for reading in parts):
        order = (("system",), ("gpu",), ("cpu", "dram")) if _has_measured_system(readings) else order
    for domains in order:
        best: dict[tuple[str, int], EnergyReading] = {}
        for reading in readings:
            key = (reading.domain, reading.device_index)
            if reading.domain in domains and (key not in best or reading.grade < best[key].grade):
                best[key] = reading
        if best:
            return tuple(best.values())
    return ()


def _has_measured_system(readings: Sequence[EnergyReading]) -> bool:
    return any(reading.domain == "system" and reading.method != "modelled" for reading in readings)


def sum_boundary(readings: Sequence[EnergyReading]) -> BoundaryEnergy:
    """Add up the readings of the headline boundary; one unknown part makes the sum unknown."""
    chosen = select_boundary(readings)
    if not chosen:
        return BoundaryEnergy(energy_j=None, net_energy_j=None, grade=None, domains=(), simulated=False)
    simulated = any(reading.simulated for reading in chosen)
    grades: list[Grade] = [reading.grade for reading in chosen]
    return BoundaryEnergy(
        energy_j=_sum([reading.energy_j for reading in chosen]),
        net_energy_j=_sum([reading.net_energy_j for reading in chosen]),
        grade="D" if simulated else worst_grade(*grades),
        domains=tuple(sorted({reading.domain for reading in chosen})),
        simulated=simulated,
        reason=next((reading.reason for reading in chosen if reading.energy_j is None), None),
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
