"""How well a law describes its points: residuals, trends, lack of fit against repeats, and what warns of trouble."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.analysis.distributions import f_tail, t_quantile
from harness.analysis.laws.fit import LawFit
from harness.analysis.laws.intervals import Quantity
from harness.analysis.laws.objective import HUBER_DELTA, Array
from harness.analysis.results import Interval
from harness.analysis.stats import LEVEL

TREND_METHOD = "least squares on residuals, t over rows"
# An exponent at or above this is steeper than any measured law, and only says that the term vanished.
MAX_EXPONENT = 1.95
MIN_EXPONENT = 1e-3
ALARM = 0.01
WIDE = 1.25
NARROW = 0.1
MIN_CONVERGED = 0.99
# An end of E's interval at this share of the estimate is 0 for all that the points can tell.
ZERO_SHARE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class LackOfFit:
    """Does the law miss configurations by more than their seeds differ? `reason` where that cannot be told."""

    statistic: float | None
    p_value: float | None
    seed_noise: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostics:
    """Residuals are predicted minus observed log loss; `trends` hold the slope per unit of a column's logarithm."""

    rms_log_residual: float
    largest_log_residual: float
    share_in_linear_part: float
    trends: dict[str, Quantity]
    lack_of_fit: LackOfFit
    objective: float
    converged: bool
    share_of_resamples_converged: float


def diagnose_fit(fit: LawFit) -> Diagnostics:
    """Look at the residuals of `fit`."""
    residuals = fit.residuals
    return Diagnostics(
        rms_log_residual=float(np.sqrt(np.mean(residuals**2))),
        largest_log_residual=float(np.abs(residuals).max()),
        share_in_linear_part=float(np.mean(np.abs(residuals) > HUBER_DELTA)),
        trends={name: _estimate_trend(np.log(column), residuals) for name, column in fit.points.columns.items()},
        lack_of_fit=_test_lack_of_fit(fit),
        objective=fit.objective,
        converged=fit.converged,
        share_of_resamples_converged=fit.share_converged,
    )


def list_warnings(fit: LawFit, diagnostics: Diagnostics) -> tuple[str, ...]:
    """Return what a reader must know before using the numbers."""
    parameters, points = fit.parameters, fit.points
    found = _judge_irreducible(parameters["E"], float(points.loss.min()))
    for name in ("alpha", "beta"):
        if name in parameters:
            found += _judge_exponent(name, parameters[name])
    for name in fit.form.columns:
        levels = len(np.unique(points.column(name)))
        if levels < fit.form.num_params:
            found.append(f"fewer distinct {name} ({levels}) than parameters ({fit.form.num_params})")
    if len(fit.form.columns) > 1 and points.spread_of_shapes < NARROW:
        found.append("params and tokens rise nearly together: their terms are hard to tell apart")
    if fit.sampling.widening > WIDE:
        found.append(
            f"{points.num_units} {fit.sampling.unit} for {fit.form.num_params} parameters: intervals are widened "
            f"{fit.sampling.widening:.2f} times and depend on the law being exactly right"
        )
    lack = diagnostics.lack_of_fit
    if lack.p_value is not None and lack.p_value < ALARM:
        found.append(
            f"lack of fit: configurations miss the law by more than their seeds differ (p = {lack.p_value:.2g})"
        )
    return (*found, *_judge_convergence(fit))


def _judge_irreducible(irreducible: Quantity, lowest: float) -> list[str]:
    interval = irreducible.interval
    if interval is None:
        return [f"E is not identified: {irreducible.reason}"]
    if interval.low <= ZERO_SHARE * (irreducible.estimate or 0.0):
        return ["E is not identified: its interval reaches 0"]
    if interval.high >= lowest:
        return [f"E is not identified: its interval reaches the lowest loss, {lowest:.4g}"]
    return []


def _judge_convergence(fit: LawFit) -> list[str]:
    found = [] if fit.converged else ["the fit did not converge"]
    if fit.share_converged < MIN_CONVERGED:
        found.append(f"{1 - fit.share_converged:.1%} of the resamples did not converge")
    return found


def _judge_exponent(name: str, exponent: Quantity) -> list[str]:
    value, interval = exponent.estimate, exponent.interval
    if value is None or value <= MIN_EXPONENT:
        return [f"{name} is at its bound: its term does not fall, so E cannot be told from it"]
    if value >= MAX_EXPONENT:
        return [f"{name} is at its bound: its term shows at the lowest level alone"]
    if interval is not None and interval.low <= 0:
        return [f"{name} is not identified: its interval reaches 0"]
    return []


def _estimate_trend(logs: Array, residuals: Array) -> Quantity:
    if len(logs) < 3:
        return Quantity(estimate=None, stderr=None, interval=None, reason="fewer than three points")
    (xx, xy), (_, yy) = np.cov(logs, residuals, bias=True)
    if xx <= 0:
        return Quantity(estimate=None, stderr=None, interval=None, reason="all points lie at one place")
    free, slope = len(logs) - 2, float(xy / xx)
    stderr = math.sqrt(max(yy - xy**2 / xx, 0.0) / xx / free)  # of least squares
    half = t_quantile(0.5 + LEVEL / 2, free) * stderr
    interval = Interval(low=slope - half, high=slope + half, level=LEVEL, method=TREND_METHOD)
    return Quantity(estimate=slope, stderr=stderr, interval=interval)


def _test_lack_of_fit(fit: LawFit) -> LackOfFit:
    """Test residual means of configurations against the spread inside them: F, with normal noise assumed."""
    groups, residuals = fit.points.configurations, fit.residuals
    sizes = np.bincount(groups)
    repeats = len(residuals) - len(sizes)
    free = len(sizes) - fit.form.num_params
    if repeats < 1:
        none = "no configuration has repeated seeds"
        return LackOfFit(statistic=None, p_value=None, seed_noise=None, reason=none)
    means = np.bincount(groups, residuals) / sizes
    pure = float(((residuals - means[groups]) ** 2).sum())
    noise = float(np.sqrt(pure / repeats))
    if free < 1 or pure <= 0:
        why = "the seeds do not differ" if pure <= 0 else "no more configurations than parameters"
        return LackOfFit(statistic=None, p_value=None, seed_noise=noise, reason=why)
    statistic = float((sizes * means**2).sum() / free / (pure / repeats))
    return LackOfFit(statistic=statistic, p_value=f_tail(statistic, free, repeats), seed_noise=noise)
