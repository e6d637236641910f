"""Which sensors this machine has, and opening them in order of trust."""

from __future__ import annotations

from harness.core.config import SensorConfig
from harness.core.errors import SensorError
from harness.core.records import Domain
from harness.core.registry import Registry
from harness.sensors.base import Backend, Sensor, SensorStatus

SENSORS = Registry(
    "sensor",
    {
        "nvml": "harness.sensors.nvml:Nvml",
        "rapl": "harness.sensors.rapl:Rapl",
        "codecarbon": "harness.sensors.codecarbon:Codecarbon",
        "synthetic": "harness.sensors.synthetic:Synthetic",
    },
)
AUTO = "auto"
# Counters first; the model fills only domains that no counter covers.
_AUTO_ORDER = ("nvml", "rapl", "codecarbon")


def list_sensors() -> list[SensorStatus]:
    """Describe every registered sensor on this machine, readable or not; never raises."""
    statuses: list[SensorStatus] = []
    for name in SENSORS:
        statuses.extend(_probe(name))
    return statuses


def open_sensors(config: SensorConfig) -> list[Sensor]:
    """Open the sensors that `config` names, in its order; the list may be empty for ``auto``.

    Each domain (gpu, cpu, dram) is read by the first name that offers it, so that no energy is counted twice.

    Raises:
        SensorError: a sensor was asked for by name and cannot be read.
        ConfigError: a name is not registered.
    """
    return discover_sensors(config)[0]


def discover_sensors(config: SensorConfig) -> tuple[list[Sensor], list[SensorStatus]]:
    """Open sensors as `open_sensors` does, and return beside them what ``auto`` found and could not read."""
    sensors: list[Sensor] = []
    refused: list[SensorStatus] = []
    try:
        for name in config.names:
            if name == AUTO:
                for automatic in _AUTO_ORDER:
                    refused.extend(_open_if_there(automatic, sensors))
            else:
                _add_new_domains(sensors, _load_backend(name).open())
    except BaseException:
        for sensor in sensors:
            sensor.close()
        raise
    covered = _covered(sensors)
    return sensors, [status for status in refused if status.domain not in covered or status.device is not None]


def _open_if_there(name: str, sensors: list[Sensor]) -> list[SensorStatus]:
    """Add what can be read of `name` to `sensors` and return the statuses of what cannot."""
    if name == "codecarbon" and {"cpu", "dram"} <= _covered(sensors):
        return []  # loading its CPU table takes seconds
    statuses = [] if name == "codecarbon" else _probe(name)
    if statuses and not any(status.available for status in statuses):
        return statuses
    try:
        _add_new_domains(sensors, _load_backend(name).open())
    except SensorError as error:
        return [SensorStatus(name=name, available=False, reason=str(error))]
    return [status for status in statuses if not status.available]


def _add_new_domains(sensors: list[Sensor], opened: list[Sensor]) -> None:
    covered = _covered(sensors)
    for sensor in opened:
        if sensor.info.domain in covered:
            sensor.close()
        else:
            sensors.append(sensor)


def _covered(sensors: list[Sensor]) -> set[Domain]:
    return {sensor.info.domain for sensor in sensors}


def _load_backend(name: str) -> Backend:
    backend: Backend = SENSORS.get(name)()
    return backend


def _probe(name: str) -> list[SensorStatus]:
    try:
        return _load_backend(name).probe()
    except Exception as error:  # noqa: BLE001 - a list of what is wrong must not itself go wrong
        return [SensorStatus(name=name, available=False, reason=f"{type(error).__name__}: {error}")]
