"""What samples the sensors: a process of its own, or a thread over sensors that are already open.

Windows depend on the `Sampler` protocol only. The measured process marks edges and reads samples; it never reads a
sensor. Both samplers use the same polling loop (`harness.measure.poller`).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from harness.core.clock import now_s
from harness.core.readings import SensorInfo
from harness.measure.poller import DENSE_LIMIT_S, Poller, Signal
from harness.measure.samples import Samples
from harness.sensors.base import DeviceState, Sensor, SensorStatus
from harness.sensors.profile import use_profiles

# After the tick that was waited for could have come, this much more is granted to a sampler that was held up.
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class StateSample:
    """A device's state at a time on the monotonic clock."""

    sensor: int
    time_s: float
    state: DeviceState


class Sampler(Protocol):
    """Keeps one `Samples` per sensor, in the order of `infos`, which are known once it has started.

    `refused` tells what cannot be read, and of a sensor that can (`available`) why its calibration is not used.
    """

    infos: tuple[SensorInfo, ...]
    refused: tuple[SensorStatus, ...]
    samples: tuple[Samples, ...]
    intervals_s: tuple[float, ...]
    states: list[StateSample]

    def start(self) -> None:
        """Open what must be opened and begin polling.

        Raises:
            SensorError: a sensor asked for by name cannot be read.
        """
        ...

    def mark(self) -> None:
        """Say that a window's edge was just taken: cheap, does not wait."""
        ...

    def refresh(self) -> None:
        """Bring what was sampled up to now into `samples`; cheap, does not wait."""
        ...

    def failure(self) -> str | None:
        """Return why sampling ended, or ``None`` while it goes on."""
        ...

    def stop(self) -> None:
        """End polling; samples stay."""
        ...


class ThreadSampler:
    """Polls open sensors from a daemon thread; code that holds the interpreter delays it, which shows as gaps."""

    def __init__(self, sensors: Sequence[Sensor], poll_interval_s: float) -> None:
        self._sensors = tuple(sensors)
        self._signals: queue.SimpleQueue[Signal] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._poller = Poller(self._sensors, poll_interval_s, self._write, self._report, self._tell_state)
        self.refused: tuple[SensorStatus, ...] = tuple(use_profiles(self._sensors))
        self.infos = tuple(sensor.info for sensor in self._sensors)
        self.samples = tuple(Samples() for _ in self._sensors)
        self.states: list[StateSample] = []
        self.intervals_s = self._poller.intervals_s

    def start(self) -> None:
        """See every counter tick a few times and begin polling; nothing to do without sensors."""
        if self._sensors and self._thread is None:
            self._poller.begin()
            self._thread = threading.Thread(
                target=self._poller.run, args=(self._wait,), name="isojoule-sampler", daemon=True
            )
            self._thread.start()

    def mark(self) -> None:
        """Wake the thread."""
        self._signals.put("mark")

    def refresh(self) -> None:
        """Nothing to do: the thread writes into `samples`."""

    def failure(self) -> str | None:
        """A thread ends only with its process."""
        return None

    def stop(self) -> None:
        """End polling, wait for the thread and close the sensors."""
        self._signals.put("stop")
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for sensor in self._sensors:
            sensor.close()

    def _wait(self, seconds: float) -> Signal:
        try:
            return self._signals.get(timeout=seconds) if seconds > 0 else self._signals.get_nowait()
        except queue.Empty:
            return ""

    def _write(  # noqa: PLR0917 - the fields of a row
        self, i: int, time_s: float, energy_j: float, power_w: float, read_s: float, failed: int
    ) -> None:
        self.samples[i].append(time_s, energy_j, power_w, read_s, failed)

    def _report(self, i: int, text: str) -> None:
        self.samples[i].last_error = text

    def _tell_state(self, i: int, state: DeviceState) -> None:
        self.states.append(StateSample(i, now_s(), state))


def has_passed(sampler: Sampler, i: int, edge_s: float, lag_s: float = 0.0) -> bool:
    """Return whether sensor `i` has been seen far enough past a window's edge to know its energy there.

    A counter has ticked after the edge, or had the time to; power has been read `lag_s` and one poll later; a model has
    been asked once more.
    """
    info, samples = sampler.infos[i], sampler.samples[i]
    latest = samples.latest()
    if latest is None:
        return False
    if info.method == "counter":
        if latest[0] >= edge_s + DENSE_LIMIT_S:
            return True
        energy_j = samples.between(edge_s, np.inf)["energy_j"]
        return np.unique(energy_j[~np.isnan(energy_j)]).size > 1
    if info.method == "sampled":
        return latest[0] >= edge_s + lag_s + sampler.intervals_s[i]
    return latest[0] >= edge_s


def longest_wait_s(sampler: Sampler, i: int, lag_s: float) -> float:
    """Return how long `has_passed` may stay false for a sampler that works."""
    return _PATIENCE_S + max(DENSE_LIMIT_S, lag_s + 2 * sampler.intervals_s[i])
