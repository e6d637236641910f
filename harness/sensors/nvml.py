"""NVIDIA GPUs through NVML (nvidia-ml-py): the energy counter where there is one (Volta and newer), else power.

Only GPUs that CUDA_VISIBLE_DEVICES shows are opened, under the index that CUDA gives them. Units here are NVML's own
(mJ, mW). Source: NVML API reference, ``nvmlDeviceGetTotalEnergyConsumption``, ``nvmlDeviceGetPowerUsage`` and field
``NVML_FI_DEV_POWER_INSTANT`` (186).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.errors import SensorError
from harness.core.records import SensorInfo
from harness.sensors.base import Sensor, SensorStatus, raise_unavailable, status_of

_FIELD_POWER_INSTANT = 186
_TEMPERATURE_GPU = 0
_VALUE_TYPE_DOUBLE = 0
_MW_PER_W = _MJ_PER_J = 1000.0
_MIG_REASON = "the GPU is split by MIG, and NVML counts energy for the whole card, not for a slice"
_MIG_FIX = "measure on a GPU without MIG"


@dataclass(frozen=True, slots=True)
class _Device:
    """A GPU that CUDA shows: its NVML index, CUDA index, name and UUID, or why it is refused."""

    index: int
    cuda_index: int
    name: str
    uuid: str
    refused: str | None = None
    fix: str | None = None

    @property
    def label(self) -> str:
        return f"{self.name} ({self.uuid})" if self.uuid else self.name


class NvmlSensor(Sensor):
    """One GPU; holds a reference on NVML until it is closed."""

    def __init__(self, pynvml: Any, device: _Device) -> None:
        self._nvml = pynvml
        self._handle = pynvml.nvmlDeviceGetHandleByIndex(device.index)
        pynvml.nvmlInit()  # counted by NVML: the device stays open when whoever found it lets go
        self.uuid = device.uuid
        has_counter = _try(pynvml, pynvml.nvmlDeviceGetTotalEnergyConsumption, self._handle) is not None
        self._has_instant = self._read_instant_mw() is not None
        has_power = self._has_instant or _try(pynvml, pynvml.nvmlDeviceGetPowerUsage, self._handle) is not None
        if not has_counter and not has_power:
            pynvml.nvmlShutdown()
            raise SensorError(f"{device.label} offers neither an energy counter nor power")
        self._has_counter, self._has_power = has_counter, has_power
        power_source = "field 186 (instant power)" if self._has_instant else "nvmlDeviceGetPowerUsage"
        self.info = SensorInfo(
            name="nvml",
            domain="gpu",
            device=device.label,
            device_index=device.cuda_index,
            method="counter" if has_counter else "sampled",
            grade="A" if has_counter else "B",
            update_period_s=None,
            source=f"NVML nvmlDeviceGetTotalEnergyConsumption; power from {power_source if has_power else 'nothing'}"
            if has_counter
            else f"NVML {power_source}; the GPU has no energy counter",
        )

    def read_energy_j(self) -> float | None:
        """Return the counter in joules since the driver was loaded; ``None`` for a GPU without one."""
        if not self._has_counter:
            return None
        return float(self._call(self._nvml.nvmlDeviceGetTotalEnergyConsumption)) / _MJ_PER_J

    def read_power_w(self) -> float | None:
        """Return instant power, or what ``nvmlDeviceGetPowerUsage`` says where the GPU has no such field."""
        if self._has_instant:
            power_mw = self._read_instant_mw()
            if power_mw is None:
                raise SensorError("NVML gave no instant power")
            return power_mw / _MW_PER_W
        return float(self._call(self._nvml.nvmlDeviceGetPowerUsage)) / _MW_PER_W if self._has_power else None

    def read_temperature_c(self) -> float | None:
        """Return the temperature of the GPU's core."""
        celsius = _try(self._nvml, self._nvml.nvmlDeviceGetTemperature, self._handle, _TEMPERATURE_GPU)
        return None if celsius is None else float(celsius)

    def close(self) -> None:
        """Give back the reference on NVML."""
        _try(self._nvml, self._nvml.nvmlShutdown)

    def _read_instant_mw(self) -> float | None:
        values = _try(self._nvml, self._nvml.nvmlDeviceGetFieldValues, self._handle, [_FIELD_POWER_INSTANT])
        if not values or values[0].nvmlReturn != 0 or values[0].valueType == _VALUE_TYPE_DOUBLE:
            return None
        return float(values[0].value.uiVal)

    def _call(self, function: Any) -> Any:
        try:
            return function(self._handle)
        except self._nvml.NVMLError as error:
            raise SensorError(f"NVML: {error}") from error


class Nvml:
    """The NVIDIA GPUs that this process may use."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ

    def probe(self) -> list[SensorStatus]:
        """Describe every visible GPU; one line when there is none."""
        sensors, statuses = self._open_all()
        for sensor in sensors:
            sensor.close()
        return statuses

    def open(self) -> list[Sensor]:
        """Open every visible GPU that can be read.

        Raises:
            SensorError: there is none; the message says why.
        """
        sensors, statuses = self._open_all()
        if not sensors:
            raise_unavailable("nvml", statuses)
        return sensors

    def _open_all(self) -> tuple[list[Sensor], list[SensorStatus]]:
        try:
            pynvml = importlib.import_module("pynvml")
        except ImportError:
            return [], [_unavailable("the package nvidia-ml-py is not installed", "pip install nvidia-ml-py")]
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            return [], [_unavailable(f"NVML does not start ({error})", "needs an NVIDIA GPU and its driver")]
        sensors: list[Sensor] = []
        statuses: list[SensorStatus] = []
        try:
            for device in _list_visible(pynvml, self._environ):
                refused = device.refused
                if refused is None:
                    try:
                        sensors.append(NvmlSensor(pynvml, device))
                        statuses.append(status_of(sensors[-1].info))
                        continue
                    except (SensorError, pynvml.NVMLError) as error:
                        refused = str(error)
                statuses.append(_unavailable(refused, device.fix, device))
        except pynvml.NVMLError as error:
            statuses.append(_unavailable(f"NVML: {error}", None))
        finally:
            _try(pynvml, pynvml.nvmlShutdown)
        if not statuses:
            statuses.append(_unavailable("no GPU is visible", "look at CUDA_VISIBLE_DEVICES"))
        return sensors, statuses


def _list_visible(pynvml: Any, environ: Mapping[str, str]) -> list[_Device]:
    """Return the GPUs in CUDA's order.

    As CUDA does, entries count up to the first that names no GPU, and UUIDs may be cut short. CUDA numbers GPUs by
    speed unless CUDA_DEVICE_ORDER is PCI_BUS_ID, NVML by PCI bus, so a choice by number among unlike GPUs is refused.
    """
    found: list[tuple[str, str]] = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        name = _try(pynvml, pynvml.nvmlDeviceGetName, handle) or "NVIDIA GPU"
        found.append((str(name), str(_try(pynvml, pynvml.nvmlDeviceGetUUID, handle) or "")))
    chosen = environ.get("CUDA_VISIBLE_DEVICES")
    wanted = [str(i) for i in range(len(found))] if chosen is None else [c.strip() for c in chosen.split(",")]
    unlike = len({name for name, _ in found}) > 1 and environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID"
    devices: list[_Device] = []
    for entry in wanted:
        cuda_index = len(devices)
        if entry.startswith("MIG-"):
            devices.append(_Device(-1, cuda_index, entry, "", _MIG_REASON, _MIG_FIX))
            continue
        place = _find_index(entry, found)
        if place is None:
            break
        reason, fix = None, None
        if _is_split(pynvml, place):
            reason, fix = _MIG_REASON, _MIG_FIX
        elif unlike and entry.isdigit():
            reason = "unlike GPUs are numbered by speed in CUDA and by PCI bus in NVML"
            fix = "set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name GPUs by UUID in CUDA_VISIBLE_DEVICES"
        devices.append(_Device(place, cuda_index, *found[place], reason, fix))
    return devices


def _find_index(entry: str, found: list[tuple[str, str]]) -> int | None:
    if entry.isdigit():
        return int(entry) if int(entry) < len(found) else None
    matches = [index for index, (_, uuid) in enumerate(found) if entry.startswith("GPU-") and uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None


def _is_split(pynvml: Any, index: int) -> bool:
    mode = _try(pynvml, pynvml.nvmlDeviceGetMigMode, pynvml.nvmlDeviceGetHandleByIndex(index))
    return bool(mode and mode[0] == 1)


def _unavailable(reason: str, fix: str | None, device: _Device | None = None) -> SensorStatus:
    return SensorStatus(
        name="nvml",
        available=False,
        domain="gpu",
        device=device.label if device else None,
        device_index=device.cuda_index if device else None,
        reason=reason,
        fix=fix,
    )


def _try(pynvml: Any, function: Any, *args: Any) -> Any:
    """Return the function's answer, or ``None`` where this GPU or driver does not offer it."""
    try:
        return function(*args)
    except pynvml.NVMLError:
        return None
