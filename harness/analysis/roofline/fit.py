"""Constants of a step's energy for one arm and phase, their intervals, and the error on workloads not seen."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from harness.analysis.results import Interval
from harness.analysis.roofline.observations import Observations, group_workloads
from harness.analysis.roofline.results import TERMS, Constant, Phase, StepFit, Term
from harness.analysis.roofline.solve import (
    Design,
    build_design,
    correlate,
    measure_condition,
    predict,
    rms,
    solve,
    solve_free,
)
from harness.analysis.stats import LEVEL, t_critical
from harness.core.readings import worst_grade

MIN_WORKLOADS = len(TERMS) + 1
# Above this condition number single constants are not read (Belsley, Kuh and Welsch 1980 call 30 strong).
MAX_CONDITION = 30.0
METHOD = "jackknife over workloads, t"


def fit_steps(observations: Observations, arm: str, phase: Phase, power_limit_w: float | None = None) -> StepFit:
    """Fit the steps of `arm` in `phase`; `power_limit_w` caps what the fit predicts, not what it is fitted to.

    Intervals are a jackknife over workloads (`jackknife`). Its refits are those that the held-out error needs, it asks
    for no random numbers, and a bootstrap would draw designs in which few workloads no longer tell constants apart.
    Unknown are the constants of fewer than 4 workloads (regimes or sizes that differ in work), since 3 are fitted
    exactly by any 3 constants, and those over windows whose energy covers different devices.
    """
    own = observations.of(arm, phase)
    workloads = group_workloads(own)
    reason = _explain_no_fit(own, len(workloads))
    counts = _count(own, arm, phase, len(workloads))
    if reason is not None:
        return dataclasses.replace(counts, reason=reason)
    design = build_design(workloads)
    values = solve(design)
    condition, mixed = measure_condition(design)
    told_apart = condition is not None and condition <= MAX_CONDITION
    predicted, capped = predict(values, own, power_limit_w)
    ratios = predicted / own.joules
    return dataclasses.replace(
        counts,
        constants=_constants(design, values, len(workloads)),
        rms=rms(ratios - 1),
        held_out_rms=_held_out(design, workloads, power_limit_w),
        own_ratio=float(np.exp(-np.log(ratios).mean())),
        condition=condition,
        correlation=correlate(own),
        mixed=() if told_apart else tuple(TERMS[place] for place in mixed),
        num_capped=int(capped.sum()),
    )


def jackknife(design: Design, num_workloads: int) -> list[Interval] | None:
    """Return the interval of each constant, ``None`` where some workload left out leaves them undetermined.

    Each workload is left out in turn and the constants are solved for without the bound; t has as many degrees of
    freedom as there are workloads beyond constants. Without the bound the refits move smoothly, so that the interval
    covers also where the truth is 0; with it, all refits of a constant at 0 would agree and say that it is surely 0.
    """
    whole = solve_free(design)
    refits = [solve_free(design, place) for place in range(num_workloads)]
    known = [refit for refit in refits if refit is not None]
    if whole is None or len(known) < num_workloads:
        return None
    intervals = []
    for place in range(len(TERMS)):
        values = [refit[place] for refit in known]
        mean = math.fsum(values) / num_workloads
        spread = math.fsum((value - mean) ** 2 for value in values)
        stderr = math.sqrt((num_workloads - 1) / num_workloads * spread)
        half = t_critical(num_workloads - len(TERMS) + 1) * stderr
        intervals.append(
            Interval(low=whole[place] - half, high=whole[place] + half, level=LEVEL, method=METHOD),
        )
    return intervals


def list_constants(fit: StepFit) -> tuple[float, float, float]:
    """Return the constants of a fit that has them, in the order of `TERMS`."""
    assert fit.constants is not None  # noqa: S101  # asked only where there are some
    step, per_byte, per_flop = (fit.constants[term].value for term in TERMS)
    return step, per_byte, per_flop


def _explain_no_fit(own: Observations, num_workloads: int) -> str | None:
    if not len(own):
        return "no window has all that a fit needs"
    boundaries = sorted({one.domains for one in own.list_boundaries()})
    if len(boundaries) > 1:
        told = " and ".join(" + ".join(domains) for domains in boundaries)
        return f"the energy of some windows covers other devices than that of others: {told}"
    if num_workloads < MIN_WORKLOADS:
        return (
            f"{num_workloads} regimes that differ in bytes or FLOPs of a step by more than 5%; three constants need "
            f"{MIN_WORKLOADS}"
        )
    return None


def _constants(design: Design, values: Sequence[float], num_workloads: int) -> dict[Term, Constant]:
    intervals = jackknife(design, num_workloads)
    found: dict[Term, Constant] = {}
    for place, term in enumerate(TERMS):
        value, free = values[place], intervals[place] if intervals is not None else None
        interval = reason = None
        if free is None:
            reason = "not told apart"
        elif free.high < 0:
            reason = "the windows ask for less than 0: the form does not fit them"
        else:
            # what the bound moved other constants by belongs to what is unknown of them
            low, high = min(max(free.low, 0.0), value), max(free.high, value)
            interval = Interval(low=low, high=high, level=free.level, method=free.method)
        found[term] = Constant(value=value, interval=interval, at_bound=value == 0, reason=reason)
    return found


def _held_out(design: Design, workloads: Sequence[Observations], power_limit_w: float | None) -> float:
    """Return the rms error of each workload by the fit of the others; workloads weigh the same."""
    errors = []
    for place, group in enumerate(workloads):
        joules, _ = predict(solve(design, place), group, power_limit_w)
        errors.append(rms(joules / group.joules - 1))
    return rms(errors)


def _count(own: Observations, arm: str, phase: Phase, num_workloads: int) -> StepFit:
    """Return a fit that holds only what it would rest on."""
    runs, boundaries = own.list_runs(), own.list_boundaries()
    return StepFit(
        phase=phase,
        arm=arm,
        constants=None,
        rms=None,
        held_out_rms=None,
        own_ratio=None,
        condition=None,
        correlation=None,
        mixed=(),
        num_observations=len(own),
        num_runs=len(runs),
        num_regimes=len(own.cells()[0]),
        num_workloads=num_workloads,
        num_capped=0,
        domains=boundaries[0].domains if boundaries else (),
        grade=worst_grade(*(one.grade for one in boundaries)) if boundaries else None,
        simulated=any(one.simulated for one in boundaries),
        run_ids=tuple(run.run_id for run in runs),
    )
