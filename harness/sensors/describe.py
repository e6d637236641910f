"""The sensors of this machine in words: what is there, how far to trust it, what would mend what is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from harness.core.config import SensorConfig
from harness.core.readings import SensorInfo
from harness.core.units import format_si
from harness.sensors.base import SensorStatus
from harness.sensors.discover import list_sensors, read_infos

GRADE_WORDS = {
    "A": "hardware energy counter",
    "B": "sampled hardware power",
    "C": "modelled, not measured",
    "D": "assumed",
}
_FROM_INFO = (
    "update_period_s", "power_period_s", "power_window_s", "power_delay_s", "power_limit_w", "gain_error",
    "calibrated_on",
)  # fmt: skip


def describe_sensors(config: SensorConfig | None = None) -> tuple[list[SensorStatus], list[SensorInfo]]:
    """Return every sensor's status, and what the readable ones say about themselves (each is opened for a moment)."""
    statuses = list_sensors(config)
    infos, ignored = read_infos(dict.fromkeys(s.name for s in statuses if s.available), config)
    notes = {_key(status): status for status in ignored}
    return [notes.get(_key(status), status) if status.available else status for status in statuses], infos


def sensors_to_text(
    statuses: Sequence[SensorStatus] | None = None,
    config: SensorConfig | None = None,
    infos: Sequence[SensorInfo] | None = None,
) -> str:
    """Return one block a sensor; simulated ones are named last, since they are opened only by name.

    Without `statuses` the sensors are looked for; update periods are told where `infos` has the sensor.
    """
    found, known = _find(statuses, config, infos)
    lines = []
    for status in sorted(found, key=lambda status: status.simulated):
        where = f"{status.domain}: {status.device}" if status.device and status.domain else ""
        if not status.available:
            problem = f"{where} cannot be read" if where else "not there"
            lines.append(f"-  {status.name:<11} {problem}: {status.reason or 'no reason is known'}")
            if status.fix:
                lines.append(f"{'':15}to get it: {status.fix}")
            continue
        info = known.get(_key(status))
        lines.append(f"{status.grade or '?'}  {status.name:<11} {where} ({_kind(status)}{_period_to_text(info)})")
        if status.reason and not status.simulated:
            lines.append(f"{'':15}{status.reason}" + (f"; {status.fix}" if status.fix else ""))
        if info is not None and info.calibrated_on is not None:
            lines.append(f"{'':15}calibrated on {info.calibrated_on}")
    return "\n".join(lines)


def sensors_to_json(
    statuses: Sequence[SensorStatus] | None = None,
    config: SensorConfig | None = None,
    infos: Sequence[SensorInfo] | None = None,
) -> list[dict[str, Any]]:
    """Return the same as plain data; periods in seconds, ``None`` where unknown."""
    found, known = _find(statuses, config, infos)
    return [
        dataclasses.asdict(status) | {field: getattr(known.get(_key(status)), field, None) for field in _FROM_INFO}
        for status in found
    ]


def can_measure_energy(statuses: list[SensorStatus]) -> bool:
    """Return whether a real sensor of grade A or B can be read: only then an energy claim gets a verdict."""
    return any(s.available and not s.simulated and s.grade in ("A", "B") for s in statuses)


def _find(
    statuses: Sequence[SensorStatus] | None, config: SensorConfig | None, infos: Sequence[SensorInfo] | None
) -> tuple[Sequence[SensorStatus], dict[tuple[object, ...], SensorInfo]]:
    if statuses is None:
        statuses, opened = describe_sensors(config)
        infos = opened if infos is None else infos
    return statuses, {_key(info): info for info in infos or ()}


def _key(sensor: SensorStatus | SensorInfo) -> tuple[object, ...]:
    return (sensor.name, sensor.domain, sensor.device_index)


def _kind(status: SensorStatus) -> str:
    if status.simulated:
        return "simulated"
    if status.name == "external":
        return "external meter, gain unknown"
    return GRADE_WORDS.get(status.grade or "", "")


def _period_to_text(info: SensorInfo | None) -> str:
    if info is None:
        return ""
    if info.update_period_s is None:
        return ", update period not documented"
    if info.update_period_s == 0:
        return ", always exact"
    word = "read" if info.method == "modelled" else "updated"
    return f", {word} every {format_si(info.update_period_s, 's')}"
