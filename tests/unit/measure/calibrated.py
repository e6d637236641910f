"""A dense trace of a simulated GPU under the loads of a calibration, in virtual time."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.measure.loadplan import QUICK_PLAN, Plan, lay_out
from harness.measure.trace import TRACE_ROW, Phase, Switch, TraceArray
from tests.unit.measure.loads import Load

READ_S = 0.001
NAN = float("nan")


@dataclass(frozen=True)
class Shown:
    """One power signal: period, window and delay in s, gain, noise of each update in W."""

    period_s: float
    window_s: float
    delay_s: float = 0.0
    gain: float = 1.0
    noise_w: float = 0.0
    phase_s: float = 0.0037

    def read_w(self, load: Load, time_s: float) -> float:
        n = math.floor((time_s - self.phase_s) / self.period_s)
        end_s = self.phase_s + n * self.period_s - self.delay_s
        mean_w = load.between_j(end_s - self.window_s, end_s) / self.window_s
        stray_w = random.Random(n).gauss(0, self.noise_w) if self.noise_w else 0.0
        return round((mean_w * self.gain + stray_w) * 1e3) / 1e3


@dataclass(frozen=True)
class Gpu:
    """What a simulated GPU shows of a load between two levels; the counter jitters by up to `jitter_s`."""

    signals: dict[str, Shown]
    counter_s: float = 0.1
    jitter_s: float = 0.0
    idle_w: float = 90.0
    busy_w: float = 520.0
    drift_w: float = 0.0
    stalls: Sequence[tuple[float, float]] = field(default=())

    def tick_s(self, n: int) -> float:
        return 0.0071 + n * self.counter_s + random.Random(n).uniform(-1, 1) * self.jitter_s

    def counter_j(self, load: Load, time_s: float) -> float:
        n = math.floor((time_s - 0.0071) / self.counter_s) + 1
        while self.tick_s(n) > time_s:
            n -= 1
        return math.floor(load.energy_j(self.tick_s(n)) * 1e3) / 1e3


def play(gpu: Gpu, plan: Plan = QUICK_PLAN, begin_s: float = 5.0) -> tuple[TraceArray, list[Phase], list[Switch]]:
    """Return what a reader saw every millisecond or so, the phases, and the switches of the load."""
    laid = lay_out(plan, begin_s)
    switches, starts_s, levels_w = [], [0.0], [gpu.idle_w]
    for phase, steps in laid:
        at_s = phase.begin_s
        for step in steps:
            switches.append(Switch(at_s, step.busy))
            starts_s.append(at_s)
            levels_w.append(gpu.busy_w if step.busy else gpu.idle_w)
            at_s += step.duration_s
    levels_w[-1] += gpu.drift_w
    load = Load(starts_s, levels_w)
    chance = random.Random(1)
    rows, time_s, end_s = [], begin_s - 0.5, laid[-1][0].end_s
    while time_s < end_s:
        counter_j = gpu.counter_j(load, time_s) if gpu.counter_s else NAN
        shown = (
            gpu.signals[n].read_w(load, time_s) if n in gpu.signals else NAN for n in ("instant", "average", "usage")
        )
        rows.append((time_s, 1e-4, counter_j, *shown))
        time_s += READ_S + chance.expovariate(1 / 1e-4)
        for from_s, length_s in gpu.stalls:
            if from_s <= time_s < from_s + length_s:
                time_s = from_s + length_s
    return np.array(rows, TRACE_ROW), [phase for phase, _ in laid], switches
