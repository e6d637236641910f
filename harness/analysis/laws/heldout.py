"""The test that counts: fit without the largest budget, predict its losses, and compare with what came out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.analysis.laws.fit import NUM_RESAMPLES, LawFit, fit_law
from harness.analysis.laws.forms import predict_loss
from harness.analysis.laws.intervals import Quantity, estimate_quantity
from harness.analysis.laws.objective import Array
from harness.analysis.laws.points import LawPoints, check_enough

# Runs within this factor of the largest budget belong to it.
SAME_BUDGET = 1.05
# Losses that differ by less are equal: points without noise have intervals of no width.
ROUNDING = 1 + 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutPoint:
    """One configuration that the fit did not see: the predicted and the mean observed loss over `num_seeds` runs.

    The interval of `predicted` is for that mean: it holds the fit's uncertainty and the noise of as many seeds.
    """

    columns: dict[str, float]
    flops: float
    num_seeds: int
    predicted: Quantity
    observed: float
    inside: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """All held-out configurations of one family, or the `reason` why nothing can be predicted."""

    family: str | None
    held_out_flops: float
    largest_fitted_flops: float | None
    points: tuple[HeldOutPoint, ...]
    rms_log_error: float | None
    num_inside: int
    reason: str | None = None


def predict_held_out(
    points: LawPoints, *, resamples: int = NUM_RESAMPLES, seed: int = 0, held_out: np.ndarray | None = None
) -> HeldOut:
    """Fit `points` without their largest budget (or without the rows of the mask `held_out`) and predict the rest."""
    budgets = points.budgets
    mask = budgets * SAME_BUDGET >= budgets.max() if held_out is None else np.asarray(held_out, dtype=bool)
    kept, left = points.select(~mask), points.select(mask)
    largest = float(budgets[~mask].max()) if len(kept) else None
    reason = "nothing is held out" if not len(left) else ("every point is held out" if not len(kept) else None)
    reason = reason or check_enough(kept)
    if reason is not None:
        return HeldOut(
            family=points.family,
            held_out_flops=float(budgets.max()),
            largest_fitted_flops=largest,
            points=(),
            rms_log_error=None,
            num_inside=0,
            reason=f"without the largest budget: {reason}",
        )
    fit = fit_law(kept, resamples=resamples, seed=seed)
    noise = _draw_noise(fit, resamples, np.random.default_rng([seed, 1]))
    groups = left.configurations
    found = tuple(_compare(fit, left.select(groups == group), noise) for group in range(left.num_configurations))
    errors = [np.log(point.observed / (point.predicted.estimate or np.nan)) for point in found]
    return HeldOut(
        family=points.family,
        held_out_flops=float(budgets.max()),
        largest_fitted_flops=largest,
        points=found,
        rms_log_error=float(np.sqrt(np.mean(np.square(errors)))),
        num_inside=sum(point.inside is True for point in found),
    )


def _compare(fit: LawFit, left: LawPoints, noise: Array) -> HeldOutPoint:
    columns = {name: column[:1] for name, column in left.columns.items()}
    center = float(predict_loss(fit.form, fit.vector[None], columns)[0, 0])
    drawn = predict_loss(fit.form, fit.draws, columns)[:, 0]
    seeds = np.resize(noise, (len(left), len(drawn))) if len(noise) < len(left) else noise[: len(left)]
    predicted = estimate_quantity(center, drawn * np.exp(seeds.mean(axis=0)), fit.sampling)
    observed = float(np.exp(np.mean(np.log(left.loss))))
    interval = predicted.interval
    return HeldOutPoint(
        columns={name: float(column[0]) for name, column in columns.items()},
        flops=float(left.budgets[0]),
        num_seeds=len(left),
        predicted=predicted,
        observed=observed,
        inside=None if interval is None else interval.low / ROUNDING <= observed <= interval.high * ROUNDING,
    )


def _draw_noise(fit: LawFit, resamples: int, rng: np.random.Generator) -> Array:
    """Return log-loss noise (seeds, R) drawn from the fit's residuals; the interval's widening makes up their loss."""
    return np.asarray(rng.choice(-fit.residuals, size=(64, resamples)), dtype=np.float64)
