"""Readings of several machines as those of one run: each device once, numbered on, unknown where a machine is blind."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.core.errors import SensorError
from harness.core.readings import Domain, EnergyReading, SensorInfo

_COMPONENTS: tuple[Domain, ...] = ("gpu", "cpu", "dram")


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
    seen: set[tuple[int, str, Domain, str]] = set()
    merged: list[EnergyReading] = []
    for found in hosts:
        for reading in found.readings:
            key = _identify(found.host, reading.sensor, reading.domain, reading.device, reading.device_index)
            if not _counts(found, reading.domain, reading.device_index) or key in seen:
                continue
            seen.add(key)
            index = _free_index(taken, reading.sensor, reading.domain, reading.device_index)
            merged.append(dataclasses.replace(reading, device_index=index))
    merged.extend(_blind(hosts, merged, taken))
    return tuple(merged)


def merge_infos(hosts: Sequence[HostReadings]) -> tuple[SensorInfo, ...]:
    """Return the sensors of all hosts that count, numbered as their readings are."""
    taken: set[tuple[str, Domain, int]] = set()
    seen: set[tuple[int, str, Domain, str]] = set()
    merged: list[SensorInfo] = []
    for found in hosts:
        for info in found.infos:
            key = _identify(found.host, info.name, info.domain, info.device, info.device_index)
            if not _counts(found, info.domain, info.device_index) or key in seen:
                continue
            seen.add(key)
            index = _free_index(taken, info.name, info.domain, info.device_index)
            merged.append(dataclasses.replace(info, device_index=index))
    return tuple(merged)


def _identify(host: int, sensor: str, domain: Domain, device: str, index: int) -> tuple[int, str, Domain, str]:
    """Return what a device is: a GPU by its UUID, which stands in its name, else by its number on its host."""
    return (host, sensor, domain, device if "(GPU-" in device else f"{device} {index}")


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
