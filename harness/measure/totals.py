"""Totals over sensors: each joule once, and unknown as soon as a part is unknown."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.readings import EnergyReading, SensorInfo
from harness.sensors.overlap import domains_to_sum, readings_to_sum


def sum_known(parts: Sequence[float | None], infos: Sequence[SensorInfo]) -> float | None:
    """Return the sum of `parts` (J, one per sensor) over domains that do not overlap.

    ``None`` if a part of it is unknown or there is none.
    """
    return _sum_counted(parts, domains_to_sum(infos))


def total_energy_j(readings: Sequence[EnergyReading]) -> float | None:
    """Return the gross energy of readings of one window in joules, or ``None``."""
    return _sum_counted([reading.energy_j for reading in readings], readings_to_sum(readings))


def _sum_counted(parts: Sequence[float | None], counts: Sequence[bool]) -> float | None:
    counted = [part for part, count in zip(parts, counts, strict=True) if count]
    known = [part for part in counted if part is not None]
    return sum(known) if counted and len(known) == len(counted) else None
