"""What a window costs: begin and end beside ZeusMonitor's in one process, the sampler's CPU time, a busy loop's loss.

``python -m bench.meter.cost edges|cpu|loop`` prints one JSON object. ``edges`` runs in the peers' environment.
"""

from __future__ import annotations

import json
import math
import os
import signal
import statistics
import sys
import time
from typing import Any

PAIRS = 500
SLICE_S = 0.1


def measure_edges(count: int = 2000) -> dict[str, Any]:
    """Return microseconds of begin and end of both meters, taken in turn in the same process."""
    from zeus.monitor import ZeusMonitor

    from harness.core.config import MeasureConfig, SensorConfig
    from harness.measure import Meter

    zeus = ZeusMonitor(gpu_indices=[0], cpu_indices=[])
    times: dict[str, list[float]] = {"isojoule_begin": [], "isojoule_end": [], "zeus_begin": [], "zeus_end": []}
    with Meter(MeasureConfig(sensor=SensorConfig(names=["nvml"]))) as meter:
        time.sleep(1.5)
        for i in range(count):
            window = meter.window("w")
            for name, call in (
                ("isojoule_begin", window.__enter__),
                ("isojoule_end", lambda window=window: window.__exit__(None, None, None)),
                ("zeus_begin", lambda i=i: zeus.begin_window(str(i), sync_execution=False)),
                ("zeus_end", lambda i=i: zeus.end_window(str(i), sync_execution=False)),
            ):
                before = time.perf_counter()
                call()
                times[name].append((time.perf_counter() - before) * 1e6)
            time.sleep(0.002)
    return {
        name: {"median_us": statistics.median(v), "p95_us": sorted(v)[int(0.95 * len(v))]} for name, v in times.items()
    }


def measure_cpu(seconds: float = 30.0) -> dict[str, Any]:
    """Return the sampler's CPU time per second at 20 Hz over one GPU, its start left out."""
    import psutil

    from harness.core.config import MeasureConfig, SensorConfig
    from harness.measure import Meter

    with Meter(MeasureConfig(sensor=SensorConfig(names=["nvml"]), poll_interval_s=0.05)) as meter:
        time.sleep(2.0)
        process = psutil.Process(meter.sampler.pid)  # type: ignore[attr-defined]
        before, began = process.cpu_times(), time.monotonic()
        time.sleep(seconds)
        after, elapsed = process.cpu_times(), time.monotonic() - began
    return {"cpu_share": (after.user + after.system - before.user - before.system) / elapsed, "seconds": elapsed}


def measure_loop() -> dict[str, Any]:
    """Return how much a training loop on one thread loses with the sampler running, over alternating pairs.

    Slices without it stop the sampler's process; they are short, so that the rest of the machine falls on both alike.
    The loop stays on one core, so that the other is free, and a window is open all the time.
    """
    import torch

    from harness.core.config import MeasureConfig, SensorConfig
    from harness.measure import Meter

    torch.set_num_threads(1)
    model = torch.nn.Sequential(torch.nn.Linear(256, 512), torch.nn.GELU(), torch.nn.Linear(512, 256))
    optimiser = torch.optim.AdamW(model.parameters(), fused=False)
    data = torch.randn(64, 256)

    def slice_speed() -> float:
        steps, began = 0, time.perf_counter()
        while time.perf_counter() - began < SLICE_S:
            optimiser.zero_grad()
            (model(data) - data).square().mean().backward()
            optimiser.step()
            steps += 1
        return steps / (time.perf_counter() - began)

    logs = []
    meter_config = MeasureConfig(sensor=SensorConfig(names=["nvml"]), poll_interval_s=0.05)
    with Meter(meter_config) as meter, meter.window("loop"):
        pid = meter.sampler.pid  # type: ignore[attr-defined]
        time.sleep(1.5)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        slice_speed()
        for pair in range(PAIRS):
            speed = {}
            for measured in (pair % 2 == 0, pair % 2 == 1):
                os.kill(pid, signal.SIGCONT if measured else signal.SIGSTOP)
                speed[measured] = slice_speed()
            logs.append(math.log(speed[False] / speed[True]))
        os.kill(pid, signal.SIGCONT)
    mean = statistics.fmean(logs)
    half = 1.648 * statistics.stdev(logs) / math.sqrt(len(logs))  # one-sided 95%, t over 499 degrees of freedom
    return {"slowdown": mean, "upper_95": mean + half, "pairs": PAIRS, "slice_s": SLICE_S}


if __name__ == "__main__":
    print(json.dumps({"edges": measure_edges, "cpu": measure_cpu, "loop": measure_loop}[sys.argv[1]]()))
