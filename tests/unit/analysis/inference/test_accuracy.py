"""Accuracy paired by example: repeats are no new evidence, agreement is no proof, failures are wrong answers."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.inference.accuracy import (
    UNPAIRED_METHOD,
    compare_by_example,
    compare_shares,
    require_same_prompts,
    score_examples,
)
from harness.core.errors import RecordError
from tests.unit.analysis.inference.factory import make_model_record, make_rows


def scores(kind: str, values: list[int]) -> dict[tuple[str, int], float]:
    return {(kind, index): float(value) for index, value in enumerate(values)}


def test_the_difference_is_candidate_less_baseline_over_common_examples() -> None:
    baseline = scores("a", [1, 1, 0, 0])
    candidate = scores("a", [1, 1, 1, 0, 1])
    found = compare_by_example(baseline, candidate, 0.5, what="x")
    assert found.difference == pytest.approx(0.25)
    assert found.num_examples == 4


def test_kinds_weigh_the_same_however_many_examples_they_have() -> None:
    baseline = {**scores("a", [0] * 10), **scores("b", [0] * 100)}
    candidate = {**scores("a", [1] * 10), **scores("b", [0] * 100)}
    found = compare_by_example(baseline, candidate, None, what="x")
    assert found.difference == pytest.approx(0.5)
    assert found.outcome == "unknown"
    assert found.non_inferior is None


def test_agreement_on_a_few_questions_is_no_equivalence() -> None:
    few, many = scores("a", [1, 0] * 5), scores("a", [1, 0] * 200)
    found = compare_by_example(few, few, 0.05, what="x")
    assert found.interval is not None
    assert found.interval.low < 0 < found.interval.high
    assert found.outcome == "inconclusive"
    assert found.non_inferior is False
    assert found.num_examples_needed is not None
    assert found.num_examples_needed > 10
    assert compare_by_example(many, many, 0.05, what="x").outcome == "equivalent"


def test_repeats_of_an_answer_are_one_example_and_failures_are_wrong() -> None:
    record = make_model_record("dense")
    rows = make_rows(record, {"a": 8}, num_examples=10, failed=1)
    again = [dataclasses.replace(row, repetition=1) for row in rows]
    told, _, failed = score_examples([*rows, *again])
    assert len(told) == 10
    assert told["a", 0] == 1.0
    assert told["a", 9] == 0.0
    assert failed == 2


def test_different_prompts_under_one_number_are_refused_by_name() -> None:
    prompts = [{("sorting", 3): "x"}, {("sorting", 3): "y"}]
    with pytest.raises(RecordError, match="example 3 of 'sorting' is another text for dense than for moe"):
        require_same_prompts(("dense", "moe"), prompts)


def test_a_clear_loss_is_inferior_and_a_clear_gain_superior() -> None:
    worse, better = scores("a", [0] * 60 + [1] * 40), scores("a", [1] * 100)
    found = compare_by_example(better, worse, 0.05, what="x")
    assert (found.outcome, found.non_inferior, found.not_superior) == ("different", False, True)
    found = compare_by_example(worse, better, 0.05, what="x")
    assert (found.outcome, found.non_inferior, found.not_superior) == ("different", True, False)


def test_without_answers_two_independent_shares_are_wider_than_pairs() -> None:
    baseline, candidate = scores("a", [1, 0] * 50), scores("a", [1, 0] * 49 + [1, 1])
    paired = compare_by_example(baseline, candidate, 0.1, what="x")
    alone = compare_shares([(0.5, 100)], [(0.51, 100)], 0.1, what="x")
    assert alone.difference == pytest.approx(paired.difference)
    assert paired.interval is not None
    assert alone.interval is not None
    assert alone.interval.high - alone.interval.low > 2 * (paired.interval.high - paired.interval.low)
    assert alone.interval.method == UNPAIRED_METHOD


def test_no_common_example_says_so() -> None:
    found = compare_by_example(scores("a", [1]), scores("b", [1]), 0.1, what="x")
    assert (found.outcome, found.difference, found.reason) == ("unknown", None, "no example was asked of both arms")


def test_an_inferior_arm_on_the_margin_passes_in_one_case_of_twenty() -> None:
    rng, margin, passed = random.Random(5), 0.1, 0
    for _ in range(600):
        baseline, candidate = [], []
        for _ in range(150):
            draw = rng.random()  # 15% lost, 5% won: a true difference of -0.1
            baseline.append(int(draw < 0.15 or draw > 0.5))
            candidate.append(int(0.15 <= draw < 0.2 or draw > 0.5))
        found = compare_by_example(scores("a", baseline), scores("a", candidate), margin, what="x")
        passed += bool(found.non_inferior)
    assert passed / 600 < 0.08


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_swapping_the_arms_turns_the_sign_and_nothing_else(pairs: list[tuple[bool, bool]]) -> None:
    baseline, candidate = ([int(pair[side]) for pair in pairs] for side in (0, 1))
    one = compare_by_example(scores("a", baseline), scores("a", candidate), 0.1, what="x")
    other = compare_by_example(scores("a", candidate), scores("a", baseline), 0.1, what="x")
    assert one.difference == pytest.approx(-(other.difference or 0.0))
    assert one.interval is not None
    assert other.interval is not None
    assert one.interval.low == pytest.approx(-other.interval.high)
    assert one.outcome == other.outcome
    assert one.interval.low <= (one.difference or 0.0) <= one.interval.high


def test_one_kind_gives_the_published_interval() -> None:
    # Agresti and Min 2005: (c - b) / (n + 2), with variance ((b + c + 1) - (c - b)^2 / (n + 2)) / (n + 2)^2
    won, lost, n = 7, 3, 50
    baseline = scores("a", [0] * won + [1] * lost + [1] * (n - won - lost))
    candidate = scores("a", [1] * won + [0] * lost + [1] * (n - won - lost))
    found = compare_by_example(baseline, candidate, 0.1, what="x").interval
    assert found is not None
    centre = (won - lost) / (n + 2)
    stderr = ((won + lost + 1) - (won - lost) ** 2 / (n + 2)) ** 0.5 / (n + 2)
    assert (found.low + found.high) / 2 == pytest.approx(centre)
    assert (found.high - found.low) / 2 == pytest.approx(1.677 * stderr, rel=1e-3)  # t(49) at 95%
