"""NVIDIA GPUs through NVML (nvidia-ml-py): the energy counter where there is one (Volta and newer), else power.

Only GPUs that CUDA_VISIBLE_DEVICES shows are opened, under CUDA's index. Units here are NVML's own (mJ, mW). Source:
NVML reference, ``nvmlDeviceGetTotalEnergyConsumption``, ``nvmlDeviceGetPowerUsage``, the fields 185 (average) and 186.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
from collections.abc import Mapping
from typing import Any

from harness.core.errors import SensorError
from harness.core.readings import SensorInfo
from harness.sensors.base import DeviceState, Sensor, SensorStatus, raise_unavailable, status_of
from harness.sensors.nvml_generations import Generation, Signal, find_generation
from harness.sensors.nvml_state import NOT_OFFERED, ask, read_state
from harness.sensors.nvml_visible import Device, list_visible

_FIELDS = {"instant": 186, "average": 185}
_SCOPE_GPU, _SCOPE_MODULE = 0, 1
_VALUE_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")  # by nvmlValueType_t
_MW_PER_W = _MJ_PER_J = 1000.0
# NVML API reference, ``nvmlDeviceGetPowerUsage``: "accurate to within +/- 5%", said of Fermi and Kepler and of nothing
# newer; against shunt meters cards were off by -6% to +11%, most by 4 to 6% (Yang et al., arXiv 2312.02741).
_GAIN_ERROR = 0.05


class _NotANumberError(SensorError):
    """NVML answered, and the answer is no number."""


class NvmlSensor(Sensor):
    """One GPU; holds a reference on NVML until it is closed.

    Beside a counter it reads instant power; without one, rather the shortest mean that no moment escapes: the integral
    of a blind signal depends on how the load falls into its gaps.
    """

    def __init__(self, pynvml: Any, device: Device) -> None:
        self._nvml = pynvml
        self._handle = pynvml.nvmlDeviceGetHandleByIndex(device.index)
        self.uuid = device.uuid
        self._scope = _SCOPE_GPU
        self._notes: list[str] = []
        pynvml.nvmlInit()  # counted by NVML: the device stays open when whoever found it lets go
        try:
            self._has_counter = ask(pynvml, pynvml.nvmlDeviceGetTotalEnergyConsumption, self._handle) is not None
            self._offered = self._find_offered()
            architecture = ask(pynvml, pynvml.nvmlDeviceGetArchitecture, self._handle)
            generation = find_generation(architecture, device.name)
            self.power_signal = self._choose_power(generation)
            limit_mw = ask(pynvml, pynvml.nvmlDeviceGetEnforcedPowerLimit, self._handle)
            self.driver_version: str | None = ask(pynvml, pynvml.nvmlSystemGetDriverVersion)
        except (SensorError, pynvml.NVMLError):
            self.close()
            raise
        signal: Signal = getattr(generation, self.power_signal or "", Signal())
        self.info = SensorInfo(
            name="nvml",
            domain="gpu",
            device=device.label,
            device_index=device.cuda_index,
            method="counter" if self._has_counter else "sampled",
            grade="A" if self._has_counter else "B",
            update_period_s=None if self._has_counter else signal.period_s,
            source=self._describe_source(),
            power_period_s=signal.period_s,
            power_window_s=signal.window_s,
            power_limit_w=limit_mw / _MW_PER_W if limit_mw else None,
            gain_error=_GAIN_ERROR,
        )

    def read_energy_j(self) -> float | None:
        """Return the counter in joules since the driver was loaded; ``None`` for a GPU without one."""
        if not self._has_counter:
            return None
        return self._call(self._nvml.nvmlDeviceGetTotalEnergyConsumption) / _MJ_PER_J

    def read_power_w(self) -> float | None:
        """Return power in watts by the signal that `info` names, or ``None`` for a GPU that tells its counter alone."""
        return self._read_mw(self.power_signal) / _MW_PER_W if self.power_signal else None

    def read_signals(self) -> dict[str, float | None]:
        """Return all that the GPU tells of energy and power, for calibration; ``None`` for what it does not offer.

        Keys: ``counter_j`` in joules; ``instant_w`` (field 186), ``average_w`` (185) and ``usage_w`` in watts.
        """
        signals = {"counter_j": self.read_energy_j()}
        for name in ("instant", "average", "usage"):
            signals[f"{name}_w"] = self._read_mw(name) / _MW_PER_W if name in self._offered else None
        return signals

    def read_state(self) -> DeviceState:
        """Return temperature, clocks, utilisation, throttle reasons and process ids."""
        return read_state(self._nvml, self._handle)

    def close(self) -> None:
        """Give back the reference on NVML."""
        with contextlib.suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def _find_offered(self) -> tuple[str, ...]:
        """Return the power signals that answer; the module's (CPU and GPU) only where the GPU alone has none."""
        offered = tuple(name for name in ("instant", "average", "usage") if self._offers(name))
        if not offered:
            self._scope = _SCOPE_MODULE
            offered = tuple(name for name in _FIELDS if self._offers(name))
        if not offered and not self._has_counter:
            raise SensorError("it offers neither an energy counter nor power")
        return offered

    def _offers(self, name: str) -> bool:
        try:
            if name == "usage":
                return ask(self._nvml, self._nvml.nvmlDeviceGetPowerUsage, self._handle) is not None
            value = self._ask_field(name)
            return value is not None and _number(value) >= 0
        except _NotANumberError:
            self._notes.append(f"field {_FIELDS[name]} ({name}) gave no number and is not used")
            return False

    def _choose_power(self, generation: Generation) -> str | None:
        ranked = [name for name in ("instant", "usage", "average") if name in self._offered]
        if not self._has_counter:
            whole = [name for name in ranked if getattr(generation, name).sees_all]
            ranked = sorted(whole, key=lambda name: float(getattr(generation, name).window_s)) or ranked
        return ranked[0] if ranked else None

    def _describe_source(self) -> str:
        power = "nothing"
        if self.power_signal:
            field = _FIELDS.get(self.power_signal)
            power = f"field {field} ({self.power_signal} power)" if field else "nvmlDeviceGetPowerUsage"
            power += " of the module (CPU and GPU)" if self._scope == _SCOPE_MODULE else ""
        source = f"NVML {power}; the GPU has no energy counter"
        if self._has_counter:
            source = f"NVML nvmlDeviceGetTotalEnergyConsumption; power from {power}"
        return "; ".join([source, *self._notes])

    def _read_mw(self, name: str) -> float:
        if name == "usage":
            return self._call(self._nvml.nvmlDeviceGetPowerUsage)
        try:
            value = self._ask_field(name)
        except self._nvml.NVMLError as error:
            raise SensorError(f"NVML: {error}") from error
        if value is None:
            raise SensorError(f"NVML gave no power in field {_FIELDS[name]} this time")
        return _number(value)

    def _ask_field(self, name: str) -> Any:
        """Return the field's value, or ``None`` where it is not offered; a field tells its own failure."""
        values = ask(self._nvml, self._nvml.nvmlDeviceGetFieldValues, self._handle, [(_FIELDS[name], self._scope)])
        if values is None or values[0].nvmlReturn in NOT_OFFERED:
            return None
        if values[0].nvmlReturn != 0:
            raise SensorError(f"NVML: field {_FIELDS[name]}: {self._nvml.NVMLError(values[0].nvmlReturn)}")
        return values[0]

    def _call(self, function: Any) -> float:
        try:
            return float(function(self._handle))
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
            for device in list_visible(pynvml, self._environ):
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
            with contextlib.suppress(pynvml.NVMLError):
                pynvml.nvmlShutdown()
        if not statuses:
            statuses.append(_unavailable("no GPU is visible", self._explain_none()))
        return sensors, statuses

    def _explain_none(self) -> str | None:
        chosen = self._environ.get("CUDA_VISIBLE_DEVICES")
        if chosen is None:
            return None
        return f"look at CUDA_VISIBLE_DEVICES='{chosen}': numbers or UUIDs of GPUs that are there, each once"


def _number(field: Any) -> float:
    kind = field.valueType
    value = float(getattr(field.value, _VALUE_MEMBERS[kind])) if 0 <= kind < len(_VALUE_MEMBERS) else math.nan
    if not math.isfinite(value) or value < 0:
        raise _NotANumberError(f"NVML: field {field.fieldId} gave {value}, which is no power")
    return value


def _unavailable(reason: str, fix: str | None, device: Device | None = None) -> SensorStatus:
    return SensorStatus(
        name="nvml",
        available=False,
        domain="gpu",
        device=device.label if device else None,
        device_index=device.cuda_index if device else None,
        reason=reason,
        fix=fix,
    )
