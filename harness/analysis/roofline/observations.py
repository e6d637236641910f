"""Windows of prefill and decode as observations of a step's energy; what lacks something is counted with its reason."""

from __future__ import annotations

import math
from collections.abc import Iterable

from harness.analysis.boundary import select_boundary, sum_boundary
from harness.analysis.roofline.results import PHASES, LeftOut, Observation, Phase
from harness.core.records import RunRecord, WindowRecord, Work

# Regimes whose bytes and FLOPs of a step differ by no more than this are one point of a fit.
SAME_WORK = 0.05


def collect_observations(records: Iterable[RunRecord]) -> tuple[list[Observation], list[LeftOut]]:
    """Return an observation for each window that has all that a fit needs, and how many windows have not, by reason.

    Needed are a regime, steps, bytes, FLOPs and energy above 0 inside the headline boundary. The energy is gross: it
    holds what the device draws idle, as the projection's constants do. Failed runs have no windows worth a fit.
    """
    observations: list[Observation] = []
    missing: dict[tuple[str, Phase, str], list[str]] = {}
    for record in sorted((r for r in records if r.status == "finished"), key=lambda r: r.run_id):
        for phase in PHASES:
            for window in record.windows_of(phase):
                found = _observe(record, phase, window)
                if isinstance(found, str):
                    missing.setdefault((record.arm, phase, found), []).append(record.run_id)
                else:
                    observations.append(found)
    left_out = [
        LeftOut(arm=arm, phase=phase, reason=reason, num_windows=len(runs), run_ids=tuple(sorted(set(runs))))
        for (arm, phase, reason), runs in sorted(missing.items())
    ]
    return observations, left_out


def group_workloads(observations: Iterable[Observation]) -> list[list[Observation]]:
    """Return observations in groups of the same work: bytes and FLOPs of a step within `SAME_WORK` of the first.

    Six kinds of tasks at one batch and prompt are one point of the fit, however often it was measured: leaving out one
    kind of six would leave five twins of it in.
    """
    groups: list[list[Observation]] = []
    for one in sorted(observations, key=lambda o: (o.flops, o.num_bytes, o.run_id)):
        for group in groups:
            first = group[0]
            if _is_near(one.num_bytes, first.num_bytes) and _is_near(one.flops, first.flops):
                group.append(one)
                break
        else:
            groups.append([one])
    return groups


def _is_near(value: float, other: float) -> bool:
    return abs(value - other) <= SAME_WORK * max(value, other)


def _observe(record: RunRecord, phase: Phase, window: WindowRecord) -> Observation | str:
    """Return the observation of one window, or why it is none."""
    work = window.work
    if window.regime is None:
        return "the window names no regime"
    if work is None or work.num_steps is None or work.num_bytes is None or work.flops is None:
        return _name_missing(work)
    boundary = sum_boundary(window.energy)
    if boundary.energy_j is None or boundary.grade is None:
        return boundary.reason or "the energy is unknown"
    values = (boundary.energy_j, window.duration_s, work.num_bytes, work.flops)
    if work.num_steps <= 0 or not all(math.isfinite(value) and value > 0 for value in values):
        return "steps, energy, time, bytes or FLOPs of the window are not above 0"
    return Observation(
        run_id=record.run_id,
        arm=record.arm,
        size=record.size,
        seed=record.seed,
        phase=phase,
        regime=window.regime,
        num_steps=work.num_steps,
        joules=boundary.energy_j / work.num_steps,
        seconds=window.duration_s / work.num_steps,
        num_bytes=work.num_bytes / work.num_steps,
        flops=work.flops / work.num_steps,
        grade=boundary.grade,
        simulated=boundary.simulated,
        domains=boundary.domains,
        num_gpus=len(select_boundary(window.energy)) if boundary.domains == ("gpu",) else 0,
    )


def _name_missing(work: Work | None) -> str:
    """Return the first thing that the work of a window does not say."""
    if work is None:
        return "the window holds no work"
    if work.num_steps is None:
        return "the window does not count its steps"
    return f"the {'bytes' if work.num_bytes is None else 'FLOPs'} of the window are unknown"
