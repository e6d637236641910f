"""Times of several arms that take turns, and ratios of them with an interval.

Whatever else the machine does then falls on all arms alike: a ratio is taken within each round.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True, slots=True)
class Ratio:
    """Geometric mean of the ratios of all rounds, with its 95% interval (t over logs)."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return the ratio and its interval."""
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def time_in_turn(
    arms: Mapping[str, Callable[[], object]], rounds: int, warmups: int = 2, sync: Callable[[], None] | None = None
) -> dict[str, list[float]]:
    """Return the seconds of each arm in each round; the first `warmups` rounds are not kept.

    `sync` waits for a device that works on after the call has returned (`harness.run.device.synchroniser`).
    """
    wait = sync or (lambda: None)
    times: dict[str, list[float]] = {name: [] for name in arms}
    names = list(arms)
    for turn in range(rounds + warmups):
        for name in names if turn % 2 == 0 else reversed(names):
            wait()
            began = time.perf_counter()
            arms[name]()
            wait()
            if turn >= warmups:
                times[name].append(time.perf_counter() - began)
    return times


def ratio(numerator: list[float], denominator: list[float]) -> Ratio:
    """Return numerator over denominator, round by round."""
    logs = [math.log(a / b) for a, b in zip(numerator, denominator, strict=True)]
    mean = statistics.fmean(logs)
    half = float(stats.t.ppf(0.975, len(logs) - 1)) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


def fastest(times: Mapping[str, list[float]], side: str) -> str:
    """Return the arm with the least total time of those whose name begins with `side`."""
    return min((arm for arm in times if arm.startswith(side)), key=lambda arm: sum(times[arm]))
