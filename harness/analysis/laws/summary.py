"""What a fit says, as plain dicts for JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.analysis.laws.diagnostics import Diagnostics
from harness.analysis.laws.heldout import HeldOut
from harness.analysis.laws.intervals import Quantity
from harness.analysis.laws.matched import MatchedLaws
from harness.analysis.laws.optimum import BudgetPrediction
from harness.analysis.laws.study import HELD_OUT_RESAMPLES, Comparison, FamilyLaw, LawStudy
from harness.analysis.stats import LEVEL

SCHEMA_VERSION = 1


def quantity_to_json(quantity: Quantity) -> dict[str, Any]:
    """Return estimate, stderr and the interval's ends; what is unknown is ``None``, with a reason."""
    interval = quantity.interval
    found: dict[str, Any] = {
        "estimate": quantity.estimate,
        "stderr": quantity.stderr,
        "ci_low": interval.low if interval else None,
        "ci_high": interval.high if interval else None,
    }
    if quantity.reason is not None:
        found["reason"] = quantity.reason
    if quantity.lower_bound is not None:
        found["lower_bound"] = quantity.lower_bound
    return found


def study_to_json(study: LawStudy) -> dict[str, Any]:
    """Return the study: one family's keys at the top where there is no family column, else family by family."""
    common: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "notes": list(study.notes)}
    if len(study.families) == 1 and study.families[0].family is None:
        return {**family_to_json(study.families[0], study), **common}
    families = {str(law.family): family_to_json(law, study) for law in study.families}
    comparison = None if study.comparison is None else _comparison_to_json(study.comparison, study)
    return {**families, "comparison": comparison, **common}


def matched_to_json(laws: MatchedLaws) -> dict[str, Any]:
    """Return the laws of a matched study, and why an arm has none."""
    return {
        "study": None if laws.study is None else study_to_json(laws.study),
        "reasons": dict(laws.reasons),
        "next_budget_flops": laws.next_budget,
    }


def family_to_json(law: FamilyLaw, study: LawStudy) -> dict[str, Any]:
    """Return one family: each parameter by name, then what the fit was and what follows from it."""
    points = law.fit.points
    found: dict[str, Any] = {name: quantity_to_json(value) for name, value in law.fit.parameters.items()}
    if law.optimum is not None:
        found["optimum"] = _optimum_to_json(law.optimum)
    return {
        **found,
        "form": law.fit.form.name,
        "n": len(points),
        "num_configurations": points.num_configurations,
        "shared": list(law.fit.shared),
        "interval": {
            "level": LEVEL,
            "method": law.fit.sampling.method,
            "resampled": law.fit.sampling.num_units,
            "resamples": study.resamples,
            "seed": study.seed,
            "widening": law.fit.sampling.widening,
        },
        "diagnostics": _diagnostics_to_json(law.diagnostics),
        "held_out": _held_out_to_json(law.held_out, study),
        "warnings": list(law.warnings),
    }


def _optimum_to_json(optimum: BudgetPrediction) -> dict[str, Any]:
    found: dict[str, Any] = {"flops": optimum.flops}
    for name in ("params", "tokens", "loss"):
        quantity: Quantity | None = getattr(optimum, name)
        if quantity is not None:
            found[name] = quantity_to_json(quantity)
    return {
        **found,
        "extrapolated": optimum.extrapolated,
        "outside_data": list(optimum.outside),
        "smallest_budget": optimum.smallest_budget,
        "largest_budget": optimum.largest_budget,
        "convention": optimum.convention,
    }


def _diagnostics_to_json(diagnostics: Diagnostics) -> dict[str, Any]:
    values = {field.name: getattr(diagnostics, field.name) for field in dataclasses.fields(diagnostics)}
    values["trends"] = {name: quantity_to_json(slope) for name, slope in diagnostics.trends.items()}
    values["lack_of_fit"] = dataclasses.asdict(diagnostics.lack_of_fit)
    return values


def _held_out_to_json(held_out: HeldOut, study: LawStudy) -> dict[str, Any]:
    return {
        "flops": held_out.held_out_flops,
        "largest_fitted_flops": held_out.largest_fitted_flops,
        "rms_log_error": held_out.rms_log_error,
        "num_inside": held_out.num_inside,
        "resamples": min(study.resamples, HELD_OUT_RESAMPLES),
        "reason": held_out.reason,
        "points": [
            {
                **point.columns,
                "flops": point.flops,
                "num_seeds": point.num_seeds,
                "predicted": quantity_to_json(point.predicted),
                "observed": point.observed,
                "inside": point.inside,
            }
            for point in held_out.points
        ],
    }


def _comparison_to_json(comparison: Comparison, study: LawStudy) -> dict[str, Any]:
    test = comparison.shared_e
    return {
        "shared_E": {
            "statistic": test.statistic,
            "pairs": [
                {
                    "first": pair.first,
                    "second": pair.second,
                    "difference": quantity_to_json(pair.difference),
                    "p_value": pair.p_value,
                }
                for pair in test.pairs
            ],
            "rejected": test.rejected,
            "objective_separate": test.objective_separate,
            "objective_shared": test.objective_shared,
            "objective_increase": test.objective_increase,
            "families": {str(law.family): family_to_json(law, study) for law in comparison.shared_laws},
            "multipliers": [dataclasses.asdict(m) for m in comparison.shared_multipliers],
        },
        "multipliers": [dataclasses.asdict(m) for m in comparison.multipliers],
    }
