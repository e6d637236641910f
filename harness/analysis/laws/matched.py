"""The laws of a matched study: both arms where they have enough sizes and budgets, and else the reason."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.laws.fit import NUM_RESAMPLES
from harness.analysis.laws.points import LawPoints, points_from_frontier
from harness.analysis.laws.study import LawStudy, fit_study
from harness.analysis.results import MatchResult

# The prediction that a next run can be held against: one doubling beyond the largest budget of either arm.
NEXT_BUDGET = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedLaws:
    """Fits of the arms that have enough points, ``None`` where none has; `reasons` are those of the other arms."""

    study: LawStudy | None
    reasons: dict[str, str]
    next_budget: float | None


def fit_matched(match: MatchResult, resamples: int = NUM_RESAMPLES) -> MatchedLaws:
    """Fit the laws of the arms of `match`, and predict the next budget before anybody runs it.

    L(N, D) with active parameters and tokens; noise is taken as independent between trunks. Deterministic: the same
    study gives the same numbers.
    """
    arms = (match.baseline_arm, match.candidate_arm)
    found = points_from_frontier([point for point in match.points if point.arm in arms])
    families = [found[arm] for arm in arms if arm in found]
    known = [family for family in families if isinstance(family, LawPoints)]
    reasons = {arm: reason for arm, reason in found.items() if isinstance(reason, str)}
    reasons |= {arm: "it has no finished run" for arm in arms if arm not in found}
    if not known:
        return MatchedLaws(study=None, reasons=reasons, next_budget=None)
    budget = NEXT_BUDGET * max(float(family.budgets.max()) for family in known)
    study = fit_study(known, budget=budget, resamples=resamples, baseline=match.baseline_arm)
    return MatchedLaws(study=study, reasons=reasons, next_budget=budget)
