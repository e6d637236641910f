"""What the sampler itself costs: its share of a core, and how much it slows a busy loop in the measured process."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from harness.core.clock import now_s
from harness.core.config import MeasureConfig
from harness.core.readings import SensorInfo
from harness.measure.meter import Meter
from harness.measure.poller import STARTUP_S
from harness.measure.process import ProcessSampler

_PAIRS = 30
_SLICE_S = 0.05
# Student's t for a 95% interval over 29 degrees of freedom.
_T_95 = 2.045


@dataclass(frozen=True, slots=True)
class SamplerCost:
    """Cost of sampling at the configured rate.

    `cpu_share` is the sampler's CPU time per second of wall time, in cores; `slowdown` the relative loss of a busy
    Python loop while it samples, with the half-width of its 95% interval; `periods_s` the measured update period of
    each sensor's counter in seconds, ``None`` where it has none or did not tick.
    """

    cpu_share: float
    slowdown: float
    slowdown_half: float
    poll_interval_s: float
    sensors: tuple[SensorInfo, ...]
    periods_s: tuple[float | None, ...]


def measure_cost(config: MeasureConfig | None = None) -> SamplerCost | None:
    """Sample for about six seconds and return the cost, or ``None`` without a sensor.

    The busy loop alternates between slices with the sampler running and slices with it stopped, so that whatever else
    the machine does falls on both alike.
    """
    config = config or MeasureConfig()
    sampler = ProcessSampler(config)
    with Meter(config, sampler=sampler) as meter:
        if not sampler.infos or sampler.pid is None:
            return None
        time.sleep(STARTUP_S + 0.3)
        sampler.refresh()
        periods = [meter.period(i) for i in range(len(sampler.infos))]
        process = psutil.Process(sampler.pid)
        used_s, began_s = _cpu_s(process), now_s()
        time.sleep(2.0)
        cpu_share = (_cpu_s(process) - used_s) / (now_s() - began_s)
        logs = []
        try:
            for pair in range(_PAIRS):
                speeds = {}
                for stopped in (pair % 2 == 0, pair % 2 == 1):
                    os.kill(sampler.pid, signal.SIGSTOP if stopped else signal.SIGCONT)
                    speeds[stopped] = _spin(_SLICE_S)
                logs.append(math.log(speeds[True] / speeds[False]))
        finally:
            os.kill(sampler.pid, signal.SIGCONT)
    half = _T_95 * statistics.stdev(logs) / math.sqrt(len(logs))
    return SamplerCost(
        cpu_share,
        statistics.fmean(logs),
        half,
        config.poll_interval_s,
        tuple(sampler.infos),
        tuple(period.period_s if period is not None else None for period in periods),
    )


def with_periods(infos: Sequence[SensorInfo], cost: SamplerCost) -> list[SensorInfo]:
    """Return descriptions of sensors with the update periods that were measured in place of documented ones."""
    measured = {
        (info.name, info.domain, info.device_index): period_s
        for info, period_s in zip(cost.sensors, cost.periods_s, strict=True)
        if period_s is not None
    }
    return [
        dataclasses.replace(
            info, update_period_s=measured.get((info.name, info.domain, info.device_index), info.update_period_s)
        )
        for info in infos
    ]


def cost_to_text(cost: SamplerCost) -> str:
    """Return the cost as one line."""
    low, high = cost.slowdown - cost.slowdown_half, cost.slowdown + cost.slowdown_half
    return (
        f"The sampler at {1 / cost.poll_interval_s:.0f} Hz over {len(cost.sensors)} sensor(s) uses "
        f"{cost.cpu_share:.2%} of one core; a busy loop loses {cost.slowdown:+.2%} "
        f"(95% interval {low:+.2%} to {high:+.2%})."
    )


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _spin(seconds: float) -> float:
    """Return rounds per second of a busy Python loop."""
    rounds, began_s = 0, now_s()
    while now_s() - began_s < seconds:
        for _ in range(200):
            rounds += 1
    return rounds / (now_s() - began_s)
