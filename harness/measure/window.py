"""The meter and its windows: synchronise, freeze the time, read; energy and time of a figure come from one window."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from harness.core.clock import now_s
from harness.core.config import MeasureConfig
from harness.core.records import EnergyReading, Finding, SensorInfo, WindowRecord, Work
from harness.measure import integrate
from harness.measure.reading import mean_power_w, read_window, subtract_idle
from harness.measure.sampler import Sampler, ThreadSampler
from harness.sensors import Sensor, SensorStatus, discover_sensors

MAX_TRACE_POINTS = 2000


class Meter:
    """Opens sensors, samples them in the background and hands out windows. Use it as a context manager.

    Args:
        config: which sensors, and the poll interval.
        sensors: sensors already open, instead of those that `config` names; the meter closes them.
        make_sampler: builds the sampler from the sensors and the poll interval in seconds.
    """

    def __init__(
        self,
        config: MeasureConfig | None = None,
        sensors: Sequence[Sensor] | None = None,
        make_sampler: Callable[[Sequence[Sensor], float], Sampler] = ThreadSampler,
    ) -> None:
        self._config = config or MeasureConfig()
        self._make_sampler = make_sampler
        self.open_sensors = tuple(sensors) if sensors is not None else ()
        self._given = sensors is not None
        self._refused: list[SensorStatus] = []
        self.sampler = make_sampler((), self._config.poll_interval_s)
        self.idle_w: tuple[float | None, ...] = ()
        self.closed_windows: list[Window] = []
        self.start_s = 0.0

    def __enter__(self) -> Self:
        """Open the sensors and start sampling.

        Raises:
            SensorError: a sensor asked for by name cannot be read.
        """
        if not self._given:
            found, self._refused = discover_sensors(self._config.sensor)
            self.open_sensors = tuple(found)
        self.idle_w = (None,) * len(self.open_sensors)
        self.sampler = self._make_sampler(self.open_sensors, self._config.poll_interval_s)
        self.start_s = now_s()
        self.sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sampling and close the sensors; closed windows keep their readings."""
        self.sampler.stop()
        for sensor in self.open_sensors:
            sensor.close()

    @property
    def sensors(self) -> tuple[SensorInfo, ...]:
        """The sensors that are read, in the order of every window's readings."""
        return tuple(sensor.info for sensor in self.open_sensors)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the whole run must know: devices that are there and cannot be read, or no sensor at all."""
        findings = [
            Finding(code="sensor_unavailable", severity="warning", text=status.explain())
            for status in self._refused
            if status.device is not None
        ]
        return tuple(findings) if self.open_sensors else (*findings, self.no_sensor())

    def no_sensor(self) -> Finding:
        """Return the finding of a meter without sensors."""
        why = "; ".join(status.explain() for status in self._refused) or "none was asked for"
        return Finding(code="no_sensor", severity="warning", text=f"energy is unknown, no sensor is open: {why}")

    def window(self, phase: str, repetition: int = 0, sync: Callable[[], None] | None = None) -> Window:
        """Return a window to enter with ``with``; windows may nest, overlap and lie in several threads.

        `sync` is called before each edge is taken (the device's synchronise); if it raises, the window fails.
        """
        return Window(self, phase, repetition, sync)

    def set_idle(self, window: Window) -> None:
        """Take the power of a closed idle window as the baseline of windows that close from now on."""
        if len(window.readings) != len(self.open_sensors):
            raise RuntimeError(f"window '{window.phase}' has no readings; close it before it becomes the baseline")
        self.idle_w = tuple(mean_power_w(reading, window.duration_s) for reading in window.readings)

    def trace(self) -> dict[str, Any]:
        """Return power over time and the windows, times in seconds from the meter's start, for `Store.write_trace`.

        Each series has at most `MAX_TRACE_POINTS` points, mean powers whose area is the energy.
        """
        series = []
        for sensor, samples in zip(self.open_sensors, self.sampler.samples, strict=True):
            times_s, energy_j, power_w, held_j = samples.between(0)
            measured = sensor.info.method != "modelled" and not np.isnan(power_w).all()
            middles_s, mean_w = integrate.average_trace(
                times_s, held_j if measured else energy_j, MAX_TRACE_POINTS, self._config.poll_interval_s / 2
            )
            series.append(
                {
                    "sensor": sensor.info.name,
                    "domain": sensor.info.domain,
                    "device_index": sensor.info.device_index,
                    "times_s": (middles_s - self.start_s).round(4).tolist(),
                    "power_w": mean_w.round(4).tolist(),
                }
            )
        windows = [
            {"phase": w.phase, "repetition": w.repetition, "begin_s": w.begin_s, "end_s": w.begin_s + w.duration_s}
            for w in self.closed_windows
        ]
        return {"series": series, "windows": windows}


class Window:
    """One stretch of work: its time, its energy per sensor and what must be known about them.

    While open it answers `energy_so_far_j`; `readings`, `findings` and `to_record` are there once it has closed. If
    the body or `sync` raises, the exception goes on and the window stays without readings.
    """

    def __init__(self, meter: Meter, phase: str, repetition: int, sync: Callable[[], None] | None) -> None:
        self._meter = meter
        self._sync = sync
        self._first: tuple[int, ...] = ()
        self._begin_abs_s = 0.0
        self._state: Literal["new", "open", "closed", "failed"] = "new"
        self._readings: tuple[EnergyReading, ...] = ()
        self._findings: tuple[Finding, ...] = ()
        self._temperature_c: float | None = None
        self.phase = phase
        self.repetition = repetition
        self.begin_s = 0.0
        self.duration_s = 0.0

    def __enter__(self) -> Self:
        if self._state != "new":
            raise RuntimeError("a window is entered once; ask the meter for another")
        if self._sync is not None:
            self._sync()
        self._begin_abs_s = now_s()
        self._first = self._meter.sampler.sample_now()
        self.begin_s = self._begin_abs_s - self._meter.start_s
        self._state = "open"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state = "failed"
        if error is not None:
            return
        if self._sync is not None:
            self._sync()
        end_s = now_s()
        last = self._meter.sampler.sample_now()
        self.duration_s = end_s - self._begin_abs_s
        self._temperature_c = _read_temperature_c(self._meter.open_sensors)
        findings: list[Finding] = []
        readings = []
        for i, sensor in enumerate(self._meter.open_sensors):
            reading, found = read_window(
                sensor.info,
                self._meter.sampler.samples[i],
                (self._first[i], last[i]),
                (self._begin_abs_s, end_s),
                self._meter.sampler.intervals_s[i],
            )
            readings.append(subtract_idle(reading, self._meter.idle_w[i], self.duration_s))
            findings.extend(self._label(finding, sensor.info) for finding in found)
        self._readings = tuple(readings)
        self._findings = tuple(findings) if readings else (self._meter.no_sensor(),)
        self._state = "closed"
        self._meter.closed_windows.append(self)

    @property
    def readings(self) -> tuple[EnergyReading, ...]:
        """One reading per sensor, in the meter's order; empty without sensors and until the window has closed."""
        return self._readings

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What a reader must know about the readings."""
        return self._findings

    @property
    def energy_j(self) -> float | None:
        """Gross energy over all sensors in joules; ``None`` if any part of it is unknown or nothing was read."""
        return _sum_known([reading.energy_j for reading in self._readings])

    @property
    def synced(self) -> bool:
        """Whether the device was synchronised at both edges."""
        return self._sync is not None and self._state == "closed"

    def energy_so_far_j(self) -> float | None:
        """Return the energy of an open window up to the latest poll, in joules; cheap enough for every step.

        Reads no sensor, so it lags by up to one poll interval; ``None`` where any part is unknown.
        """
        if self._state != "open":
            return self.energy_j
        parts: list[float | None] = []
        for first, sensor, samples in zip(
            self._first, self._meter.open_sensors, self._meter.sampler.samples, strict=True
        ):
            _, begin_j, begin_w, begin_held_j = (float(column[0]) for column in samples.between(first, first))
            _, latest_j, latest_w, latest_held_j = (float(column[-1]) for column in samples.between(samples.size - 1))
            counted = sensor.info.method != "sampled"
            known = not np.isnan([begin_j, latest_j] if counted else [begin_w, latest_w]).any()
            part_j = latest_j - begin_j if counted else latest_held_j - begin_held_j
            parts.append(part_j if known and not (counted and samples.last_fall > first) else None)
        return _sum_known(parts)

    def to_record(self, work: Work | None = None, peak_memory_bytes: int | None = None) -> WindowRecord:
        """Return the record of a closed window; `work` is what it did."""
        if self._state != "closed":
            raise RuntimeError(f"window '{self.phase}' is {self._state}; only a closed one has a record")
        return WindowRecord(
            phase=self.phase,
            repetition=self.repetition,
            begin_s=self.begin_s,
            duration_s=self.duration_s,
            synced=self.synced,
            work=work,
            energy=self._readings,
            peak_memory_bytes=peak_memory_bytes,
            temperature_c=self._temperature_c,
        )

    def _label(self, finding: Finding, info: SensorInfo) -> Finding:
        where = f"window {self.phase} {self.repetition}, {info.name} {info.domain} {info.device_index}"
        return dataclasses.replace(finding, text=f"{where}: {finding.text}")


def _sum_known(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if parts and len(known) == len(parts) else None


def _read_temperature_c(sensors: Sequence[Sensor]) -> float | None:
    """Return the hottest device's temperature, or ``None`` where no sensor has one."""
    temperatures = []
    for sensor in sensors:
        try:
            value = sensor.read_temperature_c()
        except Exception:  # noqa: BLE001 - a label beside the energy; a vendor's failure here must not fail the window
            value = None
        if value is not None:
            temperatures.append(value)
    return max(temperatures, default=None)
