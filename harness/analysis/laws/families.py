"""Do families share an irreducible loss E? Separate fits against one fit with a common E."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.laws.fit import NUM_RESAMPLES, LawFit, fit_laws
from harness.analysis.laws.forms import name_values
from harness.analysis.laws.intervals import Quantity, Sampling, estimate_quantity, p_value_of_zero
from harness.analysis.laws.points import LawPoints
from harness.analysis.stats import LEVEL

STATISTIC = (
    "difference of E between separately fitted families over their bootstrap draws; two-sided p-value at which the "
    "difference's interval touches 0, by Holm over pairs"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairDifference:
    """E of `first` minus E of `second`; `p_value` is Holm's where there are several pairs."""

    first: str
    second: str
    difference: Quantity
    p_value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedE:
    """The test of one E for all families, and the fits with it.

    `objective_increase` is how much the sum of Huber terms grows when E is shared. A difference that is not found is
    no proof that there is none: its interval says what is ruled out.
    """

    statistic: str
    pairs: tuple[PairDifference, ...]
    rejected: bool | None
    objective_separate: float
    objective_shared: float
    fits: tuple[LawFit, ...]

    @property
    def objective_increase(self) -> float:
        """Objective of the joint fit minus that of the separate fits."""
        return self.objective_shared - self.objective_separate


def compare_irreducible_losses(
    separate: Sequence[LawFit], *, resamples: int = NUM_RESAMPLES, seed: int = 0, shared: Sequence[str] = ("E",)
) -> SharedE:
    """Fit the same points with E in common and test it against the `separate` fits (families of different names)."""
    joint = fit_laws([fit.points for fit in separate], shared=shared, resamples=resamples, seed=seed)
    raw = [(a, b, *_difference(a, b)) for a, b in itertools.combinations(separate, 2)]
    adjusted = _holm([p for *_, p in raw])
    pairs = tuple(
        PairDifference(first=str(a.points.family), second=str(b.points.family), difference=difference, p_value=p)
        for (a, b, difference, _), p in zip(raw, adjusted, strict=True)
    )
    known = [pair.p_value for pair in pairs if pair.p_value is not None]
    return SharedE(
        statistic=STATISTIC,
        pairs=pairs,
        rejected=min(known) < 1 - LEVEL if known else None,
        objective_separate=sum(fit.objective for fit in separate),
        objective_shared=joint[0].objective,
        fits=joint,
    )


def _difference(a: LawFit, b: LawFit) -> tuple[Quantity, float | None]:
    sampling = combine_sampling(a, b)
    value, other = (float(name_values(fit.form, fit.vector)["E"]) for fit in (a, b))
    draws = name_values(a.form, a.draws)["E"] - name_values(b.form, b.draws)["E"]
    quantity = estimate_quantity(value - other, draws, sampling, scale="linear")
    return quantity, p_value_of_zero(value - other, draws, sampling)


def combine_sampling(a: LawFit, b: LawFit) -> Sampling:
    """Return the sampling of the family with fewer degrees of freedom: what two fits say is no surer than that."""
    return min((a.sampling, b.sampling), key=lambda sampling: sampling.degrees)


def _holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's adjusted p-values; unknown ones stay unknown and are not counted."""
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    worst = 0.0
    for rank, (p, i) in enumerate(known):
        worst = max(worst, min(1.0, p * (len(known) - rank)))
        adjusted[i] = worst
    return adjusted


def points_by_name(points: Sequence[LawPoints]) -> list[LawPoints]:
    """Return families by name, so that their resamples do not depend on the order of rows."""
    return sorted(points, key=lambda family: str(family.family))
