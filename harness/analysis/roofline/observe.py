"""Records observed: their windows as steps; what lacks something is counted with its reason.

Parts of a store may be observed on their own, and joined.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.analysis.boundary import select_boundary, sum_boundary
from harness.analysis.roofline.observations import Observations
from harness.analysis.roofline.results import PHASES, LeftOut, ObservedBoundary, ObservedRun, Phase
from harness.core.inference import Regime
from harness.core.records import RunRecord, WindowRecord, Work

_Measured = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """Observations of some runs, and by arm, phase and reason the runs of windows that are none: an entry a window."""

    observations: Observations
    missing: Mapping[tuple[str, Phase, str], Sequence[str]]


def collect_observations(records: Iterable[RunRecord]) -> tuple[Observations, list[LeftOut]]:
    """Return the windows that have all that a fit needs, and how many windows have not, by reason (`observe`)."""
    return join_observed([observe(records)])


def observe(records: Iterable[RunRecord]) -> Observed:
    """Return the windows of `records` that have all that a fit needs.

    Needed are a regime, steps, bytes, FLOPs and energy above 0 inside the headline boundary. The energy is gross: it
    holds what the device draws idle, as the projection's constants do. Failed runs have no windows worth a fit.
    """
    finished = [record for record in records if record.status == "finished"]
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
    return Observed(observations=observations, missing=missing)


def join_observed(
    parts: Sequence[Observed], wanted: Collection[str] | None = None
) -> tuple[Observations, list[LeftOut]]:
    """Return the windows of several parts as one, by run id, and how many are left out; only of `wanted` runs.

    The same runs give the same columns, however they are parted.
    """
    found = [part.observations for part in parts or (observe(()),)]
    runs = sorted({run for one in found for run in one.runs if wanted is None or run.run_id in wanted})
    places = {run: place for place, run in enumerate(runs)}
    run = _recode(found, "runs", "run", places)
    order = np.argsort(run, kind="stable")
    order = order[np.searchsorted(run[order], 0) :]  # those that are not wanted are at -1
    columns = {
        name: np.concatenate([getattr(one, name) for one in found])[order]
        for name in ("phase", "joules", "seconds", "num_bytes", "flops")
    }
    regimes, of_regime = _join_codes(found, "regimes", "regime", order)
    boundaries, of_boundary = _join_codes(found, "boundaries", "boundary", order)
    missing: dict[tuple[str, Phase, str], list[str]] = {}
    for part in parts:
        for key, ids in part.missing.items():
            kept = ids if wanted is None else [run_id for run_id in ids if run_id in wanted]
            if kept:
                missing.setdefault(key, []).extend(kept)
    left_out = [
        LeftOut(arm=arm, phase=phase, reason=reason, num_windows=len(ids), run_ids=tuple(sorted(set(ids))))
        for (arm, phase, reason), ids in sorted(missing.items())
    ]
    observations = Observations(
        runs=tuple(runs),
        regimes=regimes,
        boundaries=boundaries,
        run=run[order],
        regime=of_regime,
        boundary=of_boundary,
        **columns,
    )
    return observations, left_out


def _recode(parts: Sequence[Observations], kinds: str, column: str, places: Mapping[Any, int]) -> Any:
    """Return the `column` of all parts, one after the other, in `places` of what it points at; -1 where it has none."""
    coded = [np.array([places.get(one, -1) for one in getattr(part, kinds)], dtype=np.int64) for part in parts]
    return np.concatenate([codes[getattr(part, column)] for codes, part in zip(coded, parts, strict=True)])


def _join_codes(parts: Sequence[Observations], kinds: str, column: str, order: Any) -> tuple[tuple[Any, ...], Any]:
    """Return what the `column` of all parts points at, in the order of its first use, and the column."""
    known = list(dict.fromkeys(one for part in parts for one in getattr(part, kinds)))
    found = _recode(parts, kinds, column, {one: place for place, one in enumerate(known)})[order]
    used, first, codes = np.unique(found, return_index=True, return_inverse=True)
    rank = np.argsort(first, kind="stable")
    return tuple(known[place] for place in used[rank]), np.argsort(rank, kind="stable")[codes]


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
