"""Laws of two families: which is the baseline, and what has no value."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.analysis.laws.fit import LawFit
from harness.analysis.laws.multiplier import estimate_law_multiplier
from harness.analysis.laws.study import fit_study
from harness.analysis.laws.summary import study_to_json
from harness.analysis.laws.text import study_to_text
from tests.unit.analysis.laws.synthetic import make_compute_points


@pytest.mark.parametrize("names", [("dense", "moe"), ("plain", "experts")])
def test_the_baseline_is_the_numerator_whatever_its_name(names):
    baseline, candidate = names
    points = [make_compute_points(family=baseline), make_compute_points(family=candidate, multiplier=2.0, seed=1)]
    study = fit_study(points, resamples=100, baseline=baseline)
    for found in (*study.comparison.multipliers, *study.comparison.shared_multipliers):
        assert (found.baseline, found.candidate) == names
        assert 1.7 < found.estimate < 2.3


def test_a_law_without_a_loss_at_the_budget_gives_no_number():
    points = [make_compute_points(family=name) for name in ("dense", "moe")]
    study = fit_study(points, resamples=100, budget=1e22)
    dense, moe = (law.fit for law in study.families)
    lost = np.full_like(moe.vector, np.nan)
    broken = LawFit(**{**{name: getattr(moe, name) for name in LawFit.__dataclass_fields__}, "vector": lost})
    found = estimate_law_multiplier(dense, broken, budget=1e22)
    assert found.loss is None
    assert found.estimate is None
    assert "no optimum at this budget" in found.reason
    comparison = type(study.comparison)(
        shared_e=study.comparison.shared_e,
        shared_laws=study.comparison.shared_laws,
        multipliers=(found,),
        shared_multipliers=(),
    )
    told = type(study)(
        families=study.families, comparison=comparison, notes=(), resamples=study.resamples, seed=study.seed
    )
    json.dumps(study_to_json(told), allow_nan=False)
    assert "FLOPs (unknown)" in study_to_text(told)
