"""The laws of a matched study: both arms where they have enough sizes and budgets, and else the reason."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.laws.fit import NUM_RESAMPLES
from harness.analysis.laws.points import LawPoints, points_from_frontier
from harness.analysis.laws.study import LawStudy, fit_study
from harness.analysis.results import MatchResult

# The prediction that a next run can be held against: one doubling beyond the largest budget of either arm.
NEXT_BUDGET = 2.0
# Points times resamples that take a few seconds on two cores: up to 1000 points there are `NUM_RESAMPLES`.
_MAX_WORK = 1000 * NUM_RESAMPLES
MIN_RESAMPLES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedLaws:
    """Fits of the arms that have enough points, ``None`` where none has; `reasons` are those of the other arms."""

    study: LawStudy | None
    reasons: dict[str, str]
    next_budget: float | None


def fit_matched(match: MatchResult, resamples: int | None = None) -> MatchedLaws:
    """Fit the laws of the arms of `match`, and predict the next budget before anybody runs it.

    L(N, D) with active parameters and tokens; noise is taken as independent between trunks. Deterministic: the same
    study gives the same numbers. Without `resamples` their number follows that of the points (`choose_resamples`).
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
    num = choose_resamples(sum(len(family.loss) for family in known)) if resamples is None else resamples
    study = fit_study(known, budget=budget, resamples=num, baseline=match.baseline_arm)
    return MatchedLaws(study=study, reasons=reasons, next_budget=budget)


def choose_resamples(num_points: int) -> int:
    """Return how many resamples fits to so many points get: 2000 up to 1000 points, then fewer, never below 400.

    The ends of an interval from 400 draws are known to about a tenth of its half-width, and with so many points the
    interval itself is narrow.
    """
    return max(MIN_RESAMPLES, min(NUM_RESAMPLES, _MAX_WORK // max(1, num_points)))
