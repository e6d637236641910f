"""All that one file of points says: a law per family, its diagnostics, predictions, and families against each other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.laws.diagnostics import Diagnostics, diagnose_fit, list_warnings
from harness.analysis.laws.families import SharedE, compare_irreducible_losses, points_by_name
from harness.analysis.laws.fit import NUM_RESAMPLES, LawFit, fit_apart
from harness.analysis.laws.heldout import HeldOut, predict_held_out
from harness.analysis.laws.multiplier import LawMultiplier, estimate_law_multiplier
from harness.analysis.laws.optimum import BudgetPrediction, predict_at_budget
from harness.analysis.laws.points import LawPoints

# Enough for a prediction interval, which the noise of seeds widens anyhow.
HELD_OUT_RESAMPLES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyLaw:
    """One family's fit and what follows from it."""

    family: str | None
    fit: LawFit
    diagnostics: Diagnostics
    warnings: tuple[str, ...]
    optimum: BudgetPrediction | None
    held_out: HeldOut


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Families against each other: one E or several, the fits with one E, and compute multipliers pair by pair."""

    shared_e: SharedE
    shared_laws: tuple[FamilyLaw, ...]
    multipliers: tuple[LawMultiplier, ...]
    shared_multipliers: tuple[LawMultiplier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LawStudy:
    """Families by name, and their comparison where there are several."""

    families: tuple[FamilyLaw, ...]
    comparison: Comparison | None
    notes: tuple[str, ...]
    resamples: int
    seed: int


def fit_study(
    points: Sequence[LawPoints],
    *,
    notes: Sequence[str] = (),
    budget: float | None = None,
    resamples: int = NUM_RESAMPLES,
    seed: int = 0,
    baseline: str | None = None,
) -> LawStudy:
    """Fit every family apart, look at it, predict `budget` (FLOPs), and compare the families.

    The `baseline` family is the numerator of its multipliers; else that is the first of a pair by name.

    Raises:
        RecordError: a family has too few points, sizes or budgets for its form.
    """
    ordered = points_by_name(points)
    separate = fit_apart(ordered, resamples=resamples, seed=seed)
    fewer = min(resamples, HELD_OUT_RESAMPLES)
    held_out = [predict_held_out(family, resamples=fewer, seed=seed) for family in ordered]
    families = tuple(_describe(fit, budget, left) for fit, left in zip(separate, held_out, strict=True))
    comparison = None
    if len(separate) > 1:
        shared = compare_irreducible_losses(separate, resamples=resamples, seed=seed)
        comparison = Comparison(
            shared_e=shared,
            shared_laws=tuple(_describe(fit, budget, left) for fit, left in zip(shared.fits, held_out, strict=True)),
            multipliers=_pair_multipliers(separate, budget, baseline),
            shared_multipliers=_pair_multipliers(shared.fits, budget, baseline),
        )
    return LawStudy(families=families, comparison=comparison, notes=tuple(notes), resamples=resamples, seed=seed)


def _describe(fit: LawFit, budget: float | None, held_out: HeldOut) -> FamilyLaw:
    diagnostics = diagnose_fit(fit)
    return FamilyLaw(
        family=fit.points.family,
        fit=fit,
        diagnostics=diagnostics,
        warnings=list_warnings(fit, diagnostics),
        optimum=None if budget is None else predict_at_budget(fit, budget),
        held_out=held_out,
    )


def _pair_multipliers(fits: Sequence[LawFit], budget: float | None, baseline: str | None) -> tuple[LawMultiplier, ...]:
    """Compare each pair at the lowest loss that both reached, and at the budget where there is one."""
    found = []
    ordered = sorted(fits, key=lambda fit: fit.points.family != baseline)
    for first, second in itertools.combinations(ordered, 2):
        loss = max(float(fit.points.loss.min()) for fit in (first, second))
        found.append(estimate_law_multiplier(first, second, loss=loss))
        if budget is not None:
            found.append(estimate_law_multiplier(first, second, budget=budget))
    return tuple(found)
