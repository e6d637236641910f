"""Sums of readings, and the word for how far to trust them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.readings import Domain, EnergyReading, Grade, worst_grade
from harness.sensors.overlap import readings_to_sum


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergySum:
    """Gross and net energy in joules of several readings; ``None`` as soon as a part is unknown, with the `reason`.

    `grade` is the worst of the parts (simulated counts as D); `sensors` names them, e.g. ``nvml gpu``.
    """

    energy_j: float | None
    net_energy_j: float | None
    grade: Grade | None
    simulated: bool
    sensors: tuple[str, ...]
    reason: str | None = None

    @property
    def word(self) -> str:
        """Return what kind of energy this is: simulated, modelled, measured or unknown."""
        if self.simulated:
            return "simulated"
        if self.energy_j is None or self.grade is None:
            return "unknown"
        return "modelled" if self.grade in "CD" else "measured"


def sum_all(readings: Sequence[EnergyReading]) -> EnergySum:
    """Add up the readings of one window (or one path) over domains that do not overlap: every joule once."""
    counted = readings_to_sum(readings)
    return add_up([reading for reading, counts in zip(readings, counted, strict=True) if counts])


def sum_domain(readings: Sequence[EnergyReading], domain: Domain) -> EnergySum:
    """Add up the devices of one domain; of several sensors of a device the better grade counts."""
    best: dict[int, EnergyReading] = {}
    for reading in readings:
        index = reading.device_index
        if reading.domain == domain and (index not in best or reading.grade < best[index].grade):
            best[index] = reading
    return add_up([best[index] for index in sorted(best)])


def add_up(readings: Sequence[EnergyReading]) -> EnergySum:
    """Add up readings that do not overlap."""
    unknown = [reading for reading in readings if reading.energy_j is None]
    simulated = any(reading.simulated for reading in readings)
    grades: list[Grade] = [reading.grade for reading in readings]
    reason = None if readings else "no sensor was read"
    if unknown:
        reason = "; ".join(f"{r.sensor} {r.domain} {r.device_index}: {r.reason or 'no reading'}" for r in unknown)
    return EnergySum(
        energy_j=_sum([reading.energy_j for reading in readings]),
        net_energy_j=_sum([reading.net_energy_j for reading in readings]),
        grade="D" if simulated else worst_grade(*grades) if grades else None,
        simulated=simulated,
        sensors=tuple(sorted({f"{reading.sensor} {reading.domain}" for reading in readings})),
        reason=reason,
    )


def add_sums(parts: Sequence[EnergySum]) -> EnergySum:
    """Add up the sums of several windows."""
    grades: list[Grade] = [part.grade for part in parts if part.grade is not None]
    return EnergySum(
        energy_j=_sum([part.energy_j for part in parts]),
        net_energy_j=_sum([part.net_energy_j for part in parts]),
        grade=worst_grade(*grades) if grades else None,
        simulated=any(part.simulated for part in parts),
        sensors=tuple(sorted({name for part in parts for name in part.sensors})),
        reason=next((part.reason for part in parts if part.reason is not None), None if parts else "no window"),
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if values and len(known) == len(values) else None
