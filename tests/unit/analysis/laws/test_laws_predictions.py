"""Optima, held-out budgets and multipliers follow from the law, and say when they go beyond the data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from harness.analysis.laws.fit import fit_law, fit_laws
from harness.analysis.laws.forms import LOSS_OF_COMPUTE, LOSS_OF_SIZE_AND_TOKENS, find_compute, find_optimum
from harness.analysis.laws.heldout import predict_held_out
from harness.analysis.laws.multiplier import convert_losses_to_multiplier, estimate_law_multiplier
from harness.analysis.laws.optimum import predict_at_budget
from harness.core.errors import ConfigError
from tests.unit.analysis.laws.synthetic import law_loss, make_compute_points, make_points

TRUTH = np.array([[math.log(1.8172), math.log(482.01), 0.3478, math.log(2085.43), 0.3658]])


@pytest.mark.parametrize("per_token", [6.0, 8.5])
def test_the_optimum_is_where_a_search_finds_the_lowest_loss(per_token):
    budget = 1e22
    found = minimize_scalar(
        lambda log_n: law_loss(math.exp(log_n), budget / per_token / math.exp(log_n)), bounds=(15, 28), method="bounded"
    )
    best = find_optimum(LOSS_OF_SIZE_AND_TOKENS, TRUTH, budget, per_token)
    assert best.loss[0] == pytest.approx(found.fun, rel=1e-9)
    assert best.params[0] == pytest.approx(math.exp(found.x), rel=1e-3)
    assert per_token * best.params[0] * best.tokens[0] == pytest.approx(budget)


def test_the_published_law_makes_chinchilla_about_its_own_optimum():
    best = find_optimum(LOSS_OF_SIZE_AND_TOKENS, TRUTH, 5.76e23, 6.0)
    assert best.params[0] == pytest.approx(70e9, rel=0.1)
    assert best.tokens[0] == pytest.approx(1.4e12, rel=0.1)


@pytest.mark.parametrize(
    ("form", "vector"),
    [(LOSS_OF_SIZE_AND_TOKENS, TRUTH), (LOSS_OF_COMPUTE, np.array([[math.log(1.7), math.log(200), 0.15]]))],
)
def test_the_compute_for_the_optimum_s_loss_is_the_budget(form, vector):
    loss = find_optimum(form, vector, 3e20, 6.0).loss
    assert find_compute(form, vector, loss, 6.0) == pytest.approx([3e20])
    assert find_compute(form, vector, np.array([1.6]), 6.0) == [math.inf]


def test_a_budget_beyond_the_data_is_flagged_and_one_within_is_not():
    fit = fit_law(make_points(80, noise=0.002), resamples=200)
    beyond, within = predict_at_budget(fit, 1e24), predict_at_budget(fit, 1e20)
    assert beyond.extrapolated
    assert not within.extrapolated
    assert beyond.loss.interval.low < find_optimum(fit.form, TRUTH, 1e24, 6.0).loss[0] < beyond.loss.interval.high
    assert within.loss.stderr < beyond.loss.stderr
    assert beyond.params.interval.low < beyond.params.estimate < beyond.params.interval.high
    assert predict_at_budget(fit, 1e10).extrapolated
    assert beyond.outside == ("params", "tokens")
    assert within.outside == ()
    assert beyond.convention == "C = 6 N D"


def test_counted_flops_set_the_convention():
    points = make_points(30, flops=True)
    object.__setattr__(points, "flops", points.flops * 1.2)
    best = predict_at_budget(fit_law(points, resamples=5), 1e20)
    assert "k = 7.2" in best.convention
    assert 7.2 * best.params.estimate * best.tokens.estimate == pytest.approx(1e20)


def test_a_held_out_budget_is_predicted_without_having_been_seen():
    found = predict_held_out(make_compute_points(10, noise=0.002), resamples=300)
    (point,) = found.points
    assert found.largest_fitted_flops < found.held_out_flops == pytest.approx(1e21)
    assert (point.num_seeds, point.inside) == (3, True)
    points = make_compute_points(10, noise=0.002)
    points.loss[points.flops == points.flops.max()] *= 1.1
    (point,) = predict_held_out(points, resamples=300).points
    assert point.inside is False
    assert point.predicted.estimate == pytest.approx(found.points[0].predicted.estimate)


def test_what_cannot_be_held_out_says_why():
    found = predict_held_out(make_compute_points(4), resamples=20)
    assert found.points == ()
    assert "at least 4 distinct budgets" in found.reason


def test_losses_at_one_budget_give_the_multiplier_of_the_identity():
    better, worse = 1.7 + 200 * (3e20) ** -0.15, 1.7 + 200 * (1e20) ** -0.15
    assert convert_losses_to_multiplier(worse, better, irreducible=1.7, exponent=0.15) == pytest.approx(3.0)
    with pytest.raises(ValueError, match="above E"):
        convert_losses_to_multiplier(1.6, 1.8, irreducible=1.7, exponent=0.15)


@pytest.mark.parametrize("shared", [(), ("E",), ("E", "alpha")])
def test_a_known_multiplier_is_found_and_swapped_arms_give_the_inverse(shared):
    families = [make_compute_points(family="dense"), make_compute_points(family="moe", multiplier=3.0, seed=1)]
    dense, moe = fit_laws(families, shared=shared, resamples=300)
    one = estimate_law_multiplier(dense, moe, loss=2.1)
    assert one.interval.low < 3.0 < one.interval.high
    assert one.estimate == pytest.approx(3.0, rel=0.2)
    other = estimate_law_multiplier(moe, dense, loss=2.1)
    assert other.estimate == pytest.approx(1 / one.estimate)
    assert (other.interval.low, other.interval.high) == pytest.approx((1 / one.interval.high, 1 / one.interval.low))


def test_with_shared_floor_and_exponent_the_multiplier_is_that_of_the_identity():
    families = [make_compute_points(family="dense"), make_compute_points(family="moe", multiplier=3.0, seed=1)]
    dense, moe = fit_laws(families, shared=("E", "alpha"), resamples=5)
    losses = [find_optimum(fit.form, fit.vector[None], 1e20, 6.0).loss[0] for fit in (dense, moe)]
    identity = convert_losses_to_multiplier(*losses, irreducible=math.exp(dense.vector[0]), exponent=dense.vector[2])
    assert estimate_law_multiplier(dense, moe, budget=1e20).estimate == pytest.approx(identity)


def test_a_loss_that_a_law_never_reaches_has_no_multiplier_and_says_who():
    dense = fit_law(make_compute_points(family="dense", irreducible=1.9), resamples=100)
    moe = fit_law(make_compute_points(family="moe", irreducible=1.5), resamples=100)
    found = estimate_law_multiplier(dense, moe, loss=1.8)
    assert found.estimate is None
    assert found.interval is None
    assert "dense never reaches" in found.reason
    assert found.extrapolated == ("dense",)


def test_a_floor_that_may_be_too_high_leaves_a_lower_bound():
    dense = fit_law(make_compute_points(5, noise=0.01, family="dense", seed=3), resamples=200)
    moe = fit_law(make_compute_points(5, noise=0.01, family="moe", multiplier=3, seed=4), resamples=200)
    loss = math.exp(dense.vector[0]) + 0.02
    found = estimate_law_multiplier(dense, moe, loss=loss)
    assert found.interval is None
    assert found.reason


@pytest.mark.parametrize("given", [{}, {"loss": 2.0, "budget": 1e20}, {"loss": -1.0}, {"budget": math.inf}])
def test_a_multiplier_needs_one_loss_or_one_budget(given):
    fit = fit_law(make_compute_points(), resamples=5)
    with pytest.raises(ConfigError, match="either a loss or a budget"):
        estimate_law_multiplier(fit, fit, **given)
