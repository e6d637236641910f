"""TOST: equal within a margin declared beforehand, and never for want of evidence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.analysis.equivalence import check_equivalence, estimate_power
from harness.analysis.match import match_study
from harness.core.study import MatchRule
from tests.unit.analysis.factory import BUDGETS, make_records, make_study


def check(first, second, margin, pairing="paired"):
    return check_equivalence(first, second, margin, pairing, what="w", unit="u")


def test_the_p_value_is_the_larger_of_both_one_sided_t_tests():
    first, second = [1.00, 1.02, 1.01, 0.99], [1.01, 1.01, 1.03, 1.00]
    d = np.subtract(first, second)
    expected = max(
        scipy_stats.ttest_1samp(d, -0.05, alternative="greater").pvalue,
        scipy_stats.ttest_1samp(d, 0.05, alternative="less").pvalue,
    )
    found = check(first, second, 0.05)
    assert found.p_value == pytest.approx(expected)
    assert (found.outcome == "equivalent") == (expected < 0.05)


def test_the_two_sample_test_agrees_with_the_textbook_as_well():
    first, second = [1.00, 1.02, 1.01], [1.01, 1.01, 1.03]
    expected = scipy_stats.ttest_ind(np.add(first, 0.05), second, alternative="greater").pvalue
    assert check(first, second, 0.05, "two_sample").p_value == pytest.approx(expected)


def test_near_values_are_equivalent_far_ones_different_and_noisy_ones_neither():
    assert check([1.0, 1.001, 0.999], [1.0, 1.0, 1.0], 0.01).outcome == "equivalent"
    assert check([1.1, 1.101, 1.099], [1.0, 1.0, 1.0], 0.01).outcome == "different"
    noisy = check([1.0, 1.2, 0.8], [1.1, 0.9, 1.0], 0.01)
    assert noisy.outcome == "inconclusive"
    assert noisy.power < 0.05


def test_without_a_margin_or_with_one_seed_nothing_is_called_equivalent():
    undeclared = check([1.0, 1.0, 1.0], [1.0, 1.0, 1.001], None)
    assert undeclared.outcome == "unknown"
    assert undeclared.interval is not None
    assert "declared" in undeclared.reason
    assert check([1.0], [1.0], 0.1).outcome == "unknown"
    with pytest.raises(ValueError, match="margin"):
        check([1.0, 1.0], [1.0, 1.0], 0.0)


@pytest.mark.parametrize("pairing", ["paired", "two_sample"])
def test_false_equivalence_at_the_margin_is_as_rare_as_alpha_says_and_the_power_is_what_simulation_finds(pairing):
    rng = np.random.default_rng(2)
    at_margin, equal = 0, 0
    for _ in range(2000):
        first, second = rng.normal(0, 0.004, 3), rng.normal(0, 0.004, 3)
        at_margin += check(list(first + 0.01), list(second), 0.01, pairing).outcome == "equivalent"
        equal += check(list(first), list(second), 0.01, pairing).outcome == "equivalent"
    assert at_margin / 2000 <= 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5
    power = estimate_power(0.004 * (2 / 3) ** 0.5, {"paired": 2, "two_sample": 4}[pairing], 0.01)
    assert power == pytest.approx(equal / 2000, abs=3 * (0.25 / 2000) ** 0.5)


def test_a_study_is_tested_in_loss_and_accuracy_with_the_margins_that_it_declared():
    records = make_records(1.001, budgets={"dense": BUDGETS, "moe": BUDGETS}, noise=lambda a, s, f: 0.001 * s)
    rule = MatchRule(margin_bits_per_byte=0.02, margin_accuracy=0.05)
    accuracy, loss = match_study(records, make_study(records, match=rule)).equivalence
    assert (accuracy.outcome, loss.outcome) == ("equivalent", "equivalent")
    assert loss.margin == 0.02
    undeclared, _ = match_study(records, make_study(records)).equivalence
    assert undeclared.outcome == "unknown"


@pytest.mark.parametrize(("degrees", "reach"), [(2, 1.74), (2, 5.0), (4, 2.0), (4, 3.33)])
def test_the_power_at_no_difference_is_that_of_a_simulation_also_where_it_is_low(degrees, reach):
    rng = np.random.default_rng(7)
    spread = np.sqrt(rng.chisquare(degrees, 100_000) / degrees)
    room = reach - scipy_stats.t.ppf(0.95, degrees) * spread
    found = np.mean(np.abs(rng.standard_normal(100_000)) < room)
    assert estimate_power(1.0, degrees, reach) == pytest.approx(found, abs=0.01)
