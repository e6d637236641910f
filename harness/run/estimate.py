"""What a run to come will take, in seconds and joules, from finished runs of the same machine; never from a guess.

A run's time is its training FLOPs over a measured rate, plus a part that does not depend on them (idle windows,
evaluation, answering), plus what lies between two runs (the start of a process). Each is taken from finished records of
the same device: those of the same arm and size in this store, else in a store beside it, else of other sizes here.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.core.readings import Grade, worst_grade
from harness.run.run_figures import DeviceKey, RunFigures

# A longer pause between two runs is no start of a process but an interruption.
MAX_BETWEEN_S = 300.0
THIS_STORE = "this store"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunToCome:
    """A run that is planned: `train_flops` by formula, its own part alone (of a branch what comes after the fork)."""

    arm: str
    size: str
    role: str
    train_flops: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds and joules that a run will take; ``None`` is unknown, for `reason`.

    They come from `num_runs` finished runs of `store`; `is_rough` says that those were of other sizes or arms. `grade`
    is the worst of the joules that the estimate rests on. An estimate is not a measurement.
    """

    seconds: float | None = None
    joules: float | None = None
    grade: Grade | None = None
    num_runs: int = 0
    store: str | None = None
    is_rough: bool = False
    reason: str | None = None
    energy_reason: str | None = None

    @property
    def source(self) -> str | None:
        """Return which finished runs the estimate comes from, in words; ``None`` where it is unknown."""
        found = describe_sources([self])
        return found[0][0] if found else None


def describe_sources(estimates: Iterable[Estimate]) -> list[tuple[str, int]]:
    """Return which finished runs `estimates` come from, in words, and how many come from each; unknown ones do not."""
    groups: dict[tuple[str, bool], list[int]] = {}
    for one in estimates:
        if one.seconds is not None and one.store is not None:
            groups.setdefault((one.store, one.is_rough), []).append(one.num_runs)
    found = []
    for (store, is_rough), counts in groups.items():
        least, most = min(counts), max(counts)
        number = f"{least}" if least == most else f"{least} to {most}"
        rough = " of other sizes or arms (rough)" if is_rough else ""
        found.append((f"{number} finished run{'' if most == 1 else 's'}{rough} of {store}", len(counts)))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rates:
    """Means over some finished runs: training rates and the medians of the rest."""

    s_per_flop: float | None
    j_per_flop: float | None
    rest_s: float
    rest_j: float | None
    grade: Grade | None
    num_runs: int


class Pool:
    """Finished runs of one store on one device; `name` is how a reader calls the store."""

    def __init__(self, name: str, figures: Iterable[RunFigures], device: DeviceKey | None) -> None:
        self.name = name
        self.device = device
        self.figures: list[RunFigures] = []
        self.num_elsewhere = 0
        self._by_cell: dict[tuple[str, str], list[RunFigures]] = {}
        self._rates: dict[tuple[tuple[str, str] | None, bool], _Rates | None] = {}
        self._starts: list[tuple[float, float | None]] = []
        self._between: tuple[int, float | None] = (-1, None)
        for one in figures:
            self.add(one)

    def add(self, one: RunFigures) -> None:
        """Take one more run; those of another device say nothing, and failed ones only that they lay between others."""
        if one.status != "finished":
            if one.started_s is not None:
                self._starts.append((one.started_s, None))
            return
        if one.device != self.device:
            self.num_elsewhere += 1
            return
        self.figures.append(one)
        self._by_cell.setdefault((one.arm, one.size), []).append(one)
        self._rates.clear()
        if one.started_s is not None and one.seconds is not None:
            self._starts.append((one.started_s, one.seconds))

    @property
    def between_s(self) -> float | None:
        """Return the median time between the end of a run and the start of the next, ``None`` before there are two."""
        if self._between[0] != len(self._starts):
            pairs = itertools.pairwise(sorted(self._starts, key=lambda start: start[0]))
            gaps = [
                later - begin - took
                for (begin, took), (later, next_took) in pairs
                if took is not None and next_took is not None
            ]
            # a label has whole seconds; runs side by side overlap and say nothing
            fitting = [max(0.0, gap) for gap in gaps if -1.0 <= gap <= MAX_BETWEEN_S]
            self._between = (len(self._starts), statistics.median(fitting) if fitting else None)
        return self._between[1]

    def rates(self, cell: tuple[str, str] | None, *, of_trunks: bool) -> _Rates | None:
        """Return the rates of a cell, or of all cells together; ``None`` where no run of that sort is finished."""
        key = (cell, of_trunks)
        if key not in self._rates:
            runs = self.figures if cell is None else self._by_cell.get(cell, [])
            self._rates[key] = _average(runs, of_trunks=of_trunks)
        return self._rates[key]


class Estimator:
    """Estimates runs from `store`, the pool of the study itself, and from stores beside it, newest first."""

    def __init__(self, store: Pool, beside: Sequence[Pool] = ()) -> None:
        self.store = store
        self.beside = tuple(beside)

    def estimate(self, run: RunToCome) -> Estimate:
        """Return what `run` will take, by the best source there is."""
        cell = (run.arm, run.size)
        tries = [(pool, cell) for pool in (self.store, *self.beside)]
        for pool, wanted in (*tries, (self.store, None)):
            rates = pool.rates(wanted, of_trunks=run.role == "trunk")
            if rates is not None and (run.train_flops == 0 or rates.s_per_flop is not None):
                return self._apply(run, pool, rates, is_rough=wanted is None)
        return Estimate(reason=self._why_unknown(run), energy_reason=self._why_unknown(run))

    @property
    def between_s(self) -> float | None:
        """Return the time between two runs in seconds, from the first pool that tells."""
        return next((pool.between_s for pool in (self.store, *self.beside) if pool.between_s is not None), None)

    def _apply(self, run: RunToCome, pool: Pool, rates: _Rates, *, is_rough: bool) -> Estimate:
        seconds = run.train_flops * (rates.s_per_flop or 0.0) + rates.rest_s + (self.between_s or 0.0)
        joules = None
        if rates.rest_j is not None and (run.train_flops == 0 or rates.j_per_flop is not None):
            joules = run.train_flops * (rates.j_per_flop or 0.0) + rates.rest_j
        return Estimate(
            seconds=seconds,
            joules=joules,
            grade=rates.grade if joules is not None else None,
            num_runs=rates.num_runs,
            store=pool.name,
            is_rough=is_rough,
            energy_reason=None if joules is not None else "no energy was read in those runs",
        )

    def _why_unknown(self, run: RunToCome) -> str:
        if self.store.figures:
            return f"no {run.role} run is finished here"
        if self.store.num_elsewhere:
            return (
                f"{self.store.num_elsewhere} finished runs are of another machine than this one ({self.store.device})"
            )
        return f"no run of {run.arm} {run.size} is finished on this machine"


def _average(runs: Sequence[RunFigures], *, of_trunks: bool) -> _Rates | None:
    """Return the rates of `runs`: training over all of them, the rest over trunks or over the others alone."""
    alike = [one for one in runs if (one.role == "trunk") == of_trunks]
    if not alike:
        return None
    trained = [one for one in runs if one.train_flops > 0 and one.train_s > 0]
    read = [one for one in trained if one.train_j is not None]
    rests = [one.rest_j for one in alike if one.rest_j is not None]
    grades: list[Grade] = [one.grade for one in (*read, *alike) if one.grade is not None]
    flops, flops_read = sum(one.train_flops for one in trained), sum(one.train_flops for one in read)
    return _Rates(
        s_per_flop=sum(one.train_s for one in trained) / flops if trained else None,
        j_per_flop=sum(one.train_j or 0.0 for one in read) / flops_read if read else None,
        rest_s=statistics.median(one.rest_s for one in alike),
        rest_j=statistics.median(rests) if rests else None,
        grade=worst_grade(*grades) if grades else None,
        num_runs=len({one.run_id for one in (*trained, *alike)}),
    )
