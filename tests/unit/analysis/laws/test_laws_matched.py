"""The laws of a matched study: fitted where there are sizes enough, and valid JSON whatever the fit came to."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np

from harness.analysis.laws.matched import fit_matched
from harness.analysis.laws.summary import matched_to_json
from harness.analysis.laws.text import matched_to_text
from harness.analysis.match import match_study
from tests.unit.analysis.factory import make_record, make_records, make_study

SIZES = {"s": 1e6, "m": 2e6, "l": 4e6, "xl": 8e6}


def match_of(loss):
    """A study of four sizes and four token counts whose loss is a function of parameters, tokens and the arm."""
    rng = np.random.default_rng(3)
    records = []
    for arm in ("dense", "moe"):
        for size, params in SIZES.items():
            for seed in (0, 1, 2):
                for tokens in (1e6, 2e6, 4e6, 8e6):
                    record = make_record(
                        arm, size=size, seed=seed, flops=6 * params * tokens, active=int(params),
                        loss=loss(params, tokens, arm) * math.exp(0.002 * rng.standard_normal()),
                        run_id=f"{arm}-{size}-{tokens:.0f}-{seed}",
                    )  # fmt: skip
                    path = dataclasses.replace(record.path, tokens=int(tokens))
                    records.append(dataclasses.replace(record, path=path))
    return match_study(records, make_study(records))


def test_both_arms_are_fitted_and_the_next_budget_is_predicted_before_it_is_run():
    match = match_of(lambda n, d, arm: 1.0 + 60 * n**-0.3 + 60 * (d * (2 if arm == "moe" else 1)) ** -0.3)
    laws = fit_matched(match, 200)
    assert laws.reasons == {}
    assert laws.next_budget == 2 * 6 * 8e6 * 8e6
    law = laws.study.families[0]
    assert abs(law.fit.parameters["beta"].estimate - 0.3) < 0.05
    assert law.optimum.extrapolated
    assert "extrapolated before it is run" in matched_to_text(laws)


def test_an_arm_of_one_size_has_no_law_and_says_why():
    records = make_records(2.0)
    laws = fit_matched(match_study(records, make_study(records)))
    assert laws.study is None
    assert set(laws.reasons) == {"dense", "moe"}
    assert "3 distinct sizes" in laws.reasons["moe"]
    assert "none" in matched_to_text(laws)


def test_losses_that_rise_with_size_give_unknown_numbers_and_never_nan():
    match = match_of(lambda n, d, arm: 1.0 + 0.05 * math.log(n) + 60 * d**-0.3)
    laws = fit_matched(match, 100)
    content = json.dumps(matched_to_json(laws), allow_nan=False)
    at_budget = [m for m in json.loads(content)["study"]["comparison"]["multipliers"] if m["budget"] is not None]
    assert [m["estimate"] for m in at_budget] == [None]
    assert at_budget[0]["reason"]
    assert "unknown" in matched_to_text(laws)
