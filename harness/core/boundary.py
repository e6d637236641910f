"""The headline boundary of energy: which readings count, what they add up to, and how far to trust the sum."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.core.readings import EnergyReading, Grade, worst_grade
from harness.core.strict import StrictValue

_PARTS_FIRST = (("gpu",), ("cpu", "dram"), ("system",))
_SYSTEM_FIRST = (("system",), ("gpu",), ("cpu", "dram"))


class BoundaryEnergy(StrictValue, frozen=True, kw_only=True):
    """Energy inside the headline boundary in joules, with the worst grade of its parts; simulated counts as D.

    `reason` is that of the first part whose energy is unknown. A page makes hundreds of thousands of these,
    which is why they are of the kind that is made quickest.
    """

    energy_j: float | None
    net_energy_j: float | None
    grade: Grade | None
    domains: tuple[str, ...]
    simulated: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which readings count, by their places, and what their sum is worth."""

    places: tuple[int, ...]
    grade: Grade | None
    domains: tuple[str, ...]
    simulated: bool


def select_boundary(readings: Sequence[EnergyReading]) -> tuple[EnergyReading, ...]:
    """Return the readings of the headline boundary: the accelerators alone where there are any, else CPU and DRAM.

    A whole-system reading counts only where nothing else is measured, since it contains the others; beside CPU and DRAM
    that are only modelled it counts. Where two sensors read one device, the better grade counts.
    """
    return tuple([readings[place] for place in _choose(_describe(readings)).places])


def sum_boundary(readings: Sequence[EnergyReading]) -> BoundaryEnergy:
    """Add up the readings of the headline boundary; one unknown part makes the sum unknown."""
    choice = _choose(_describe(readings))
    if not choice.places:
        return BoundaryEnergy(energy_j=None, net_energy_j=None, grade=None, domains=(), simulated=False)
    energy: float | None = 0.0
    net: float | None = 0.0
    reason = None
    for place in choice.places:
        reading = readings[place]
        energy_j, net_energy_j = reading.energy_j, reading.net_energy_j
        if energy_j is None and energy is not None:
            reason = reading.reason
        energy = None if energy is None or energy_j is None else energy + energy_j
        net = None if net is None or net_energy_j is None else net + net_energy_j
    return BoundaryEnergy(
        energy_j=energy,
        net_energy_j=net,
        grade=choice.grade,
        domains=choice.domains,
        simulated=choice.simulated,
        reason=reason,
    )


def counts_device(readings: Sequence[EnergyReading], device: tuple[str, int]) -> bool | None:
    """Return whether the headline boundary counts `device` (domain and index), ``None`` where nothing read it."""
    return _counts(_describe(readings), device)


def add_boundaries(parts: Sequence[BoundaryEnergy]) -> BoundaryEnergy:
    """Add up the sums of several windows; the grade is the worst of theirs, the domains those of any."""
    grades: list[Grade] = [part.grade for part in parts if part.grade is not None]
    return BoundaryEnergy(
        energy_j=_add([part.energy_j for part in parts]),
        net_energy_j=_add([part.net_energy_j for part in parts]),
        grade=worst_grade(*grades) if grades else None,
        domains=tuple(sorted({domain for part in parts for domain in part.domains})),
        simulated=any(part.simulated for part in parts),
        reason=next((part.reason for part in parts if part.reason is not None), None),
    )


def _add(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if known and len(known) == len(values) else None


# What decides whether a reading counts: domain, device, grade, method and whether it is simulated.
_Kind = tuple[str, int, Grade, str, bool]


def _describe(readings: Sequence[EnergyReading]) -> tuple[_Kind, ...]:
    return tuple([(r.domain, r.device_index, r.grade, r.method, r.simulated) for r in readings])


@functools.lru_cache(maxsize=1024)
def _counts(kinds: tuple[_Kind, ...], device: tuple[str, int]) -> bool | None:
    if all(kind[:2] != device for kind in kinds):
        return None
    return any(kinds[place][:2] == device for place in _choose(kinds).places)


@functools.lru_cache(maxsize=1024)
def _choose(kinds: tuple[_Kind, ...]) -> _Choice:
    """Choose by kind: the millions of windows of a large store hold readings of very few kinds."""
    best: dict[tuple[str, int], int] = {}
    part_is_measured = system_is_measured = False
    for place, (domain, index, grade, method, _) in enumerate(kinds):
        if method != "modelled":
            system_is_measured |= domain == "system"
            part_is_measured |= domain != "system"
        held = best.get((domain, index))
        if held is None or grade < kinds[held][2]:
            best[domain, index] = place
    for domains in _SYSTEM_FIRST if system_is_measured and not part_is_measured else _PARTS_FIRST:
        places = tuple(place for (domain, _), place in best.items() if domain in domains)
        if places:
            simulated = any(kinds[place][4] for place in places)
            grade = "D" if simulated else worst_grade(*(kinds[place][2] for place in places))
            found = tuple(sorted({kinds[place][0] for place in places}))
            return _Choice(places=places, grade=grade, domains=found, simulated=simulated)
    return _Choice(places=(), grade=None, domains=(), simulated=False)
