"""Compute multiplier between two families from their laws: what one needs over what the other needs for one loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.analysis.laws.families import combine_sampling
from harness.analysis.laws.fit import LawFit
from harness.analysis.laws.forms import find_compute, find_optimum
from harness.analysis.laws.intervals import estimate_quantity
from harness.analysis.laws.objective import Array
from harness.analysis.results import Interval
from harness.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LawMultiplier:
    """Baseline compute over candidate compute (above 1: the candidate needs less) at `loss`, from two laws.

    `estimate` is ``None`` with a `reason` where a law never reaches the loss, and `loss` as well where the candidate's
    law gives none at the budget; `lower_bound` stands where the interval
    has no upper end (some resamples of the baseline never reach it). `extrapolated` names the families whose compute
    for this loss lies beyond their largest budget.
    """

    baseline: str | None
    candidate: str | None
    loss: float | None
    budget: float | None
    baseline_flops: float | None
    candidate_flops: float | None
    estimate: float | None
    stderr: float | None
    interval: Interval | None
    extrapolated: tuple[str, ...]
    reason: str | None = None
    lower_bound: float | None = None


def convert_losses_to_multiplier(
    baseline_loss: float, candidate_loss: float, *, irreducible: float, exponent: float
) -> float:
    """Return ((L_baseline - E) / (L_candidate - E))^(1/a), two losses at one budget C of laws L = E + A C^-a.

    It holds for a shared E and a only, and leans heavily on E. Above 1: the baseline is worse and needs that much more.

    Raises:
        ValueError: a loss is not above E, or the exponent is not above zero.
    """
    if min(baseline_loss, candidate_loss) <= irreducible or exponent <= 0:
        raise ValueError("both losses must lie above E, and the exponent above 0")
    return float(((baseline_loss - irreducible) / (candidate_loss - irreducible)) ** (1 / exponent))


def estimate_law_multiplier(
    baseline: LawFit, candidate: LawFit, *, loss: float | None = None, budget: float | None = None
) -> LawMultiplier:
    """Return how many times the candidate's compute the baseline needs, at a `loss` or at the candidate's `budget`.

    At a budget the loss is what the candidate's law predicts there, in each resample anew. Both fits must come from
    the same number of resamples; where E was shared they must come from one call of `fit_laws`. Compute is that of
    L(C), or of the optimum of L(N, D). Every parameter's uncertainty, E's included, is in the interval.

    Raises:
        ConfigError: neither or both of `loss` and `budget` are given, or one is not above zero.
    """
    given = loss if loss is not None else budget
    if (loss is None) == (budget is None) or given is None or not (given > 0 and np.isfinite(given)):
        raise ConfigError("a multiplier needs either a loss or a budget in FLOPs, and it must be above 0.")
    center, losses = _match_losses(candidate, candidate.vector[None], loss, budget)
    _, drawn_losses = _match_losses(candidate, candidate.draws, loss, budget)
    needs = [_needed(fit, fit.vector[None], losses)[0] for fit in (baseline, candidate)]
    drawn = [_needed(fit, fit.draws, drawn_losses) for fit in (baseline, candidate)]
    names = [str(fit.points.family) for fit in (baseline, candidate)]
    unreached = [name for name, need in zip(names, needs, strict=True) if not np.isfinite(need)]
    beyond = [
        name
        for name, fit, need in zip(names, (baseline, candidate), needs, strict=True)
        if not need <= fit.points.budgets.max() * (1 + 1e-6)
    ]
    with np.errstate(all="ignore"):
        # Both unreachable is inf / inf, so unknown; one alone is infinity or zero, and stays in its place in the order.
        ratio = estimate_quantity(
            float(needs[0] / needs[1]), drawn[0] / drawn[1], combine_sampling(baseline, candidate)
        )
    reason = f"the law of {' and '.join(unreached)} never reaches this loss" if unreached else ratio.reason
    if not np.isfinite(center):
        reason = f"the law of {names[1]} gives no loss at this budget"
    return LawMultiplier(
        baseline=baseline.points.family,
        candidate=candidate.points.family,
        loss=center if np.isfinite(center) else None,
        budget=budget,
        baseline_flops=float(needs[0]) if np.isfinite(needs[0]) else None,
        candidate_flops=float(needs[1]) if np.isfinite(needs[1]) else None,
        estimate=None if unreached else ratio.estimate,
        stderr=None if unreached else ratio.stderr,
        interval=None if unreached else ratio.interval,
        extrapolated=tuple(beyond),
        reason=reason,
        lower_bound=None if unreached else ratio.lower_bound,
    )


def _match_losses(candidate: LawFit, vectors: Array, loss: float | None, budget: float | None) -> tuple[float, Array]:
    if loss is not None:
        return loss, np.full(len(vectors), loss)
    with np.errstate(all="ignore"):
        found = find_optimum(candidate.form, vectors, float(budget or 0), candidate.points.flops_per_param_token).loss
    return float(found[0]), found


def _needed(fit: LawFit, vectors: Array, losses: Array) -> Array:
    with np.errstate(all="ignore"):
        return find_compute(fit.form, vectors, losses, fit.points.flops_per_param_token)
