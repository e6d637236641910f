"""The candidate's steps by the baseline's constants: measured over predicted, and the overhead factor that it implies.

A run's figure weighs each of its regimes the same, a seed's is the mean over its runs, and the interval is over seeds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from harness.analysis.inference.costs import order_of
from harness.analysis.inference.seeds import average_seeds
from harness.analysis.results import Interval
from harness.analysis.roofline.fit import list_constants
from harness.analysis.roofline.observations import group_workloads
from harness.analysis.roofline.overhead import METHOD, Constants, estimate_overhead
from harness.analysis.roofline.results import TERMS, Observation, PredictedRegime, Prediction, StepFit
from harness.analysis.roofline.solve import build_design, predict, rms, solve
from harness.analysis.stats import Estimate, estimate_mean, floor_at_zero
from harness.core.inference import Regime
from harness.core.readings import Grade, worst_grade

# Sets of constants whose rms is at most this much above that of the fit fit the baseline about as well.
ABOUT_AS_WELL = 1.1
LOG_METHOD = "t on logarithms over seeds"


def predict_candidate(
    fit: StepFit, observations: Sequence[Observation], candidate_arm: str, power_limit_w: float | None = None
) -> Prediction:
    """Return what the baseline's `fit` says of the candidate's windows in the same phase, beside what they took."""
    phase = fit.phase
    base = [one for one in observations if (one.arm, one.phase) == (fit.arm, phase)]
    own = [one for one in observations if (one.arm, one.phase) == (candidate_arm, phase)]
    reason = _explain_none(fit, own, candidate_arm)
    grades: list[Grade] = [one.grade for one in own] + ([fit.grade] if fit.grade is not None else [])
    simulated = fit.simulated or any(one.simulated for one in own)
    run_ids = tuple(sorted({one.run_id for one in own} | set(fit.run_ids)))
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
    errors = [predict(constants, one, power_limit_w)[0] / one.joules - 1 for one in own]
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
        work_share=_over_regimes(own, lambda one: 1 - constants[0] / predict(constants, one, None)[0]),
        rms=rms(errors),
        scaled_rms=_relative_rms(own, _scale(constants, ratio.value, step=True)),
        overhead_rms=_relative_rms(own, _scale(constants, overhead.value)) if overhead.value is not None else None,
        within=sum(abs(error) <= fit.held_out_rms for error in errors) / len(errors),
        num_observations=len(own),
        num_capped=sum(predict(constants, one, power_limit_w)[1] for one in own),
        num_outside=_count_outside(own, base),
        grade=worst_grade(*grades),
        simulated=simulated,
        run_ids=run_ids,
        finding=_judge(fit, ratio.value, ratio_range),
    )


def list_alternatives(base: Sequence[Observation], constants: Constants) -> list[Constants]:
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


def estimate_ratio_to(own: Sequence[Observation], constants: Constants, power_limit_w: float | None) -> Estimate:
    """Return the geometric mean of measured over predicted joules and its interval over seeds, made on logarithms."""

    def of_run(rows: Sequence[Observation]) -> float:
        return _over_regimes(rows, lambda one: math.log(one.joules / predict(constants, one, power_limit_w)[0]))

    logs = estimate_mean(_over_seeds(own, of_run), method=LOG_METHOD)
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


def _by_regime(
    own: Sequence[Observation], constants: Constants, power_limit_w: float | None
) -> tuple[PredictedRegime, ...]:
    groups: dict[tuple[str, Regime], list[Observation]] = {}
    for one in own:
        groups.setdefault((one.size, one.regime), []).append(one)
    rows = []
    for (size, regime), found in sorted(groups.items(), key=lambda item: (order_of(item[0][1]), item[0][0])):
        predicted = [predict(constants, one, power_limit_w) for one in found]
        ratios = {id(one): one.joules / joules for one, (joules, _) in zip(found, predicted, strict=True)}
        rows.append(
            PredictedRegime(
                size=size,
                regime=regime,
                measured_j=_mean_over_seeds(found, lambda one: one.joules),
                predicted_j=_fmean([joules for joules, _ in predicted]),
                ratio=_mean_over_seeds(found, lambda one, ratios=ratios: ratios[id(one)]),  # type: ignore[misc]
                num_observations=len(found),
                num_capped=sum(capped for _, capped in predicted),
                grade=worst_grade(*(one.grade for one in found)),
                simulated=any(one.simulated for one in found),
                run_ids=tuple(sorted({one.run_id for one in found})),
            )
        )
    return tuple(rows)


def _mean_over_seeds(rows: Sequence[Observation], value: Callable[[Observation], float]) -> Estimate:
    return floor_at_zero(
        estimate_mean(_over_seeds(rows, lambda own: _fmean([value(one) for one in own])), method=METHOD)
    )


def _over_seeds(rows: Sequence[Observation], of_run: Callable[[Sequence[Observation]], float]) -> list[float]:
    """Return one value a seed: the mean over its runs of `of_run`."""
    runs: dict[str, list[Observation]] = {}
    for one in rows:
        runs.setdefault(one.run_id, []).append(one)
    return average_seeds((run_id, own[0].seed, of_run(own)) for run_id, own in sorted(runs.items()))


def _over_regimes(rows: Sequence[Observation], value: Callable[[Observation], float]) -> float:
    """Return the mean of `value` over windows, each size and regime weighing the same."""
    groups: dict[tuple[str, Regime], list[float]] = {}
    for one in rows:
        groups.setdefault((one.size, one.regime), []).append(value(one))
    return _fmean([_fmean(values) for values in groups.values()])


def _scale(constants: Constants, factor: float, *, step: bool = False) -> Constants:
    """Return the constants with bytes and FLOPs, and the step too where `step`, times `factor`."""
    return (factor if step else 1.0) * constants[0], factor * constants[1], factor * constants[2]


def _relative_rms(rows: Sequence[Observation], constants: Constants) -> float:
    return rms([predict(constants, one, None)[0] / one.joules - 1 for one in rows])


def _count_outside(own: Sequence[Observation], base: Sequence[Observation]) -> int:
    """Return how many steps have more bytes or FLOPs, or fewer, than any that the constants were fitted on."""
    num_bytes, flops = [one.num_bytes for one in base], [one.flops for one in base]
    low_bytes, high_bytes, low_flops, high_flops = min(num_bytes), max(num_bytes), min(flops), max(flops)
    return sum(not (low_bytes <= one.num_bytes <= high_bytes and low_flops <= one.flops <= high_flops) for one in own)


def _explain_none(fit: StepFit, own: Sequence[Observation], candidate_arm: str) -> str | None:
    if fit.constants is None:
        return f"{fit.arm} has no constants: {fit.reason}"
    if not own:
        return f"no window of {candidate_arm} has all that a prediction needs"
    boundaries = {one.domains for one in own}
    if boundaries != {fit.domains}:
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


def _fmean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _none(reason: str) -> Estimate:
    return Estimate(value=None, interval=None, n=0, reason=reason)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
