"""The objective is the sum of Huber terms of log residuals, and its derivatives are exact."""

from __future__ import annotations

import numpy as np
import pytest

from harness.analysis.laws.objective import HUBER_DELTA, Block, Problem, evaluate, predict_log

RNG = np.random.default_rng(3)
# Residuals on both sides of delta, so that both parts of Huber's loss count.
TWO_TERMS = Block(x=RNG.normal(size=(40, 2)), y=RNG.normal(0.5, 0.01, 40), index=(0, 1, 2, 3, 4))
ONE_TERM = Block(x=RNG.normal(size=(30, 1)), y=RNG.normal(0.5, 0.01, 30), index=(0, 5, 6))
SHARED = Problem((TWO_TERMS, ONE_TERM), 7)
THETA = np.array([[0.3, -1.5, 0.3, -1.4, 0.2, -1.2, 0.3], [0.35, -1.7, 0.2, -1.3, 0.5, -1.0, 0.1]])
WEIGHTS = [RNG.uniform(0.5, 2, (2, 40)), RNG.uniform(0.5, 2, (2, 30))]


def test_the_value_is_the_weighted_sum_of_huber_terms():
    value = evaluate(SHARED, THETA, WEIGHTS).value
    expected = np.zeros(2)
    for block, weights in zip(SHARED.blocks, WEIGHTS, strict=True):
        miss = np.abs(predict_log(THETA[:, list(block.index)], block.x) - block.y)
        huber = np.where(miss <= HUBER_DELTA, miss**2 / 2, HUBER_DELTA * (miss - HUBER_DELTA / 2))
        expected += (weights * huber).sum(axis=1)
    assert value == pytest.approx(expected, rel=1e-12)


def test_gradient_and_hessian_agree_with_differences():
    found = evaluate(SHARED, THETA, WEIGHTS)
    step = 1e-6
    for i in range(7):
        ends = []
        for sign in (1, -1):
            moved = THETA.copy()
            moved[:, i] += sign * step
            ends.append(evaluate(SHARED, moved, WEIGHTS))
        assert found.gradient[:, i] == pytest.approx((ends[0].value - ends[1].value) / (2 * step), abs=1e-9)
        slope = (ends[0].gradient - ends[1].gradient) / (2 * step)
        assert found.hessian[:, i] == pytest.approx(slope, abs=1e-6)


def test_the_bound_is_a_quadratic_that_lies_above_in_the_residuals():
    found = evaluate(SHARED, THETA, WEIGHTS)
    assert np.linalg.eigvalsh(found.bound).min() > -1e-12


def test_far_off_parameters_give_no_finite_value_instead_of_an_error():
    with np.errstate(all="ignore"):
        value = evaluate(SHARED, np.full((1, 7), 1e4), [w[:1] for w in WEIGHTS]).value
    assert not np.isfinite(value).any()
