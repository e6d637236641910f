"""Polling sensors at a fixed rate, with each sample stamped on the monotonic clock.

The first sampler is a thread of the measured process: Python code that holds the interpreter for long delays it, which
shows as gaps. Windows depend on the `Sampler` protocol only, so a sampler in its own process can take its place.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from harness.core.clock import now_s
from harness.sensors.base import Sensor

FloatArray = npt.NDArray[np.float64]

# A model's inputs (CPU times) move slowly and reading them must not disturb the work.
MODELLED_INTERVAL_S = 0.5
_FIRST_CAPACITY = 256


class Samples:
    """The samples of one sensor, in order of time; a quantity that could not be read is NaN.

    `held_j` is the running hold-last integral of power: each power holds until the next one that could be read.
    `last_error` is why the latest failing read failed, `last_fall` the latest index at which the counter fell, or -1.
    """

    def __init__(self) -> None:
        self._data: FloatArray = np.empty((4, _FIRST_CAPACITY))
        self._lock = threading.Lock()
        self._held_j = 0.0
        self._held_w = math.nan
        self._counted_j = math.nan
        self.last_fall = -1
        self.last_error: str | None = None
        self.size = 0

    def append(self, time_s: float, energy_j: float, power_w: float) -> int:
        """Add one sample and return its index."""
        with self._lock:
            if self.size == self._data.shape[1]:
                self._data = np.concatenate([self._data, np.empty_like(self._data)], axis=1)
            if self.size and not math.isnan(self._held_w):
                self._held_j += self._held_w * (time_s - float(self._data[0, self.size - 1]))
            if not math.isnan(power_w):
                self._held_w = power_w
            if energy_j < self._counted_j:
                self.last_fall = self.size
            if not math.isnan(energy_j):
                self._counted_j = energy_j
            self._data[:, self.size] = (time_s, energy_j, power_w, self._held_j)
            self.size += 1
            return self.size - 1

    def between(self, first: int, last: int | None = None) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return copies of times_s, energy_j, power_w and held_j, from index `first` to `last` inclusive."""
        with self._lock:
            stop = self.size if last is None else last + 1
            times_s, energy_j, power_w, held_j = self._data[:, max(0, first) : stop].copy()
            return times_s, energy_j, power_w, held_j


class Sampler(Protocol):
    """Collects `Samples` per sensor, in the order of the sensors it was given."""

    samples: tuple[Samples, ...]
    intervals_s: tuple[float, ...]

    def start(self) -> None:
        """Begin polling."""
        ...

    def sample_now(self) -> tuple[int, ...]:
        """Take one sample of every sensor in the calling thread and return their indices."""
        ...

    def stop(self) -> None:
        """End polling; samples stay."""
        ...


class ThreadSampler:
    """Polls from a daemon thread; a late poll is not made up for, it leaves a gap that shows."""

    def __init__(self, sensors: Sequence[Sensor], poll_interval_s: float, clock: Callable[[], float] = now_s) -> None:
        self._sensors = tuple(sensors)
        self._clock = clock
        self._read_lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.samples = tuple(Samples() for _ in self._sensors)
        self.intervals_s = tuple(
            max(poll_interval_s, MODELLED_INTERVAL_S) if s.info.method == "modelled" else poll_interval_s
            for s in self._sensors
        )

    def start(self) -> None:
        """Begin polling; nothing to do without sensors."""
        if self._sensors and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="isojoule-sampler", daemon=True)
            self._thread.start()

    def sample_now(self) -> tuple[int, ...]:
        """Take one sample of every sensor in the calling thread and return their indices."""
        with self._read_lock:
            return tuple(self._read(i) for i in range(len(self._sensors)))

    def stop(self) -> None:
        """End polling and wait for the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        due_s = [self._clock()] * len(self._sensors)
        while not self._stop.is_set():
            for i, interval_s in enumerate(self.intervals_s):
                now = self._clock()
                if now >= due_s[i]:
                    with self._read_lock:
                        self._read(i)
                    due_s[i] += interval_s * (math.floor((now - due_s[i]) / interval_s) + 1)
            self._stop.wait(max(0.0, min(due_s) - self._clock()))

    def _read(self, i: int) -> int:
        """Read sensor `i`; a failure becomes NaN and its message is kept, so that the run goes on."""
        time_s = self._clock()
        sensor, samples = self._sensors[i], self.samples[i]
        values = []
        for read in (sensor.read_energy_j, sensor.read_power_w):
            try:
                value = read()
            except Exception as error:  # noqa: BLE001 - a vendor's library must not end the measured run
                samples.last_error = str(error) or type(error).__name__
                value = None
            values.append(value if value is not None and math.isfinite(value) else math.nan)
        return samples.append(time_s, *values)
