"""Verdicts on models that were not trained here: the interval's side, and answers that are as good."""

from __future__ import annotations

import dataclasses

import pytest

from harness.analysis.claims.inference import judge_inference
from harness.analysis.claims.spec import load_claims
from harness.analysis.inference.compare import compare_inference
from harness.analysis.verdicts import ClaimSpec, ClaimVerdict, Selectors
from harness.core.study import MatchRule
from tests.unit.analysis.inference.factory import make_inference_study, make_pair

CLAIM = ClaimSpec(
    id="half",
    statement="Half.",
    source="toy",
    metric="energy_per_task",
    factor=0.5,
    kind="energy",
    selectors=Selectors(),
)


def judge(
    ratio: float,
    *,
    correct: tuple[int, int] = (48, 48),
    claim: ClaimSpec = CLAIM,
    margin: float | None = 0.1,
    **options: object,
) -> ClaimVerdict:
    records, answers = make_pair(ratio, correct=correct, **options)  # type: ignore[arg-type]
    study = make_inference_study(records, match=MatchRule(margin_accuracy=margin))
    return judge_inference([claim], compare_inference(records, answers, study))[0]


def test_a_ratio_on_the_claims_side_is_supported_with_answers_as_good() -> None:
    verdict = judge(0.4)
    assert verdict.verdict == "supported"
    assert "At accuracies of 75.0% and 75.0%" in verdict.text
    assert "n = 3 repeats" in verdict.text


def test_a_worse_candidate_supports_nothing() -> None:
    verdict = judge(0.4, correct=(48, 36))
    assert verdict.verdict == "inconclusive"
    assert verdict.blocking == ("equally_accurate",)
    assert "not shown to be as accurate" in verdict.text


def test_a_worse_candidate_that_needs_more_is_not_supported_all_the_same() -> None:
    assert judge(0.9, correct=(48, 36)).verdict == "not supported at the tested scale"


def test_a_better_candidate_may_need_more_energy_for_it() -> None:
    verdict = judge(0.9, correct=(36, 48))
    assert verdict.verdict == "inconclusive"
    assert "may be more accurate" in verdict.text
    assert judge(0.4, correct=(36, 48)).verdict == "supported"


def test_a_claim_of_more_asks_for_the_other_side() -> None:
    more = dataclasses.replace(CLAIM, comparator=">=", factor=1.5)
    assert judge(2.0, claim=more).verdict == "supported"
    assert judge(2.0, claim=more, correct=(36, 48)).verdict == "inconclusive"
    assert judge(1.2, claim=more, correct=(48, 36)).verdict == "inconclusive"


def test_without_a_margin_no_direction_is_given() -> None:
    verdict = judge(0.4, margin=None)
    assert verdict.verdict == "inconclusive"
    assert "declared no margin" in verdict.text


def test_modelled_energy_is_not_measured_and_stands_beside() -> None:
    verdict = judge(0.4, grade="C")
    assert verdict.verdict == "not measured"
    assert verdict.estimate is None
    assert verdict.modelled_estimate == pytest.approx(0.4, rel=0.05)
    counted = dataclasses.replace(CLAIM, metric="flops_per_task", kind="counted")
    assert judge(0.4, grade="C", claim=counted).verdict == "not supported at the tested scale"


def test_two_models_that_know_nothing_are_not_equally_good() -> None:
    verdict = judge(0.4, correct=(8, 8))
    assert verdict.verdict == "inconclusive"
    assert verdict.blocking == ("above_chance",)
    assert "dense 12.5% (chance 10.0%)" in verdict.text


def test_two_repeats_are_too_few_and_a_failing_check_blocks() -> None:
    verdict = judge(0.4, seeds=(0, 1))
    assert verdict.verdict == "inconclusive"
    assert verdict.blocking == ("repeats",)


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ("training_compute_tenth", "nothing was trained"),
        ("energy_per_task_90", "compares at equal loss"),
        ("peak_memory_more", "nothing was trained"),
    ],
)
def test_claims_on_training_or_equal_loss_are_not_measured(claim: str, words: str) -> None:
    verdict = judge(0.4, claim=load_claims([claim])[0])
    assert verdict.verdict == "not measured"
    assert words in verdict.text


def test_families_are_told_from_parameters() -> None:
    turned = dataclasses.replace(CLAIM, selectors=Selectors(baseline="sparse"))
    assert "baseline is sparse" in judge(0.4, claim=turned).text
    right = dataclasses.replace(CLAIM, selectors=Selectors(baseline="dense", candidate="sparse"))
    assert judge(0.4, claim=right).verdict == "supported"
