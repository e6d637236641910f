"""CodeCarbon's own model of CPU and RAM power: the last resort, grade C, never a measurement.

Formulas of codecarbon 3.3.2 that are used, by calling its classes:

- CPU, ``codecarbon.external.hardware.CPU`` in mode ``cpu_load``, tracking mode ``machine``:
  ``P = TDP * (0.1 + 0.9 * load**3)``, load the busy share of all CPUs (psutil CPU times) since the last reading.
  ``TDP`` is codecarbon's table entry for the CPU model, or 4 W per thread for a model that it does not know, times the
  number of sockets (as its ``ResourceTracker`` does), or 85 W when nothing is known.
- RAM, ``codecarbon.external.ram.RAM``: a constant, 5 W for each of a guessed number of modules (x86; 1.5 W on Arm).

No tracker is made, so there is no lock file, no upload, no look-up of a place: nothing touches the network. CodeCarbon
is MIT licensed, https://github.com/mlco2/codecarbon.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import math
import threading
from functools import cache
from typing import Any

from harness.core.clock import now_s
from harness.core.errors import SensorError
from harness.core.readings import Domain, SensorInfo
from harness.sensors.base import Sensor, SensorStatus, raise_unavailable, status_of

READ_PERIOD_S = 0.5
# CPU times tick every 10 ms; a load over fewer ticks than these is noise, which the cube would turn into energy.
MIN_INTERVAL_S = 0.1


class ModelledSensor(Sensor):
    """A power model with its own running integral: each reading's power holds since the reading before."""

    def __init__(self, info: SensorInfo, model: Any) -> None:
        self.info = info
        self._model = model
        self._lock = threading.Lock()
        self._energy_j = 0.0
        self._power_w = self._ask_model()
        self._until_s = now_s()

    def read_energy_j(self) -> float | None:
        """Return modelled joules since the sensor was opened."""
        with self._lock:
            elapsed_s = now_s() - self._until_s
            if elapsed_s >= MIN_INTERVAL_S:
                self._power_w = self._ask_model()
                elapsed_s = now_s() - self._until_s
                self._energy_j += self._power_w * elapsed_s
                self._until_s += elapsed_s
                return self._energy_j
            return self._energy_j + self._power_w * elapsed_s

    def read_power_w(self) -> float | None:
        """Return the modelled power over the last interval, in watts."""
        return self._power_w

    def _ask_model(self) -> float:
        power_w = float(self._model.total_power().W)
        if not math.isfinite(power_w) or power_w <= 0:  # codecarbon turns its own failures into 0 W
            raise SensorError(f"codecarbon's model of {self.info.domain} gave {power_w} W")
        return power_w


class Codecarbon:
    """CodeCarbon's CPU and RAM models on this machine."""

    def probe(self) -> list[SensorStatus]:
        """Describe both models; loading codecarbon's CPU table takes a second or two the first time."""
        try:
            return [status_of(s.info, reason=s.info.source) for s in self.open()]
        except SensorError as error:
            return [SensorStatus(name="codecarbon", available=False, reason=str(error))]

    @staticmethod
    def preload() -> None:
        """Import the library and look this CPU up in its table, which takes a second or two."""
        with contextlib.suppress(Exception):  # what is wrong with it, opening it will say
            importlib.import_module("codecarbon.external.ram")
            _find_tdp()

    def open(self) -> list[Sensor]:
        """Open both models.

        Raises:
            SensorError: codecarbon is not installed, or it failed.
        """
        try:
            return _open_models()
        except ImportError:
            status = SensorStatus(
                name="codecarbon",
                available=False,
                reason="the package is not installed",
                fix="install it with: pip install codecarbon",
            )
            raise_unavailable("codecarbon", [status])
        except SensorError:
            raise
        except Exception as error:  # a third-party library over an unknown machine may raise anything
            raise SensorError(f"sensor 'codecarbon' cannot be read: {type(error).__name__}: {error}.") from error
        return []


def _open_models() -> list[Sensor]:
    hardware = importlib.import_module("codecarbon.external.hardware")
    ram = importlib.import_module("codecarbon.external.ram").RAM(tracking_mode="machine")
    version = importlib.import_module("codecarbon._version").__version__
    model, tdp_w, origin = _find_tdp()
    # A wrong directory is harmless: only Intel Power Gadget mode writes there.
    cpu = hardware.CPU(output_dir="", mode=hardware.MODE_CPU_LOAD, model=model, tdp=tdp_w, tracking_mode="machine")
    cpu.start()
    cpu_source = f"codecarbon {version} cpu_load model: {tdp_w:g} W ({origin}) x (0.1 + 0.9 load^3)"
    ram_source = f"codecarbon {version} RAM model: constant from {ram.machine_memory_GB:.1f} GiB installed"
    return [
        ModelledSensor(_info("cpu", model, cpu_source), cpu),
        ModelledSensor(_info("dram", "RAM", ram_source), ram),
    ]


def _info(domain: Domain, device: str, source: str) -> SensorInfo:
    return SensorInfo(
        name="codecarbon",
        domain=domain,
        device=device,
        device_index=0,
        method="modelled",
        grade="C",
        update_period_s=READ_PERIOD_S,
        source=source,
    )


@cache
def _find_tdp() -> tuple[str, float, str]:
    """Return the CPU's name, its design power in watts, and where that number comes from."""
    cpu = importlib.import_module("codecarbon.core.cpu")
    util = importlib.import_module("codecarbon.core.util")
    heard = _Listener()
    logger = logging.getLogger("codecarbon")
    logger.addFilter(heard)
    try:
        tdp = cpu.TDP()
    finally:
        logger.removeFilter(heard)
    model = tdp.model or "unknown CPU"
    if tdp.tdp is None:
        default_w = float(importlib.import_module("codecarbon.external.hardware").POWER_CONSTANT)
        return model, default_w, "codecarbon's default for an unknown CPU"
    num_sockets = int(util.count_physical_cpus() or 1)
    origin = "codecarbon's default per thread, the CPU is not in its table" if heard.warned else "codecarbon's table"
    return model, float(tdp.tdp) * num_sockets, origin


class _Listener(logging.Filter):
    """Notes a warning instead of printing it: codecarbon says only there that it guessed."""

    warned = False

    def filter(self, record: logging.LogRecord) -> bool:
        self.warned = self.warned or record.levelno >= logging.WARNING
        return False
