"""The candidate's steps by the baseline's constants: measured over predicted, and the overhead factor that it implies.

A run's figure weighs each of its regimes the same, a seed's is the mean over its runs, and the interval is over seeds.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from harness.analysis.inference.costs import order_of
from harness.analysis.inference.seeds import average_seeds
from harness.analysis.results import Interval
from harness.analysis.roofline.fit import list_constants
from harness.analysis.roofline.observations import Observations, average, average_runs, group_workloads
from harness.analysis.roofline.overhead import METHOD, Constants, estimate_overhead
from harness.analysis.roofline.results import TERMS, PredictedRegime, Prediction, StepFit
from harness.analysis.roofline.solve import build_design, predict, rms, solve
from harness.analysis.stats import Estimate, estimate_mean, floor_at_zero
from harness.core.readings import Grade, worst_grade

# Sets of constants whose rms is at most this much above that of the fit fit the baseline about as well.
ABOUT_AS_WELL = 1.1
LOG_METHOD = "t on logarithms over seeds"


def predict_candidate(
    fit: StepFit, observations: Observations, candidate_arm: str, power_limit_w: float | None = None
) -> Prediction:
    """Return what the baseline's `fit` says of the candidate's windows in the same phase, beside what they took."""
    phase = fit.phase
    base, own = observations.of(fit.arm, phase), observations.of(candidate_arm, phase)
    reason = _explain_none(fit, own, candidate_arm)
    boundaries = own.list_boundaries()
    grades: list[Grade] = [one.grade for one in boundaries] + ([fit.grade] if fit.grade is not None else [])
    simulated = fit.simulated or any(one.simulated for one in boundaries)
    run_ids = tuple(sorted({run.run_id for run in own.list_runs()} | set(fit.run_ids)))
    if reason is not None:
        return Prediction(
            phase=phase,
            baseline_arm=fit.arm,
            candidate_arm=candidate_arm,
            regimes=(),
            ratio=_none(reason),
            ratio_range=None,
            overhead=_none(reason),
            work_share=None,
            rms=None,
            scaled_rms=None,
            overhead_rms=None,
            within=None,
            num_observations=len(own),
            num_capped=0,
            num_outside=0,
            grade=worst_grade(*grades) if grades else None,
            simulated=simulated,
            run_ids=run_ids,
            finding=f"nothing is predicted: {reason}",
            reason=reason,
        )
    assert fit.held_out_rms is not None  # noqa: S101  # a fit with constants has one
    constants = list_constants(fit)
    predicted, capped = predict(constants, own, power_limit_w)
    errors = predicted / own.joules - 1
    ratio = estimate_ratio_to(own, constants, power_limit_w)
    others = [estimate_ratio_to(own, other, power_limit_w).value for other in list_alternatives(base, constants)]
    ends = [value for value in (ratio.value, *others) if value is not None]
    ratio_range = (min(ends), max(ends))
    overhead = estimate_overhead(own, constants)
    assert ratio.value is not None  # noqa: S101  # there is an observation
    return Prediction(
        phase=phase,
        baseline_arm=fit.arm,
        candidate_arm=candidate_arm,
        regimes=_by_regime(own, constants, power_limit_w),
        ratio=ratio,
        ratio_range=ratio_range,
        overhead=overhead,
        work_share=_over_regimes(own, 1 - constants[0] / predict(constants, own, None)[0]),
        rms=rms(errors),
        scaled_rms=_relative_rms(own, _scale(constants, ratio.value, step=True)),
        overhead_rms=_relative_rms(own, _scale(constants, overhead.value)) if overhead.value is not None else None,
        within=float((np.abs(errors) <= fit.held_out_rms).mean()),
        num_observations=len(own),
        num_capped=int(capped.sum()),
        num_outside=_count_outside(own, base),
        grade=worst_grade(*grades),
        simulated=simulated,
        run_ids=run_ids,
        finding=_judge(fit, ratio.value, ratio_range),
    )


def list_alternatives(base: Observations, constants: Constants) -> list[Constants]:
    """Return other sets of constants that fit the baseline about as well: those with one or two of them held at 0.

    Where the baseline's windows do not tell constants apart they agree on it and may still differ widely on a candidate
    whose bytes and FLOPs stand in another relation.
    """
    design = build_design(group_workloads(base))
    limit = ABOUT_AS_WELL * _relative_rms(base, constants) + 1e-9
    found = []
    for number in (1, 2):
        for terms in itertools.combinations(range(len(TERMS)), number):
            step, per_byte, per_flop = solve(design, terms=terms)
            if _relative_rms(base, (step, per_byte, per_flop)) <= limit:
                found.append((step, per_byte, per_flop))
    return found


def estimate_ratio_to(own: Observations, constants: Constants, power_limit_w: float | None) -> Estimate:
    """Return the geometric mean of measured over predicted joules and its interval over seeds, made on logarithms."""
    ratios = np.log(own.joules / predict(constants, own, power_limit_w)[0])
    logs = estimate_mean(average_seeds(average_runs(own, ratios)), method=LOG_METHOD)
    assert logs.value is not None  # noqa: S101  # there is an observation
    interval = logs.interval
    if interval is not None:
        low, high = _exp(interval.low), _exp(interval.high)
        interval = Interval(low=low, high=high, level=interval.level, method=interval.method)
        if not math.isfinite(high):
            return Estimate(
                value=math.exp(logs.value), interval=None, n=logs.n, reason="the interval has no finite end"
            )
    return Estimate(value=math.exp(logs.value), interval=interval, n=logs.n, reason=logs.reason)


def _by_regime(own: Observations, constants: Constants, power_limit_w: float | None) -> tuple[PredictedRegime, ...]:
    cells, cell = own.cells()
    rows = []
    for place, (size, regime) in sorted(enumerate(cells), key=lambda item: (order_of(item[1][1]), item[1][0])):
        found = own.take(cell == place)
        predicted, capped = predict(constants, found, power_limit_w)
        boundaries = found.list_boundaries()
        rows.append(
            PredictedRegime(
                size=size,
                regime=regime,
                measured_j=_mean_over_seeds(found, found.joules),
                predicted_j=float(predicted.mean()),
                ratio=_mean_over_seeds(found, found.joules / predicted),
                num_observations=len(found),
                num_capped=int(capped.sum()),
                grade=worst_grade(*(one.grade for one in boundaries)),
                simulated=any(one.simulated for one in boundaries),
                run_ids=tuple(run.run_id for run in found.list_runs()),
            )
        )
    return tuple(rows)


def _mean_over_seeds(rows: Observations, values: Any) -> Estimate:
    return floor_at_zero(estimate_mean(average_seeds(average_runs(rows, values)), method=METHOD))


def _over_regimes(rows: Observations, values: Any) -> float:
    """Return the mean of `values` over windows, each size and regime weighing the same."""
    cells, cell = rows.cells()
    return float(average(values, cell, len(cells)).mean())


def _scale(constants: Constants, factor: float, *, step: bool = False) -> Constants:
    """Return the constants with bytes and FLOPs, and the step too where `step`, times `factor`."""
    return (factor if step else 1.0) * constants[0], factor * constants[1], factor * constants[2]


def _relative_rms(rows: Observations, constants: Constants) -> float:
    return rms(predict(constants, rows, None)[0] / rows.joules - 1)


def _count_outside(own: Observations, base: Observations) -> int:
    """Return how many steps have more bytes or FLOPs, or fewer, than any that the constants were fitted on."""
    inside = (own.num_bytes >= base.num_bytes.min()) & (own.num_bytes <= base.num_bytes.max())
    inside &= (own.flops >= base.flops.min()) & (own.flops <= base.flops.max())
    return int((~inside).sum())


def _explain_none(fit: StepFit, own: Observations, candidate_arm: str) -> str | None:
    if fit.constants is None:
        return f"{fit.arm} has no constants: {fit.reason}"
    if not len(own):
        return f"no window of {candidate_arm} has all that a prediction needs"
    if {one.domains for one in own.list_boundaries()} != {fit.domains}:
        return "the energy of the two arms covers different devices"
    return None


def _judge(fit: StepFit, ratio: float | None, ratio_range: tuple[float, float]) -> str:
    """Return in words whether the baseline's constants hold for the candidate, by the fit's own held-out error."""
    assert ratio is not None  # noqa: S101  # asked only where there is one
    assert fit.held_out_rms is not None  # noqa: S101
    error = fit.held_out_rms
    inside = [1 / (1 + error) <= value <= 1 + error for value in (ratio, *ratio_range)]
    told = f"the candidate's steps take {ratio:.3g} times what the baseline's constants predict"
    spread = f"sets of constants that fit the baseline about as well give {ratio_range[0]:.3g} to {ratio_range[1]:.3g}"
    own_error = f"the held-out error of the fit ({100 * error:.1f}%)"
    if all(inside):
        return f"{told}, which is within {own_error}: a model fitted on the baseline holds here"
    if any(inside):
        return f"{told}; {spread}, and only part of that is within {own_error}: whether the model holds cannot be told"
    if (ratio_range[0] < 1) != (ratio_range[1] < 1):
        return f"{told}; {spread}, on both sides of 1: the baseline's windows do not determine the prediction"
    return f"{told}, which is beyond {own_error}: a model fitted on the baseline does not hold here"


def _none(reason: str) -> Estimate:
    return Estimate(value=None, interval=None, n=0, reason=reason)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
