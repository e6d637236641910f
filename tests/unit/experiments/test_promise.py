"""What a study promises is checked before its first run, in one line that says what to type."""

from __future__ import annotations

import dataclasses

import pytest
from harness.experiments.promise import build_rule, check_promise
from harness.experiments.schema import MatchConfig, SweepConfig

from harness.core.errors import ConfigError
from harness.core.study import MatchRule


def test_the_default_rule_of_a_new_study_takes_seeds_as_independent_and_an_old_promise_pairs_them():
    assert build_rule(MatchConfig()).interval == "two_sample"
    assert MatchRule().interval == "paired"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rule": "cheapest"}, "sweep.match.rule is 'cheapest'"),
        ({"interval": "welch"}, "sweep.match.interval is 'welch'"),
        ({"rule": "fixed"}, "add sweep.match.loss="),
        ({"num_losses": 0}, "num_losses is 0"),
        ({"margin_accuracy": 0.0}, "margin_accuracy is 0"),
        ({"margin_accuracy": 2.0}, "margin_accuracy is 2"),
        ({"rule": "fixed", "loss": -1.0}, "sweep.match.loss is -1"),
        ({"margin_bits_per_byte": -0.1}, "margin_bits_per_byte is -0.1"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        build_rule(dataclasses.replace(MatchConfig(), **changes))


def test_a_claim_that_is_not_known_is_refused_before_the_first_run():
    with pytest.raises(ConfigError, match="training_compute_tenth"):
        check_promise(SweepConfig(claims=["training_compute_tent"]))
    check_promise(SweepConfig())
