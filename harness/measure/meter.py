"""The meter: starts a sampler, hands out windows, and reads each window when somebody asks for its energy."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from harness.core.clock import now_s
from harness.core.config import MeasureConfig
from harness.core.readings import EnergyReading, Finding, SensorInfo
from harness.measure import integrate
from harness.measure.process import ProcessSampler
from harness.measure.reading import mean_power_w, read_window, subtract_idle
from harness.measure.sampled import find_lag_s
from harness.measure.sampler import Sampler, ThreadSampler, has_passed, longest_wait_s
from harness.measure.state import find_state_problems, hottest_c
from harness.measure.ticks import Period, measure_period
from harness.measure.totals import sum_known
from harness.measure.window import Window, WindowReading
from harness.sensors import Sensor

MAX_TRACE_POINTS = 2000
_LOOK_AGAIN_S = 0.002


class Meter:
    """Samples sensors in the background and hands out windows. Use it as a context manager, once.

    Args:
        config: which sensors, and the poll interval.
        sensors: sensors already open, instead of those that `config` names; they are sampled from a thread of this
            process, and the meter closes them.
        sampler: what samples, instead of a process of its own.
        folder: where the sample file lies and stays; without one it goes away with the meter.
    """

    def __init__(
        self,
        config: MeasureConfig | None = None,
        sensors: Sequence[Sensor] | None = None,
        *,
        sampler: Sampler | None = None,
        folder: Path | None = None,
    ) -> None:
        self._config = config or MeasureConfig()
        if sampler is not None:
            self.sampler = sampler
        elif sensors is not None:
            self.sampler = ThreadSampler(sensors, self._config.poll_interval_s)
        else:
            self.sampler = ProcessSampler(self._config, folder)
        self._periods: dict[int, Period] = {}
        self._lock = threading.Lock()
        self._running = False
        self.idle_w: tuple[float | None, ...] = ()
        self.closed_windows: list[Window] = []
        self.start_s = 0.0

    def __enter__(self) -> Self:
        """Open the sensors and start sampling.

        Raises:
            SensorError: a sensor asked for by name cannot be read.
        """
        self.sampler.start()
        self.start_s = now_s()
        self.idle_w = (None,) * len(self.sampler.infos)
        self._running = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sampling once the last window's edge has been passed; closed windows still get their readings."""
        if self.closed_windows and error is None:
            last = max(self.closed_windows, key=lambda w: w.end_abs_s)
            self._wait_past(last.end_abs_s)
        self._running = False
        self.sampler.stop()

    @property
    def sensors(self) -> tuple[SensorInfo, ...]:
        """The sensors that are read, in the order of every window's readings, with their measured update periods."""
        return tuple(self.sampler.infos)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the whole run must know: devices that are there and cannot be read, no sensor, a sampler that ended."""
        findings = [
            Finding(
                code="profile_ignored" if status.available else "sensor_unavailable",
                severity="warning",
                text=status.explain(),
            )
            for status in self.sampler.refused
            if status.device is not None
        ]
        ended = self.sampler.failure()
        if ended is not None:
            findings.append(Finding(code="sampler_ended", severity="error", text=ended))
        return tuple(findings) if self.sampler.infos else (*findings, self.no_sensor())

    def no_sensor(self) -> Finding:
        """Return the finding of a meter without sensors."""
        why = "; ".join(status.explain() for status in self.sampler.refused) or "none was asked for"
        return Finding(code="no_sensor", severity="warning", text=f"energy is unknown, no sensor is open: {why}")

    def window(self, phase: str, repetition: int = 0, sync: Callable[[], None] | None = None) -> Window:
        """Return a window to enter with ``with``; windows may nest, overlap and lie in several threads.

        `sync` is called before each edge is taken (the device's synchronise); if it raises, the window fails.
        """
        return Window(self, phase, repetition, sync)

    def set_idle(self, window: Window) -> None:
        """Take the power of a closed idle window as the baseline of windows that close from now on."""
        if not window.closed:
            raise RuntimeError(f"window '{window.phase}' has no readings; close it before it becomes the baseline")
        self.idle_w = tuple(mean_power_w(reading, window.duration_s) for reading in window.readings)

    def period(self, i: int) -> Period | None:
        """Return the update period of sensor `i`, measured at the start; ``None`` unless a counter ticked."""
        if self.sampler.infos[i].method != "counter":
            return None
        if i not in self._periods:
            found = measure_period(self.sampler.samples[i])
            documented_s = self.sampler.infos[i].update_period_s
            if found is None and documented_s is not None:
                found = Period(documented_s, 0.0)
            if found is None:
                return None
            self._periods[i] = found
        return self._periods[i]

    def read(self, begin_s: float, end_s: float, idle_w: Sequence[float | None]) -> WindowReading:
        """Return readings and findings between two times on the monotonic clock; waits for the tick after the end.

        `idle_w` is the idle power to subtract, one entry per sensor.
        """
        self._wait_past(end_s)
        with self._lock:
            findings: list[Finding] = []
            readings: list[EnergyReading] = []
            ended = self.sampler.failure()
            for i, info in enumerate(self.sampler.infos):
                samples, interval_s = self.sampler.samples[i], self.sampler.intervals_s[i]
                reading, found = read_window(info, samples, (begin_s, end_s), interval_s, self.period(i), ended)
                readings.append(subtract_idle(reading, idle_w[i], end_s - begin_s))
                where = f"{info.name} {info.domain} {info.device_index}"
                findings.extend(dataclasses.replace(f, text=f"{where}: {f.text}") for f in found)
            states = list(self.sampler.states)
            findings.extend(find_state_problems(self.sampler.infos, states, begin_s, end_s))
            if not readings:
                findings.append(self.no_sensor())
            return WindowReading(tuple(readings), tuple(findings), hottest_c(states, begin_s, end_s))

    def energy_between_j(self, begin_s: float) -> float | None:
        """Return the energy since `begin_s` (monotonic clock) up to the latest poll, in joules; does not wait."""
        self.sampler.refresh()
        parts: list[float | None] = []
        for info, samples in zip(self.sampler.infos, self.sampler.samples, strict=True):
            before, latest = samples.latest(begin_s), samples.latest()
            if before is None or latest is None:
                parts.append(None)
                continue
            column = 2 if info.method == "sampled" else 1
            part_j = latest[column] - before[column]
            fell = info.method == "counter" and samples.last_fall_s > before[0]
            parts.append(None if fell or np.isnan(part_j) else part_j)
        return sum_known(parts, self.sampler.infos)

    def trace(self) -> dict[str, Any]:
        """Return power over time and the windows, times in seconds from the meter's start, for `Store.write_trace`.

        Each series has at most `MAX_TRACE_POINTS` points, mean powers whose area is the energy.
        """
        self.sampler.refresh()
        series = []
        for info, samples in zip(self.sampler.infos, self.sampler.samples, strict=True):
            times_s, energy_j, held_j = samples.cumulative()
            measured = info.method != "modelled" and held_j.size > 0 and held_j[-1] > 0
            middles_s, mean_w = integrate.average_trace(
                times_s, held_j if measured else energy_j, MAX_TRACE_POINTS, self._config.poll_interval_s / 2
            )
            series.append(
                {
                    "sensor": info.name,
                    "domain": info.domain,
                    "device_index": info.device_index,
                    "times_s": (middles_s - self.start_s).round(4).tolist(),
                    "power_w": mean_w.round(4).tolist(),
                }
            )
        windows = [
            {"phase": w.phase, "repetition": w.repetition, "begin_s": w.begin_s, "end_s": w.begin_s + w.duration_s}
            for w in self.closed_windows
        ]
        return {"series": series, "windows": windows}

    def _wait_past(self, edge_s: float) -> None:
        """Wait until every sensor has been seen far enough past `edge_s`, or cannot be any more."""
        self.sampler.refresh()
        if not self._running:
            return
        for i, info in enumerate(self.sampler.infos):
            lag_s = find_lag_s(info, self.sampler.intervals_s[i]) if info.method == "sampled" else 0.0
            until_s = edge_s + longest_wait_s(self.sampler, i, lag_s)
            while not has_passed(self.sampler, i, edge_s, lag_s) and now_s() < until_s:
                if self.sampler.failure() is not None:
                    self.sampler.refresh()
                    return
                time.sleep(_LOOK_AGAIN_S)
                self.sampler.refresh()
