"""Loads for tests: power as a function of time whose integral is known exactly."""

from __future__ import annotations

import bisect
import itertools
import math
import random
from collections.abc import Sequence

_LENGTH_S = 40.0


class Load:
    """Piecewise constant power: a level holds from its start to the next; the first also before, the last for ever."""

    def __init__(self, starts_s: Sequence[float], levels_w: Sequence[float]) -> None:
        self.starts_s, self.levels_w = list(starts_s), list(levels_w)
        steps_j = (w * (b - a) for w, (a, b) in zip(levels_w, itertools.pairwise(self.starts_s), strict=False))
        self._sums_j = list(itertools.accumulate(steps_j, initial=0.0))

    def energy_j(self, time_s: float) -> float:
        """Return the exact energy from the first start to `time_s`."""
        place = max(0, bisect.bisect_right(self.starts_s, time_s) - 1)
        return self._sums_j[place] + self.levels_w[place] * (time_s - self.starts_s[place])

    def between_j(self, begin_s: float, end_s: float) -> float:
        """Return the exact energy of a window."""
        return self.energy_j(end_s) - self.energy_j(begin_s)


def constant(power_w: float) -> Load:
    """Return a load that never changes."""
    return Load([-5.0], [power_w])


def pulses(low_w: float, high_w: float, period_s: float, *, phase_s: float = 0.0, duty: float = 0.5) -> Load:
    """Return a load that is high for the first `duty` of each period, and low for the rest."""
    starts_s, levels_w = [-5.0 - period_s], [low_w]
    for n in range(math.ceil((_LENGTH_S + 5.0) / period_s)):
        begin_s = -5.0 + n * period_s + phase_s
        starts_s += [begin_s, begin_s + duty * period_s]
        levels_w += [high_w, low_w]
    return Load(starts_s, levels_w)


def ramps(low_w: float, high_w: float, period_s: float, *, phase_s: float = 0.0) -> Load:
    """Return a load that rises in a hundred small steps and falls at once."""
    starts_s = [-5.0 + phase_s + n * period_s / 100 for n in range(math.ceil((_LENGTH_S + 5.0) / period_s) * 100)]
    return Load(starts_s, [low_w + (high_w - low_w) * (n % 100) / 100 for n in range(len(starts_s))])


def training(seed: int) -> Load:
    """Return steps of 0.31 s with a busy and a less busy part, noise, and a pause for a checkpoint every 6.1 s."""
    noise = random.Random(seed)
    phase_s = noise.uniform(0, 6.1)
    starts_s = [-5.0 + 0.02 * n for n in range(int((_LENGTH_S + 5.0) / 0.02))]
    levels_w = []
    for start_s in starts_s:
        level_w = 620.0 if (start_s + phase_s) % 0.31 < 0.22 else 430.0
        level_w = 120.0 if (start_s + phase_s) % 6.1 < 0.4 else level_w
        levels_w.append(level_w + noise.gauss(0, 30))
    return Load(starts_s, levels_w)


def burst(begin_s: float, end_s: float, *, idle_w: float = 90.0, busy_w: float = 650.0) -> Load:
    """Return a load that is idle but for one stretch."""
    return Load([-5.0, begin_s, end_s], [idle_w, busy_w, idle_w])
