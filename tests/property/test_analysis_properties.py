"""What must hold for any study: swapped arms give the inverse, and a weaker claim never fares worse."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.claims import judge
from harness.analysis.match import match_study
from harness.analysis.stats import estimate_ratio, invert_interval
from harness.analysis.verdicts import ClaimSpec
from tests.unit.analysis.factory import make_records, make_study

RANK = {"not supported at the tested scale": 0, "inconclusive": 1, "supported": 2}


def noisy_records(multiplier: float, seed: int, spread: float = 0.01):
    rng = np.random.default_rng(seed)
    return make_records(multiplier, noise=lambda *_: rng.normal(0.0, spread))


@settings(max_examples=25, deadline=None)
@given(multiplier=st.floats(0.5, 8.0), seed=st.integers(0, 10**6))
def test_swapped_arms_give_the_inverse(multiplier, seed):
    records = noisy_records(multiplier, seed)
    one = match_study(records, make_study(records))
    other = match_study(records, make_study(records, baseline_arm="moe", candidate_arm="dense"))
    assert one.matched_loss == other.matched_loss
    assert one.common_losses == other.common_losses
    for ours, theirs in zip(one.headline, other.headline, strict=True):
        assert ours.estimate == pytest.approx(1 / theirs.estimate)
        inverse = invert_interval(theirs.interval)
        assert (ours.interval.low, ours.interval.high) == pytest.approx((inverse.low, inverse.high))
    for ours, theirs in zip(one.task_ratios, other.task_ratios, strict=True):
        assert ours.estimate == pytest.approx(1 / theirs.estimate)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(seed, order):
    records = noisy_records(2.0, seed)
    shuffled = list(records)
    order.shuffle(shuffled)
    study = make_study(records)
    assert match_study(records, study).headline == match_study(shuffled, study).headline


MATCHES = [
    match_study(records, make_study(records))
    for records in (noisy_records(multiplier, seed) for seed, multiplier in enumerate((0.7, 1.5, 4.0)))
]


@settings(max_examples=100, deadline=None)
@given(
    factors=st.tuples(st.floats(0.01, 3.0), st.floats(0.01, 3.0)).map(sorted),
    match=st.sampled_from(MATCHES),
    metric=st.sampled_from([("training_flops", "counted"), ("training_energy", "energy")]),
)
def test_a_claim_of_a_larger_factor_never_fares_worse(factors, match, metric):
    claim = ClaimSpec(id="c", statement="s", source="s", metric=metric[0], factor=factors[0], kind=metric[1])
    strict, loose = (judge(dataclasses.replace(claim, factor=factor), match).verdict for factor in factors)
    assert RANK[strict] <= RANK[loose]


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=8), st.floats(1e-3, 1e3))
def test_a_ratio_scales_with_its_values_and_lies_inside_its_interval(ratios, scale):
    plain, scaled = estimate_ratio(ratios), estimate_ratio([scale * ratio for ratio in ratios])
    assert scaled.value == pytest.approx(scale * plain.value, rel=1e-9)
    if plain.interval is not None:
        assert plain.interval.low <= plain.value * (1 + 1e-9)
        assert plain.interval.high >= plain.value * (1 - 1e-9)
