"""What must hold for any law: order and units of the rows do not count, swapped arms give the inverse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.laws.fit import fit_law, fit_laws
from harness.analysis.laws.forms import LOSS_OF_SIZE_AND_TOKENS, find_compute, find_optimum
from harness.analysis.laws.multiplier import convert_losses_to_multiplier, estimate_law_multiplier
from harness.analysis.laws.points import LawPoints
from tests.unit.analysis.laws.synthetic import make_compute_points, make_points

FEW = settings(max_examples=15, deadline=None)
LAWS = st.tuples(st.floats(0.5, 3), st.floats(10, 5000), st.floats(0.1, 0.6), st.floats(10, 5000), st.floats(0.1, 0.6))


def rebuild(points, *, order=None, params=1.0, tokens=1.0):
    order = np.arange(len(points)) if order is None else order
    return LawPoints(
        family=None,
        form=points.form,
        loss=points.loss[order],
        params=params * points.params[order],
        tokens=tokens * points.tokens[order],
        seeds=tuple(points.seeds[i] for i in order),
    )


@FEW
@given(seed=st.integers(0, 10**6))
def test_the_order_of_rows_changes_nothing(seed):
    points = make_points(40, noise=0.004, seeds=2, seed=seed)
    order = np.random.default_rng(seed).permutation(len(points))
    one, other = fit_law(points, resamples=20), fit_law(rebuild(points, order=order), resamples=20)
    assert np.array_equal(one.vector, other.vector)
    assert np.array_equal(one.draws, other.draws)


@FEW
@given(seed=st.integers(0, 10**6), params=st.floats(1e-9, 1e3), tokens=st.floats(1e-12, 1e3))
def test_units_change_the_coefficients_alone(seed, params, tokens):
    points = make_points(60, noise=0.004, seed=seed)
    one, other = fit_law(points, resamples=5), fit_law(rebuild(points, params=params, tokens=tokens), resamples=5)
    alpha, beta = one.vector[2], one.vector[4]
    for i in (0, 2, 4):
        assert other.vector[i] == pytest.approx(one.vector[i], rel=1e-6)
    assert other.vector[1] == pytest.approx(one.vector[1] + alpha * math.log(params), rel=1e-6, abs=1e-5)
    assert other.vector[3] == pytest.approx(one.vector[3] + beta * math.log(tokens), rel=1e-6, abs=1e-5)


@settings(max_examples=100, deadline=None)
@given(
    floor=st.floats(0.1, 2),
    first=st.floats(0.01, 3),
    second=st.floats(0.01, 3),
    exponent=st.floats(0.05, 1),
)
def test_swapped_losses_give_the_inverse_and_a_wider_gap_a_larger_multiplier(floor, first, second, exponent):
    def convert(baseline, candidate):
        return convert_losses_to_multiplier(floor + baseline, floor + candidate, irreducible=floor, exponent=exponent)

    assert convert(first, second) * convert(second, first) == pytest.approx(1.0)
    assert convert(first, first) == pytest.approx(1.0)
    assert convert(first * 1.1, second) > convert(first, second)
    assert (convert(first, second) >= 1) == (first >= second)


@settings(max_examples=100, deadline=None)
@given(law=LAWS, log_budget=st.floats(17, 25), factor=st.floats(1.01, 100))
def test_more_compute_never_hurts_and_the_optimum_beats_its_neighbours(law, log_budget, factor):
    vector = np.array([[math.log(law[0]), math.log(law[1]), law[2], math.log(law[3]), law[4]]])
    budget = 10.0**log_budget
    best = find_optimum(LOSS_OF_SIZE_AND_TOKENS, vector, budget, 6.0)
    assert find_optimum(LOSS_OF_SIZE_AND_TOKENS, vector, budget * factor, 6.0).loss < best.loss
    for moved in (1 / factor, factor):
        params, tokens = best.params[0] * moved, best.tokens[0] / moved
        assert law[0] + law[1] * params ** -law[2] + law[3] * tokens ** -law[4] >= best.loss[0] * (1 - 1e-12)
    # Only where the loss still stands above E by more than rounding can it be inverted.
    if best.loss[0] > law[0] * 1.001:
        assert find_compute(LOSS_OF_SIZE_AND_TOKENS, vector, best.loss, 6.0) == pytest.approx([budget], rel=1e-6)


@FEW
@given(seed=st.integers(0, 10**6), multiplier=st.floats(0.3, 10))
def test_swapped_families_give_the_inverse_multiplier(seed, multiplier):
    families = [
        make_compute_points(family="dense", seed=seed),
        make_compute_points(family="moe", seed=seed + 1, multiplier=multiplier),
    ]
    dense, moe = fit_laws(families, resamples=100)
    loss = max(family.loss.min() for family in families) + 0.1
    one, other = estimate_law_multiplier(dense, moe, loss=loss), estimate_law_multiplier(moe, dense, loss=loss)
    assert one.estimate * other.estimate == pytest.approx(1.0)
    assert one.interval.low * other.interval.high == pytest.approx(1.0)
    lower = estimate_law_multiplier(dense, moe, loss=loss - 0.05)
    assert lower.baseline_flops > one.baseline_flops
