"""The headline boundary of energy: which readings count, what they add up to, and how far to trust the sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.readings import EnergyReading, Grade, worst_grade

_PARTS_FIRST = (("gpu",), ("cpu", "dram"), ("system",))
_SYSTEM_FIRST = (("system",), ("gpu",), ("cpu", "dram"))


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
    best: dict[tuple[str, int], EnergyReading] = {}
    part_is_measured = system_is_measured = False
    for reading in readings:
        if reading.method != "modelled":
            system_is_measured |= reading.domain == "system"
            part_is_measured |= reading.domain != "system"
        key = (reading.domain, reading.device_index)
        held = best.get(key)
        if held is None or reading.grade < held.grade:
            best[key] = reading
    for domains in _SYSTEM_FIRST if system_is_measured and not part_is_measured else _PARTS_FIRST:
        found = tuple([reading for reading in best.values() if reading.domain in domains])
        if found:
            return found
    return ()


def sum_boundary(readings: Sequence[EnergyReading]) -> BoundaryEnergy:
    """Add up the readings of the headline boundary; one unknown part makes the sum unknown."""
    chosen = select_boundary(readings)
    if not chosen:
        return BoundaryEnergy(energy_j=None, net_energy_j=None, grade=None, domains=(), simulated=False)
    energy: float | None = 0.0
    net: float | None = 0.0
    reason = None
    simulated = False
    for reading in chosen:  # a page of thousands of runs adds up millions of readings
        simulated = simulated or reading.simulated
        if reading.energy_j is None and energy is not None:
            reason = reading.reason
        energy = None if energy is None or reading.energy_j is None else energy + reading.energy_j
        net = None if net is None or reading.net_energy_j is None else net + reading.net_energy_j
    return BoundaryEnergy(
        energy_j=energy,
        net_energy_j=net,
        grade="D" if simulated else worst_grade(*[reading.grade for reading in chosen]),
        domains=tuple(sorted({reading.domain for reading in chosen})),
        simulated=simulated,
        reason=reason,
    )
