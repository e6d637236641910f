"""Readings of several machines as those of one run: each device once, numbered on, unknown where a machine is blind."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.core.errors import SensorError
from harness.core.readings import Domain, EnergyReading, SensorInfo

_COMPONENTS: tuple[Domain, ...] = ("gpu", "cpu", "dram")
_OfDevice = TypeVar("_OfDevice", EnergyReading, SensorInfo)


@dataclass(frozen=True, slots=True)
class HostReadings:
    """What one meter says: on which host (numbered), readings, sensors, and the GPUs that its ranks compute on.

    Several meters may be of one host, one in each container. `gpus` is ``None`` where ranks compute on the CPU: then
    every GPU that is seen counts, as in a run of one process.
    """

    host: int
    readings: tuple[EnergyReading, ...]
    infos: tuple[SensorInfo, ...]
    gpus: frozenset[int] | None


def check_same_sensors(infos: Sequence[Sequence[SensorInfo]]) -> None:
    """Check that all machines read a domain by the same sensor, since a total takes one sensor for a domain.

    Raises:
        SensorError: they do not; the message says what to set.
    """
    for domain in (*_COMPONENTS, "system"):
        names = [next((info.name for info in found if info.domain == domain), None) for found in infos]
        distinct = sorted({name for name in names if name is not None})
        if len(distinct) > 1:
            raise SensorError(
                f"machines read the domain {domain} by different sensors ({', '.join(distinct)}); name sensors that "
                "all of them have in measure.sensor.names."
            )


def merge_readings(hosts: Sequence[HostReadings]) -> tuple[EnergyReading, ...]:
    """Return the readings of all hosts, each device once, with indices that are distinct within a sensor and domain."""
    taken: set[tuple[str, Domain, int]] = set()
    merged = [
        dataclasses.replace(reading, device_index=index)
        for reading, index in _number(((found, r, r.sensor) for found in hosts for r in found.readings), taken)
    ]
    return (*merged, *_blind(hosts, merged, taken))


def merge_infos(hosts: Sequence[HostReadings]) -> tuple[SensorInfo, ...]:
    """Return the sensors of all hosts that count, numbered as their readings are."""
    numbered = _number(((found, info, info.name) for found in hosts for info in found.infos), set())
    return tuple(dataclasses.replace(info, device_index=index) for info, index in numbered)


def _number(
    items: Iterable[tuple[HostReadings, _OfDevice, str]], taken: set[tuple[str, Domain, int]]
) -> Iterator[tuple[_OfDevice, int]]:
    """Yield what counts of each device once, with a free index; an item comes with its host and its sensor."""
    seen: set[tuple[int, str, Domain, str]] = set()
    for found, item, sensor in items:
        # a GPU is what its UUID says, which stands in its name; else a device is its number on its host
        device = item.device if "(GPU-" in item.device else f"{item.device} {item.device_index}"
        key = (found.host, sensor, item.domain, device)
        if _counts(found, item.domain, item.device_index) and key not in seen:
            seen.add(key)
            yield item, _free_index(taken, sensor, item.domain, item.device_index)


def _counts(found: HostReadings, domain: Domain, index: int) -> bool:
    return domain != "gpu" or found.gpus is None or index in found.gpus


def _free_index(taken: set[tuple[str, Domain, int]], sensor: str, domain: Domain, index: int) -> int:
    while (sensor, domain, index) in taken:
        index += 1
    taken.add((sensor, domain, index))
    return index


def _blind(
    hosts: Sequence[HostReadings], merged: Iterable[EnergyReading], taken: set[tuple[str, Domain, int]]
) -> list[EnergyReading]:
    """Return an unknown reading for each component that some host reads and another, without a wall meter, does not."""
    numbers = sorted({found.host for found in hosts})
    first = {domain: r for r in reversed(list(merged)) for domain in (r.domain,)}
    unknown = []
    for domain in _COMPONENTS:
        if domain not in first:
            continue
        for number in numbers:
            own = [found for found in hosts if found.host == number]
            domains = {reading.domain for found in own for reading in found.readings}
            if domain in domains or "system" in domains or (domain == "gpu" and own[0].gpus is None):
                continue
            like = first[domain]
            unknown.append(
                EnergyReading(
                    sensor=like.sensor,
                    domain=domain,
                    device=f"host {number}",
                    device_index=_free_index(taken, like.sensor, domain, like.device_index),
                    energy_j=None,
                    grade=like.grade,
                    method=like.method,
                    simulated=like.simulated,
                    reason=f"host {number} of {len(numbers)} has no sensor of this domain, and another has",
                )
            )
    return unknown
