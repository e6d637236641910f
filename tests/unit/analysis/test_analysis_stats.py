"""Intervals of a few seeds: right values, honest gaps, and the coverage that they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.analysis.stats import (
    estimate_difference,
    estimate_mean,
    estimate_ratio,
    estimate_ratio_of,
    invert_interval,
)


def test_the_t_interval_of_a_mean_is_that_of_the_textbook():
    values = [1.0, 2.0, 4.0]
    expected = scipy_stats.t.interval(0.95, 2, loc=np.mean(values), scale=scipy_stats.sem(values))
    interval = estimate_mean(values).interval
    assert (interval.low, interval.high) == pytest.approx(expected)


def test_a_ratio_is_the_geometric_mean_and_its_interval_lies_around_it():
    estimate = estimate_ratio([0.5, 1.0, 2.0])
    assert estimate.value == pytest.approx(1.0)
    assert estimate.interval.low * estimate.interval.high == pytest.approx(1.0)
    assert estimate.n == 3


def test_one_value_gives_no_estimate_and_says_why():
    estimate = estimate_ratio([2.0])
    assert (estimate.value, estimate.interval, estimate.n) == (None, None, 1)
    assert estimate.reason


def test_no_value_gives_nothing_and_says_why():
    estimate = estimate_ratio([])
    assert (estimate.value, estimate.interval, estimate.n) == (None, None, 0)
    assert estimate.reason


def test_equal_values_give_an_interval_of_no_width_that_says_so():
    interval = estimate_ratio([3.0, 3.0, 3.0]).interval
    assert interval.low == pytest.approx(3.0) == interval.high
    assert "no variation" in interval.method


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_ratio_without_a_logarithm_is_refused(bad):
    with pytest.raises(ValueError, match="above zero"):
        estimate_ratio([1.0, bad])


def test_the_inverse_of_an_interval_swaps_its_ends():
    interval = estimate_ratio([1.5, 2.0, 2.5]).interval
    inverse = invert_interval(interval)
    assert (inverse.low, inverse.high) == pytest.approx((1 / interval.high, 1 / interval.low))
    assert invert_interval(None) is None


def test_the_interval_of_three_seeds_covers_the_truth_in_95_of_100_studies():
    ratios = np.exp(math.log(2.0) + 0.1 * np.random.default_rng(7).standard_normal((2000, 3)))
    hits = [e.interval.low <= 2.0 <= e.interval.high for e in map(estimate_ratio, ratios.tolist())]
    # Three binomial standard errors of 2,000 studies at 95% are 1.5 points.
    assert np.mean(hits) == pytest.approx(0.95, abs=0.015)


FIRST, SECOND = [2.0, 2.4, 2.1], [1.0, 1.3, 0.9]


@pytest.mark.parametrize(
    ("pairing", "test"), [("paired", scipy_stats.ttest_rel), ("two_sample", scipy_stats.ttest_ind)]
)
def test_a_difference_over_seeds_has_the_interval_of_the_textbook(pairing, test):
    estimate = estimate_difference(FIRST, SECOND, pairing)
    expected = test(FIRST, SECOND).confidence_interval()
    assert estimate.value == pytest.approx(np.mean(FIRST) - np.mean(SECOND))
    assert (estimate.interval.low, estimate.interval.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("pairing", ["paired", "two_sample"])
def test_a_ratio_of_two_sides_is_made_on_logarithms_and_widened_there(pairing):
    plain, wide = (estimate_ratio_of(FIRST, SECOND, pairing, widening=widening) for widening in (1.0, 1.5))
    assert plain.value == pytest.approx(math.exp(np.mean(np.log(FIRST)) - np.mean(np.log(SECOND))))
    assert wide.value == plain.value
    reach = [math.log(estimate.interval.high / estimate.value) for estimate in (plain, wide)]
    assert reach[1] == pytest.approx(1.5 * reach[0])
    assert "widened 1.5 times" in wide.interval.method
    swapped = estimate_ratio_of(SECOND, FIRST, pairing)
    assert swapped.interval.high == pytest.approx(1 / plain.interval.low)


def test_sides_that_repeat_exactly_have_an_interval_of_no_width_and_one_seed_has_none():
    exact = estimate_ratio_of([2.0, 2.0], [1.0, 1.0], "two_sample").interval
    assert (exact.low, exact.high) == (pytest.approx(2.0), pytest.approx(2.0))
    assert "no variation" in exact.method
    assert estimate_difference([2.0], [1.0], "two_sample").interval is None
    with pytest.raises(ValueError, match="each seed"):
        estimate_difference([1.0, 2.0], [1.0], "paired")
