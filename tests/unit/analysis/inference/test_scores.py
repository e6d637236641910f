"""Accuracy by kind: plain means over runs, or read off at the matched loss as the costs of tasks are."""

from __future__ import annotations

import dataclasses

import pytest

from harness.analysis.inference.detail import describe_matched
from harness.analysis.inference.scores import summarise_scores
from harness.analysis.match import match_study
from harness.core.study import MatchRule
from tests.unit.analysis.factory import make_records, make_study
from tests.unit.analysis.inference.factory import accuracy, make_model_record, with_suite


def test_runs_of_a_seed_weigh_the_same_unless_weights_say_otherwise():
    runs = [make_model_record("dense", accuracies={"sorting": value}, run_id=f"run-{value}") for value in (0.4, 0.8)]
    weights = {runs[0].run_id: 0.25, runs[1].run_id: 0.75}
    (plain,), (weighed,) = summarise_scores(runs), summarise_scores(runs, weights)
    assert (plain.accuracy, weighed.accuracy) == (pytest.approx(0.6), pytest.approx(0.7))
    assert (plain.num_runs, plain.num_asked) == (2, accuracy("sorting", 0.4).num_samples)


def test_an_unknown_accuracy_makes_the_mean_unknown():
    runs = [make_model_record("dense", seed, accuracies={"sorting": 0.5}) for seed in (0, 1)]
    blind = tuple(dataclasses.replace(q, value=None, stderr=None, reason="not judged") for q in runs[0].quality)
    (score,) = summarise_scores([dataclasses.replace(runs[0], quality=blind), runs[1]])
    assert (score.accuracy, score.reason) == (None, "not judged")


def test_in_a_matched_study_accuracies_are_those_of_the_compared_pair():
    records = [
        with_suite(r, {"sorting": 1.0}, {"sorting": min(0.9, r.path.flops / 1e13 + 0.1 * (r.arm == "moe"))})
        for r in make_records(2.0)
    ]
    study = make_study(records, match=MatchRule(rule="fixed", loss=2.1))
    match = match_study(records, study)
    detail = describe_matched(records, match, study)
    assert detail.matched_loss == match.matched_loss
    (kind,) = match.kinds
    assert {score.num_runs for score in detail.scores} == {6}, "two budgets around the loss in each of three seeds"
    assert {score.arm: score.accuracy for score in detail.scores} == {
        task.arm: pytest.approx(task.accuracy) for task in kind.arm_tasks
    }
