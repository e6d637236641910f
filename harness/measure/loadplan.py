"""Which loads a calibration plays, and for how long: idle, steady, square waves, and steps at irregular times."""

from __future__ import annotations

import random
from dataclasses import dataclass

from harness.measure.fit import FAST, FAST_SHIFTED, IDLE, IDLE_AFTER, PROBE, SLOW, STEADY
from harness.measure.trace import Phase

SLOW_PERIOD_S, FAST_PERIOD_S = 1.0, 0.1
# Steps of the irregular load (s): many that fall inside an update, some that a mean over a second feels.
_PROBE_STEPS_S = (0.04, 0.05, 0.06, 0.07, 0.09, 0.11, 0.13, 0.16, 0.5)
_SEED = 7


@dataclass(frozen=True, slots=True)
class Step:
    """The load is busy, or idle, for a duration in seconds."""

    duration_s: float
    busy: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Durations of the phases in seconds; `fast_s` is played twice, the second time shifted by a quarter period."""

    idle_s: float
    steady_s: float
    slow_s: float
    fast_s: float
    probe_s: float
    idle_after_s: float

    @property
    def duration_s(self) -> float:
        """How long all of it takes, in seconds."""
        return self.idle_s + self.steady_s + self.slow_s + 2 * self.fast_s + self.probe_s + self.idle_after_s


QUICK_PLAN = Plan(idle_s=3.0, steady_s=3.5, slow_s=4.0, fast_s=2.2, probe_s=7.0, idle_after_s=3.0)
FULL_PLAN = Plan(idle_s=15.0, steady_s=15.0, slow_s=20.0, fast_s=8.0, probe_s=30.0, idle_after_s=12.0)


def lay_out(plan: Plan, begin_s: float) -> list[tuple[Phase, list[Step]]]:
    """Return the phases, one after the other from `begin_s` (s, monotonic), each with its steps."""
    parts = [
        (IDLE, None, [Step(plan.idle_s, busy=False)]),
        (STEADY, None, [Step(plan.steady_s, busy=True)]),
        (SLOW, SLOW_PERIOD_S, _square(plan.slow_s, SLOW_PERIOD_S)),
        (FAST, FAST_PERIOD_S, _square(plan.fast_s, FAST_PERIOD_S)),
        (FAST_SHIFTED, FAST_PERIOD_S, [Step(FAST_PERIOD_S / 4, busy=False), *_square(plan.fast_s, FAST_PERIOD_S)]),
        (PROBE, None, _probe(plan.probe_s)),
        (IDLE_AFTER, None, [Step(plan.idle_after_s, busy=False)]),
    ]
    laid = []
    for name, period_s, steps in parts:
        end_s = begin_s + sum(step.duration_s for step in steps)
        laid.append((Phase(name, begin_s, end_s, period_s), steps))
        begin_s = end_s
    return laid


def _square(duration_s: float, period_s: float) -> list[Step]:
    """Return whole periods, busy for the first half of each."""
    pair = [Step(period_s / 2, busy=True), Step(period_s / 2, busy=False)]
    return pair * max(1, round(duration_s / period_s))


def _probe(duration_s: float) -> list[Step]:
    """Return steps of irregular lengths, the same every time, so that switches fall at all places of an update."""
    lengths = random.Random(_SEED)
    steps: list[Step] = []
    left_s = duration_s
    while left_s > 0:
        length_s = min(left_s, lengths.choice(_PROBE_STEPS_S) * lengths.uniform(0.8, 1.2))
        steps.append(Step(length_s, busy=len(steps) % 2 == 0))
        left_s -= length_s
    return steps
