"""Windows of prefill and decode as observations of a step's energy; what lacks something is counted with its reason.

A store of thousands of runs has hundreds of thousands of them, so that they are kept as columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.analysis.boundary import select_boundary, sum_boundary
from harness.analysis.roofline.results import PHASES, LeftOut, ObservedBoundary, ObservedRun, Phase
from harness.core.inference import Regime
from harness.core.records import RunRecord, WindowRecord, Work

# Regimes whose bytes and FLOPs of a step differ by no more than this are one point of a fit.
SAME_WORK = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observations:
    """Windows by the step, a pass of the model over a whole batch (in prefill over its prompts): a column entry each.

    `joules` (gross, inside the headline boundary), `seconds`, `num_bytes` and `flops` (float64) are the window's over
    its steps. `run`, `regime`, `boundary` and `phase` (int64) are places in `runs` (by run id), `regimes`, `boundaries`
    and `PHASES`. All columns are as long as there are windows.
    """

    runs: tuple[ObservedRun, ...]
    regimes: tuple[Regime, ...]
    boundaries: tuple[ObservedBoundary, ...]
    run: Any
    regime: Any
    boundary: Any
    phase: Any
    joules: Any
    seconds: Any
    num_bytes: Any
    flops: Any

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.joules)

    def take(self, places: Any) -> Observations:
        """Return the windows at `places` (numbers, or true for those that are wanted), in that order."""
        columns = ("run", "regime", "boundary", "phase", "joules", "seconds", "num_bytes", "flops")
        return Observations(
            runs=self.runs,
            regimes=self.regimes,
            boundaries=self.boundaries,
            **{name: getattr(self, name)[places] for name in columns},
        )

    def of(self, arm: str, phase: Phase) -> Observations:
        """Return the windows of one arm and phase."""
        own = np.array([run.arm == arm for run in self.runs], dtype=bool)
        if not len(self):
            return self
        return self.take(own[self.run] & (self.phase == PHASES.index(phase)))

    def list_runs(self) -> list[ObservedRun]:
        """Return the runs that have a window here, by run id."""
        return [self.runs[place] for place in np.unique(self.run)]

    def list_boundaries(self) -> list[ObservedBoundary]:
        """Return what the energy of some window here covers."""
        return [self.boundaries[place] for place in np.unique(self.boundary)]

    def num_gpus(self) -> Any:
        """Return the accelerators that each window's energy covers."""
        return np.array([one.num_gpus for one in self.boundaries], dtype=float)[self.boundary]

    def cells(self) -> tuple[list[tuple[str, Regime]], Any]:
        """Return the sizes and regimes that there are, and for each window the place of its own among them."""
        sizes = sorted({run.size for run in self.runs})
        of_run = np.array([sizes.index(run.size) for run in self.runs])
        codes, places = np.unique(of_run[self.run] * len(self.regimes) + self.regime, return_inverse=True)
        found = [(sizes[code // len(self.regimes)], self.regimes[code % len(self.regimes)]) for code in codes]
        return found, places


def collect_observations(records: Iterable[RunRecord]) -> tuple[Observations, list[LeftOut]]:
    """Return the windows that have all that a fit needs, and how many windows have not, by reason.

    Needed are a regime, steps, bytes, FLOPs and energy above 0 inside the headline boundary. The energy is gross: it
    holds what the device draws idle, as the projection's constants do. Failed runs have no windows worth a fit.
    """
    finished = sorted((r for r in records if r.status == "finished"), key=lambda r: r.run_id)
    regimes: dict[Regime, int] = {}
    boundaries: dict[ObservedBoundary, int] = {}
    numbers: list[tuple[int, int, int, int]] = []
    values: list[tuple[float, float, float, float]] = []
    missing: dict[tuple[str, Phase, str], list[str]] = {}
    for place, record in enumerate(finished):
        for window in record.windows:
            phase = window.phase
            if phase not in PHASES:
                continue
            found = _observe(window)
            if isinstance(found, str):
                missing.setdefault((record.arm, phase, found), []).append(record.run_id)
                continue
            boundary, measured = found
            regime_place = regimes.setdefault(window.regime, len(regimes))  # type: ignore[arg-type]  # it has one
            boundary_place = boundaries.setdefault(boundary, len(boundaries))
            numbers.append((place, regime_place, boundary_place, PHASES.index(phase)))
            values.append(measured)
    left_out = [
        LeftOut(arm=arm, phase=phase, reason=reason, num_windows=len(runs), run_ids=tuple(sorted(set(runs))))
        for (arm, phase, reason), runs in sorted(missing.items())
    ]
    run, of_regime, of_boundary, of_phase = np.array(numbers, dtype=np.int64).reshape(-1, 4).T
    joules, seconds, num_bytes, flops = np.array(values, dtype=float).reshape(-1, 4).T
    observations = Observations(
        runs=tuple(ObservedRun(r.run_id, r.arm, r.size, r.seed) for r in finished),
        regimes=tuple(regimes),
        boundaries=tuple(boundaries),
        run=run,
        regime=of_regime,
        boundary=of_boundary,
        phase=of_phase,
        joules=joules,
        seconds=seconds,
        num_bytes=num_bytes,
        flops=flops,
    )
    return observations, left_out


def group_workloads(observations: Observations) -> list[Observations]:
    """Return observations in groups of the same work: bytes and FLOPs of a step within `SAME_WORK` of the first.

    Six kinds of tasks at one batch and prompt are one point of the fit, however often it was measured: leaving out one
    kind of six would leave five twins of it in.
    """
    if not len(observations):
        return []
    ordered = observations.take(np.lexsort((observations.run, observations.num_bytes, observations.flops)))
    # windows of one work, of which there are thousands, stand together and are looked at once
    begins = np.flatnonzero(
        (np.diff(ordered.num_bytes, prepend=-1.0) != 0) | (np.diff(ordered.flops, prepend=-1.0) != 0)
    )
    firsts: list[tuple[float, float]] = []
    group_of = []
    for num_bytes, flops in zip(ordered.num_bytes[begins].tolist(), ordered.flops[begins].tolist(), strict=True):
        for number, first in enumerate(firsts):
            if _is_near(num_bytes, first[0]) and _is_near(flops, first[1]):
                group_of.append(number)
                break
        else:
            group_of.append(len(firsts))
            firsts.append((num_bytes, flops))
    groups = np.repeat(group_of, np.diff(begins, append=len(ordered)))
    return [ordered.take(groups == number) for number in range(len(firsts))]


def average(values: Any, places: Any, num_places: int) -> Any:
    """Return the mean of the `values` at each of `num_places` places, each of which holds one at least."""
    return np.bincount(places, weights=values, minlength=num_places) / np.bincount(places, minlength=num_places)


def average_runs(rows: Observations, values: Any) -> list[tuple[str, int, float]]:
    """Return (run id, seed, value) of each run: the mean of `values`, its sizes and regimes weighing the same."""
    cells, cell = rows.cells()
    pairs, pair = np.unique(rows.run * len(cells) + cell, return_inverse=True)
    runs, run = np.unique(pairs // len(cells), return_inverse=True)
    found = average(average(values, pair, len(pairs)), run, len(runs))
    return [
        (rows.runs[place].run_id, rows.runs[place].seed, value)
        for place, value in zip(runs.tolist(), found.tolist(), strict=True)
    ]


def _is_near(value: float, other: float) -> bool:
    return abs(value - other) <= SAME_WORK * max(value, other)


_Measured = tuple[float, float, float, float]


def _observe(window: WindowRecord) -> tuple[ObservedBoundary, _Measured] | str:
    """Return boundary, and joules, seconds, bytes and FLOPs of a step; or why the window tells none."""
    work = window.work
    if window.regime is None:
        return "the window names no regime"
    if work is None or work.num_steps is None or work.num_bytes is None or work.flops is None:
        return _name_missing(work)
    found = sum_boundary(window.energy)
    joules, steps = found.energy_j, work.num_steps
    if joules is None or found.grade is None:
        return found.reason or "the energy is unknown"
    seconds, num_bytes, flops = window.duration_s, work.num_bytes, work.flops
    values = (joules, seconds, num_bytes, flops)
    if steps <= 0 or not all(0 < value < math.inf for value in values):
        return "steps, energy, time, bytes or FLOPs of the window are not above 0"
    num_gpus = len(select_boundary(window.energy)) if found.domains == ("gpu",) else 0
    boundary = ObservedBoundary(found.domains, found.grade, found.simulated, num_gpus)
    return boundary, (joules / steps, seconds / steps, num_bytes / steps, flops / steps)


def _name_missing(work: Work | None) -> str:
    """Return the first thing that the work of a window does not say."""
    if work is None:
        return "the window holds no work"
    if work.num_steps is None:
        return "the window does not count its steps"
    return f"the {'bytes' if work.num_bytes is None else 'FLOPs'} of the window are unknown"
