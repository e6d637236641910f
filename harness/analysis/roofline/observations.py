"""Windows of prefill and decode as observations of a step's energy.

A store of thousands of runs has hundreds of thousands of them, so that they are kept as columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.analysis.roofline.results import PHASES, ObservedBoundary, ObservedRun, Phase
from harness.core.inference import Regime

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
