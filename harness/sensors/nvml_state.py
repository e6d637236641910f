"""Asking NVML: what a GPU does not offer is ``None``, what fails is an error; and what a GPU was doing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.core.errors import SensorError
from harness.sensors.base import DeviceState

# NVML's codes for what this GPU or driver does not offer this process: invalid argument (an old driver, a new field),
# not supported, no permission, function not found, argument version mismatch, deprecated.
NOT_OFFERED = frozenset({2, 3, 4, 13, 25, 26})

_TEMPERATURE_GPU = 0
_CLOCK_SM, _CLOCK_MEMORY = 1, 2
_IDLE_REASON = 0x1  # a GPU with nothing to do is not held back
_REASONS = {
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
    0x200: "board_limit",
    0x400: "reliability",
}


def ask(pynvml: Any, function: Callable[..., Any], *args: Any) -> Any:
    """Return the function's answer, or ``None`` where this GPU or driver does not offer it.

    Raises:
        SensorError: it is offered and failed.
    """
    try:
        return function(*args)
    except pynvml.NVMLError as error:
        if error.value in NOT_OFFERED:
            return None
        raise SensorError(f"NVML: {error}") from error


def read_state(pynvml: Any, handle: Any) -> DeviceState:
    """Return temperature, clocks, utilisation, throttle reasons and processes of one GPU.

    Raises:
        SensorError: something that the GPU offers failed, as on a lost device.
    """
    utilisation = ask(pynvml, pynvml.nvmlDeviceGetUtilizationRates, handle)
    return DeviceState(
        temperature_c=_read_temperature_c(pynvml, handle),
        sm_clock_mhz=_as_float(ask(pynvml, pynvml.nvmlDeviceGetClockInfo, handle, _CLOCK_SM)),
        memory_clock_mhz=_as_float(ask(pynvml, pynvml.nvmlDeviceGetClockInfo, handle, _CLOCK_MEMORY)),
        utilisation=None if utilisation is None else utilisation.gpu / 100,
        throttle_reasons=_read_throttle_reasons(pynvml, handle),
        process_ids=_read_process_ids(pynvml, handle),
    )


def _read_temperature_c(pynvml: Any, handle: Any) -> float | None:
    for name in ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"):  # the second is deprecated, the first recent
        celsius = ask(pynvml, getattr(pynvml, name), handle, _TEMPERATURE_GPU) if hasattr(pynvml, name) else None
        if celsius is not None:
            return float(celsius)
    return None


def _read_throttle_reasons(pynvml: Any, handle: Any) -> tuple[str, ...] | None:
    for name in (
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetCurrentClocksThrottleReasons",
    ):  # new, old name
        mask = ask(pynvml, getattr(pynvml, name), handle) if hasattr(pynvml, name) else None
        if mask is not None:
            bits = (1 << place for place in range(int(mask).bit_length()) if mask >> place & 1)
            return tuple(_REASONS.get(bit, f"reason_{bit:#x}") for bit in bits if bit != _IDLE_REASON)
    return None


def _read_process_ids(pynvml: Any, handle: Any) -> tuple[int, ...] | None:
    processes = ask(pynvml, pynvml.nvmlDeviceGetComputeRunningProcesses, handle)
    return None if processes is None else tuple(sorted({int(process.pid) for process in processes}))


def _as_float(value: Any) -> float | None:
    return None if value is None else float(value)
