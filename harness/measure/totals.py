"""Totals over sensors: each joule once, and unknown as soon as a part is unknown."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.records import EnergyReading, SensorInfo
from harness.sensors.overlap import domains_to_sum


def sum_known(parts: Sequence[float | None], infos: Sequence[SensorInfo]) -> float | None:
    """Return the sum of `parts` (J, one per sensor) over domains that do not overlap.

    ``None`` if a part of it is unknown or there is none.
    """
    counted = [part for part, counts in zip(parts, domains_to_sum(infos), strict=True) if counts]
    known = [part for part in counted if part is not None]
    return sum(known) if counted and len(known) == len(counted) else None


def total_energy_j(readings: Sequence[EnergyReading]) -> float | None:
    """Return the gross energy of readings of one window in joules, or ``None``."""
    return sum_known([reading.energy_j for reading in readings], [_describe(reading) for reading in readings])


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
