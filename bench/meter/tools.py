"""One way to drive each tool. Each yields (window, energy in J or None, interval or None, flags, begin s, end s)."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

KWH_J = 3.6e6


@dataclass
class Measured:
    """What a tool said about one window; times on the monotonic clock, energies in joules per GPU and in total."""

    nominal_s: float
    begin_s: float
    end_s: float
    energy_j: float | None
    per_gpu_j: list[float | None]
    uncertainty_j: list[float | None]
    flags: list[str]


def run_isojoule(windows: Sequence[tuple[float, float]], gpus: int) -> Iterator[Measured]:
    """Drive our meter in overlapping windows from one thread."""
    from harness.core.config import MeasureConfig, SensorConfig
    from harness.measure import Meter

    with Meter(MeasureConfig(sensor=SensorConfig(names=["nvml"]))) as meter:
        open_now = {}
        for i, kind in _schedule(windows):
            if kind == "begin":
                open_now[i] = meter.window(str(i)).__enter__()
            else:
                open_now[i].__exit__(None, None, None)
        # the last edge's tick is waited for by whoever asks
        for i, window in open_now.items():
            readings = [r for r in window.readings if r.domain == "gpu"]
            begin_s = meter.start_s + window.begin_s
            yield Measured(
                windows[i][1], begin_s, begin_s + window.duration_s, window.energy_j,
                [r.energy_j for r in readings], [r.uncertainty_j for r in readings],
                sorted({finding.code for finding in window.findings}),
            )  # fmt: skip


def run_zeus(windows: Sequence[tuple[float, float]], gpus: int) -> Iterator[Measured]:
    """Drive ZeusMonitor in overlapping windows, told apart by key; its warnings count as flags."""
    from zeus.monitor import ZeusMonitor

    monitor = ZeusMonitor(gpu_indices=list(range(gpus)), cpu_indices=[])
    edges: dict[int, float] = {}
    results = []
    for i, kind in _schedule(windows):
        before_s = time.monotonic()
        try:
            if kind == "begin":
                monitor.begin_window(str(i), sync_execution=False)
                edges[i] = (before_s + time.monotonic()) / 2
                continue
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                got = monitor.end_window(str(i), sync_execution=False)
            end_s = (before_s + time.monotonic()) / 2
            per_gpu = [float(value) for value in got.gpu_energy.values()]
            results.append((i, edges[i], end_s, per_gpu, [str(w.category.__name__) for w in caught]))
        except Exception as error:  # noqa: BLE001 - what the tool does then is the result
            results.append((i, edges.get(i, before_s), time.monotonic(), [], [type(error).__name__]))
    for i, begin_s, end_s, per_gpu, flags in results:
        energy_j = sum(per_gpu) if per_gpu else None
        yield Measured(windows[i][1], begin_s, end_s, energy_j, list(per_gpu), [None] * len(per_gpu), flags)


def run_codecarbon(windows: Sequence[tuple[float, float]], gpus: int) -> Iterator[Measured]:
    """Drive codecarbon's tasks one after the other, power measured every second."""
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(
        country_iso_code="DEU", measure_power_secs=1, save_to_file=False, log_level="critical", allow_multiple_runs=True
    )
    for i, (pause_s, length_s) in enumerate(windows):
        time.sleep(pause_s)
        first_s = time.monotonic()
        tracker.start_task(str(i))
        begin_s = time.monotonic()
        time.sleep(length_s)
        end_s = time.monotonic()
        data = tracker.stop_task(str(i))
        last_s = time.monotonic()
        energy_j = float(data.gpu_energy) * KWH_J
        # its window may lie anywhere inside its calls; the truth is taken over the middle of both
        yield Measured(length_s, (first_s + begin_s) / 2, (end_s + last_s) / 2, energy_j, [energy_j], [None], [])
    with contextlib.suppress(Exception):
        tracker.stop()


def run_carbontracker(windows: Sequence[tuple[float, float]], gpus: int) -> Iterator[Measured]:
    """Drive carbontracker's epochs, power every second; its constant PUE is taken out again."""
    from carbontracker import constants
    from carbontracker.tracker import CarbonTracker

    tracker = CarbonTracker(
        epochs=len(windows), monitor_epochs=-1, epochs_before_pred=0, update_interval=1, components="gpu", verbose=0
    )
    inner = tracker.tracker  # the last epoch takes it away
    times = []
    for pause_s, length_s in windows:
        time.sleep(pause_s)
        first_s = time.monotonic()
        tracker.epoch_start()
        begin_s = time.monotonic()
        time.sleep(length_s)
        end_s = time.monotonic()
        tracker.epoch_end()
        times.append(((first_s + begin_s) / 2, (end_s + time.monotonic()) / 2))
    energies: list[Any] = list(inner.total_energy_per_epoch() * KWH_J / constants.PUE_2023)
    for (_, length_s), (begin_s, end_s), energy_j in zip(windows, times, energies, strict=False):
        yield Measured(length_s, begin_s, end_s, float(energy_j), [float(energy_j)], [None], [])


TOOLS = {
    "isojoule": run_isojoule,
    "zeus": run_zeus,
    "codecarbon": run_codecarbon,
    "carbontracker": run_carbontracker,
}


def _schedule(windows: Sequence[tuple[float, float]]) -> Iterator[tuple[int, str]]:
    """Yield (window, begin or end) at its moment."""
    events = sorted(
        [(start, i, "begin") for i, (start, _) in enumerate(windows)]
        + [(start + length, i, "end") for i, (start, length) in enumerate(windows)]
    )
    origin_s = time.monotonic()
    for at_s, i, kind in events:
        time.sleep(max(0.0, origin_s + at_s - time.monotonic()))
        yield i, kind
