"""Which sensors this machine has, and opening them in order of trust."""

from __future__ import annotations

from collections.abc import Iterable

from harness.core.config import SensorConfig
from harness.core.errors import SensorError
from harness.core.readings import Domain, SensorInfo
from harness.core.registry import Registry
from harness.sensors.base import Backend, Sensor, SensorStatus
from harness.sensors.profile import use_profiles

SENSORS = Registry(
    "sensor",
    {
        "nvml": "harness.sensors.nvml:Nvml",
        "rapl": "harness.sensors.rapl:Rapl",
        "external": "harness.sensors.external:External",
        "codecarbon": "harness.sensors.codecarbon:Codecarbon",
        "synthetic": "harness.sensors.synthetic:Synthetic",
        "replay": "harness.sensors.replay:Replay",
    },
)
AUTO = "auto"
# Counters first; the model fills only domains that no counter covers.
_AUTO_ORDER = ("nvml", "rapl", "codecarbon")
# These describe themselves by the configuration; the others by the machine alone.
_CONFIGURED = ("external", "replay")
# Opened without a probe before: the model's CPU table takes seconds, and a meter's mistaken keys must be heard of.
_OPENED_UNPROBED = ("external", "codecarbon")


def list_sensors(config: SensorConfig | None = None) -> list[SensorStatus]:
    """Describe every registered sensor on this machine, readable or not; never raises."""
    statuses: list[SensorStatus] = []
    for name in SENSORS:
        statuses.extend(_probe(name, config or SensorConfig()))
    return statuses


def preload_sensors() -> None:
    """Import what opening sensors imports, so that forks of this process open them at once; no device is touched."""
    for name in SENSORS:
        backend = SENSORS.get(name)
        if hasattr(backend, "preload"):
            backend.preload()


def read_infos(names: Iterable[str], config: SensorConfig | None = None) -> tuple[list[SensorInfo], list[SensorStatus]]:
    """Open the sensors of each name, return what they say about themselves, and close them; skips what does not open.

    Beside the infos stand the sensors whose calibration is not used. Unlike `open_sensors` this keeps sensors of the
    same domain apart: it is for a list, not for a measurement.
    """
    infos: list[SensorInfo] = []
    ignored: list[SensorStatus] = []
    for name in names:
        try:
            opened = _load_backend(name, config or SensorConfig()).open()
        except Exception:  # noqa: BLE001 - the status beside it says what is wrong
            opened = []
        ignored.extend(use_profiles(opened))
        infos.extend(sensor.info for sensor in opened)
        for sensor in opened:
            sensor.close()
    return infos, ignored


def open_sensors(config: SensorConfig) -> list[Sensor]:
    """Open the sensors that `config` names, in its order; the list may be empty for ``auto``.

    Each domain (gpu, cpu, dram, system) is read by the first name that offers it, so that no energy is counted twice;
    what a total may add is `harness.sensors.overlap`'s to say.

    Raises:
        SensorError: a sensor was asked for by name and cannot be read.
        ConfigError: a name is not registered, or a sensor's keys are wrong.
    """
    return discover_sensors(config)[0]


def discover_sensors(config: SensorConfig) -> tuple[list[Sensor], list[SensorStatus]]:
    """Open sensors as `open_sensors` does, and return beside them what ``auto`` found and could not read."""
    sensors: list[Sensor] = []
    refused: list[SensorStatus] = []
    try:
        for name in config.names:
            if name == AUTO:
                for automatic in _auto_names(config):
                    refused.extend(_open_if_there(automatic, config, sensors))
            else:
                _add_new_domains(sensors, _load_backend(name, config).open())
    except BaseException:
        for sensor in sensors:
            sensor.close()
        raise
    covered = _covered(sensors)
    return sensors, [status for status in refused if status.domain not in covered or status.device is not None]


def _auto_names(config: SensorConfig) -> tuple[str, ...]:
    """Return what ``auto`` tries; a configured meter comes before the model, and a wall meter before psys."""
    meter = config.external
    if not (meter.url or meter.command) or "external" in config.names:
        return _AUTO_ORDER
    if meter.domain == "system":
        return ("external", *_AUTO_ORDER)
    return (*_AUTO_ORDER[:-1], "external", _AUTO_ORDER[-1])


def _open_if_there(name: str, config: SensorConfig, sensors: list[Sensor]) -> list[SensorStatus]:
    """Add what can be read of `name` to `sensors` and return the statuses of what cannot."""
    if name == "codecarbon" and {"cpu", "dram"} <= _covered(sensors):
        return []
    statuses = [] if name in _OPENED_UNPROBED else _probe(name, config)
    if statuses and not any(status.available for status in statuses):
        return statuses
    device = config.external.device if name == "external" else None
    try:
        unused = _add_new_domains(sensors, _load_backend(name, config).open())
    except SensorError as error:
        return [SensorStatus(name=name, available=False, device=device, reason=str(error))]
    if name == "external" and unused:
        reason = f"domain '{unused[0].domain}' is read by a sensor that is trusted more"
        fix = "to prefer the meter set measure.sensor.names=[external,auto]"
        return [SensorStatus(name=name, available=False, device=device, reason=reason, fix=fix)]
    return [status for status in statuses if not status.available]


def _add_new_domains(sensors: list[Sensor], opened: list[Sensor]) -> list[SensorInfo]:
    """Keep the sensors of domains that were not covered before; close the others and return what they were."""
    covered = _covered(sensors)
    unused: list[SensorInfo] = []
    for sensor in opened:
        if sensor.info.domain in covered:
            unused.append(sensor.info)
            sensor.close()
        else:
            sensors.append(sensor)
    return unused


def _covered(sensors: list[Sensor]) -> set[Domain]:
    return {sensor.info.domain for sensor in sensors}


def _load_backend(name: str, config: SensorConfig) -> Backend:
    make = SENSORS.get(name)
    backend: Backend = make(config) if name in _CONFIGURED else make()
    return backend


def _probe(name: str, config: SensorConfig) -> list[SensorStatus]:
    try:
        return _load_backend(name, config).probe()
    except Exception as error:  # noqa: BLE001 - a list of what is wrong must not itself go wrong
        return [SensorStatus(name=name, available=False, reason=f"{type(error).__name__}: {error}")]
