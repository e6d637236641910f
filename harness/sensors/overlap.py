"""Which of several readings a total counts, so that no joule is counted twice.

Sensors nest: a wall meter (domain ``system``) contains everything behind its plug, RAPL's psys (also ``system``)
contains the CPU packages and usually not a discrete GPU, a package contains its cores; DRAM lies outside the package.
So a total is the sum over the components gpu, cpu and dram, and a ``system`` reading stands beside it. It is the total
only where no component is measured: alone, or beside components that are only modelled.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.readings import Domain, EnergyReading, SensorInfo

_PSYS = "rapl"


def domains_to_sum(infos: Sequence[SensorInfo]) -> tuple[bool, ...]:
    """Return for each sensor whether a total over all of them counts it.

    Of several sensors of one component the first name counts, with all its devices. Of several ``system`` sensors one
    counts: the first that is not psys, since a meter outside the machine contains psys.
    """
    measured = any(info.domain != "system" and info.method != "modelled" for info in infos)
    systems = [i for i, info in enumerate(infos) if info.domain == "system"]
    if systems and not measured:
        widest = min(systems, key=lambda i: (infos[i].method == "modelled", infos[i].name == _PSYS, i))
        if len(systems) == len(infos) or infos[widest].method != "modelled":
            return tuple(i == widest for i in range(len(infos)))
    names: dict[Domain, str] = {}
    for info in infos:
        names.setdefault(info.domain, info.name)
    return tuple(info.domain != "system" and info.name == names[info.domain] for info in infos)


def readings_to_sum(readings: Sequence[EnergyReading]) -> tuple[bool, ...]:
    """Return for each reading of one window whether a total counts it."""
    return domains_to_sum([_describe(reading) for reading in readings])


def _describe(reading: EnergyReading) -> SensorInfo:
    return SensorInfo(
        name=reading.sensor,
        domain=reading.domain,
        device=reading.device,
        device_index=reading.device_index,
        method=reading.method,
        grade=reading.grade,
        update_period_s=None,
        source="",
    )
