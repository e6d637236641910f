"""A device in virtual time: what a counter and a power sensor in front of a known load show, and what polls see."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.core.readings import Method, SensorInfo
from harness.measure import Meter
from harness.measure.poller import DENSE_INTERVAL_S, DENSE_LIMIT_S, STARTUP_S
from harness.measure.sampler import StateSample
from harness.measure.samples import FAILED_ENERGY, FAILED_POWER, ROW, Samples
from harness.sensors import SensorStatus
from tests.unit.measure.loads import Load

POLL_S = 0.05
FIRST_WINDOW_S = 2.0
Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Device:
    """A load behind a counter that ticks every `tick_s` (0: always exact) and power that is the mean of a window.

    Power shows the mean over the `power_window_s` before its latest update; updates come every `power_period_s`. Reads
    inside a span of `lost_s` fail; inside one of `stuck_s` the counter shows its value at the span's beginning.
    """

    load: Load
    tick_s: float = 0.1
    tick_phase_s: float = 0.037
    jitter_s: float = 0.0
    unit_j: float = 0.001
    power_period_s: float = 0.1
    power_window_s: float = 0.1
    power_phase_s: float = 0.011
    reset_at_s: float = math.inf
    lost_s: Span = (math.inf, math.inf)
    stuck_s: Span = (math.inf, math.inf)
    has_power: bool = True

    def tick_time_s(self, n: int) -> float:
        """Return when tick `n` comes."""
        stray = random.Random(n).uniform(-1, 1) * self.jitter_s if self.jitter_s else 0.0
        return self.tick_phase_s + n * self.tick_s + stray

    def counter_j(self, time_s: float) -> float:
        """Return what the counter shows."""
        if self.stuck_s[0] <= time_s < self.stuck_s[1]:
            time_s = self.stuck_s[0]
        tick_s = time_s
        if self.tick_s:
            n = math.floor((time_s - self.tick_phase_s) / self.tick_s) + 1
            while self.tick_time_s(n) > time_s:
                n -= 1
            tick_s = self.tick_time_s(n)
        energy_j = self.load.between_j(-5.0, tick_s)
        if tick_s >= self.reset_at_s:
            energy_j -= self.load.between_j(-5.0, self.reset_at_s)
        return math.floor(energy_j / self.unit_j + 1e-9) * self.unit_j if self.unit_j else energy_j

    def power_w(self, time_s: float) -> float:
        """Return what the power sensor shows."""
        if not self.has_power:
            return math.nan
        updates = math.floor((time_s - self.power_phase_s) / self.power_period_s)
        end_s = self.power_phase_s + updates * self.power_period_s
        return self.load.between_j(end_s - self.power_window_s, end_s) / self.power_window_s

    def info(self, method: Method = "counter", **changes: object) -> SensorInfo:
        """Describe the device's sensor."""
        fields: dict[str, object] = {
            "name": "scene",
            "domain": "gpu",
            "device": "GPU of the scene",
            "device_index": 0,
            "method": method,
            "grade": {"counter": "A", "sampled": "B", "modelled": "C"}[method],
            "update_period_s": (self.tick_s or None) if method == "counter" else self.power_period_s,
            "source": "scene",
            "power_period_s": self.power_period_s,
            "power_window_s": self.power_window_s,
            "power_limit_w": 700.0,
        }
        return SensorInfo(**{**fields, **changes})  # type: ignore[arg-type]


@dataclass
class VirtualPoller:
    """Reads a device as `harness.measure.poller` would: 20 Hz, densely at the start and after each mark to a tick."""

    device: Device
    seed: int = 0
    start_s: float = 0.0
    method: Method = "counter"
    samples: Samples = field(default_factory=Samples)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._next_s = self._due_s = self.start_s
        self._waiting: float | None = None
        self._wait_until_s = 0.0
        self._marked = False

    def advance(self, until_s: float) -> None:
        """Take all reads up to `until_s`."""
        rows = []
        while self._next_s <= until_s:
            rows.append(self._read(self._next_s))
        self.samples.extend(np.array(rows, ROW))

    def mark(self, at_s: float) -> None:
        """Wake the poller at `at_s`."""
        self.advance(at_s)
        self._marked = True
        self._next_s = at_s + self._latency_s()

    def _read(self, now: float) -> tuple[float, float, float, float, int, int]:
        full = now >= self._due_s or self._marked
        if now >= self._due_s:
            self._due_s += POLL_S * (math.floor((now - self._due_s) / POLL_S) + 1)
        lost = self.device.lost_s[0] <= now < self.device.lost_s[1]
        energy_j = math.nan if lost or self.method == "sampled" else self.device.counter_j(now)
        power_w = self.device.power_w(now) if full and not lost else math.nan
        if self._marked:
            self._waiting, self._wait_until_s, self._marked = energy_j, now + DENSE_LIMIT_S, False
        elif self._waiting is not None and not math.isnan(energy_j):
            if math.isnan(self._waiting):
                self._waiting = energy_j
            elif energy_j != self._waiting:
                self._waiting = None
        if now > self._wait_until_s:
            self._waiting = None
        dense = self.method == "counter" and (now < self.start_s + STARTUP_S or self._waiting is not None)
        due_s = min(self._due_s, now + DENSE_INTERVAL_S) if dense else self._due_s
        self._next_s = due_s + self._latency_s()
        return now, energy_j, power_w, 1e-5, 0, (FAILED_ENERGY | FAILED_POWER) if lost else 0

    def _latency_s(self) -> float:
        """Return how late a read comes: a tenth of a millisecond, now and then a few milliseconds."""
        late_s = self._random.uniform(0, 0.006) if self._random.random() < 0.01 else 0.0
        return 8e-5 + self._random.expovariate(1 / 6e-5) + late_s


def take_samples(device: Device, *edges_s: float, seed: int = 0, method: Method = "counter") -> Samples:
    """Return the samples of a meter whose windows have these edges, up to a second after the last."""
    poller = VirtualPoller(device, seed=seed, method=method)
    for edge_s in sorted(edges_s):
        poller.mark(edge_s)
    poller.advance(max(edges_s, default=FIRST_WINDOW_S) + 1.0)
    return poller.samples


@dataclass
class Clock:
    """Time that only the test and sleeping move."""

    time_s: float = 0.0

    def now_s(self) -> float:
        """Return the time."""
        return self.time_s

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.time_s += seconds


class SceneSampler:
    """The `Sampler` of several devices in virtual time; `ended` is why it stopped sampling, if it did."""

    def __init__(self, clock: Clock, *devices: Device, infos: Sequence[SensorInfo] = ()) -> None:
        self._clock = clock
        self.infos = tuple(infos) or tuple(device.info(device_index=i) for i, device in enumerate(devices))
        self._pollers = [
            VirtualPoller(device, seed=i, start_s=clock.time_s, method=info.method)
            for i, (device, info) in enumerate(zip(devices, self.infos, strict=True))
        ]
        self.refused: tuple[SensorStatus, ...] = ()
        self.samples = tuple(poller.samples for poller in self._pollers)
        self.intervals_s = (POLL_S,) * len(devices)
        self.states: list[StateSample] = []
        self.ended: str | None = None
        self.stopped = False
        self.on_mark: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Take the first reads."""
        self.refresh()

    def mark(self) -> None:
        """Wake every poller."""
        self.on_mark()
        for poller in self._pollers if self.ended is None else []:
            poller.mark(self._clock.time_s)

    def refresh(self) -> None:
        """Take all reads up to now."""
        for poller in self._pollers if self.ended is None and not self.stopped else []:
            poller.advance(self._clock.time_s)

    def failure(self) -> str | None:
        """Return why sampling ended."""
        return self.ended

    def stop(self) -> None:
        """Take no more reads."""
        self.refresh()
        self.stopped = True


def make_meter(clock: Clock, *devices: Device, infos: tuple[SensorInfo, ...] = ()) -> tuple[Meter, SceneSampler]:
    """Return a meter over devices in virtual time, not yet entered, and its sampler."""
    sampler = SceneSampler(clock, *devices, infos=infos)
    return Meter(sampler=sampler), sampler


def open_meter(clock: Clock, *loads: Load, **settings: Any) -> tuple[Meter, SceneSampler]:
    """Return a meter that has run for two seconds, so that its counters' periods are known."""
    made, sampler = make_meter(clock, *(Device(load=load, **settings) for load in loads))
    made.__enter__()
    clock.sleep(FIRST_WINDOW_S)
    return made, sampler
