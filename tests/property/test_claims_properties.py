"""What must hold for any claim: it is monotone in its factor, mirrors itself, and arithmetic is that of Python."""

from __future__ import annotations

import contextlib
import dataclasses
import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.analysis.claims.arithmetic import evaluate_formula, fill_formula
from harness.analysis.claims.judge import judge, place_interval
from harness.analysis.match import match_study
from harness.analysis.results import Interval
from harness.analysis.verdicts import ClaimSpec
from harness.core.errors import ConfigError
from tests.unit.analysis.factory import make_records, make_study

RANK = {"not supported at the tested scale": 0, "inconclusive": 1, "supported": 2}
MIRROR = {"<=": ">=", "<": ">", ">=": "<=", ">": "<"}
CLAIM = ClaimSpec(id="c", statement="s", source="s", metric="training_flops", factor=1.0, kind="counted")
RECORDS = make_records(2.0)
MATCH = match_study(RECORDS, make_study(RECORDS))
FAILING = dataclasses.replace(
    MATCH, checks=tuple(dataclasses.replace(check, outcome="fail") for check in MATCH.checks[:1])
)

ratios = st.floats(0.01, 100.0)
intervals = st.tuples(ratios, ratios).map(lambda ends: Interval(low=min(ends), high=max(ends), level=0.95, method="t"))
comparators = st.sampled_from(sorted(MIRROR))


def with_interval(match, interval):
    """Return `match` with this interval of candidate over baseline for the training FLOPs."""
    flipped = Interval(low=1 / interval.high, high=1 / interval.low, level=0.95, method="t")
    headline = tuple(
        dataclasses.replace(m, estimate=(flipped.low * flipped.high) ** 0.5, interval=flipped)
        if m.resource == "flops"
        else m
        for m in match.headline
    )
    return dataclasses.replace(match, headline=headline)


@settings(deadline=None)
@given(
    factors=st.tuples(ratios, ratios).map(sorted),
    interval=intervals,
    comparator=comparators,
    terms=st.fixed_dictionaries({"tolerance": st.floats(0.0, 0.9), "min_n": st.integers(2, 5)}),
    match=st.sampled_from([MATCH, FAILING]),
)
def test_a_verdict_is_monotone_in_the_factor(factors, interval, comparator, terms, match):
    claim = dataclasses.replace(CLAIM, comparator=comparator, **terms)
    shown = with_interval(match, interval)
    low, high = (judge(dataclasses.replace(claim, factor=factor), shown).verdict for factor in factors)
    weaker, stronger = (low, high) if comparator in ("<=", "<") else (high, low)
    assert RANK[weaker] <= RANK[stronger]
    if match is FAILING or claim.min_n > 3:
        assert {low, high} == {"inconclusive"}


@settings(deadline=None)
@given(
    interval=intervals, comparator=comparators, tolerances=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)).map(sorted)
)
def test_a_wider_tolerance_never_hurts_a_claim(interval, comparator, tolerances):
    words = [
        place_interval(dataclasses.replace(CLAIM, comparator=comparator, tolerance=tolerance), interval)
        for tolerance in tolerances
    ]
    assert RANK[words[0]] <= RANK[words[1]]


@settings(deadline=None)
@given(interval=intervals, comparator=comparators, factor=ratios)
def test_the_opposite_claim_has_the_opposite_verdict(interval, comparator, factor):
    """``r <= f`` and ``r > f`` cannot both be supported, and one is refuted exactly where the other holds."""
    opposite = {"<=": ">", ">": "<=", "<": ">=", ">=": "<"}[comparator]
    one, other = (
        place_interval(dataclasses.replace(CLAIM, comparator=each, factor=factor), interval)
        for each in (comparator, opposite)
    )
    assert RANK[one] + RANK[other] == 2


@settings(deadline=None)
@given(interval=intervals, comparator=comparators, factor=ratios)
def test_swapped_sides_mirror_the_claim(interval, comparator, factor):
    assume(all(not math.isclose(end, factor, rel_tol=1e-9) for end in (interval.low, interval.high)))
    mirrored = Interval(low=1 / interval.high, high=1 / interval.low, level=0.95, method="t")
    claim = dataclasses.replace(CLAIM, comparator=comparator, factor=factor)
    swapped = dataclasses.replace(CLAIM, comparator=MIRROR[comparator], factor=1 / factor)
    assert place_interval(claim, interval) == place_interval(swapped, mirrored)


numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))
formulas = st.recursive(
    st.sampled_from(["a", "b", "2", "0.5", "1e3"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        inner.map(lambda p: f"-{p}"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda p: f"{p[0]}({p[1]}, {p[2]})"),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(formula=formulas, a=numbers, b=numbers)
def test_arithmetic_is_that_of_python_or_a_clear_mistake(formula, a, b):
    inputs = {"a": a, "b": b}
    try:
        expected = eval(formula, {"__builtins__": {}, "min": min, "max": max, **inputs})  # noqa: S307  # our own text
    except (ZeroDivisionError, OverflowError):
        expected = math.nan
    if not math.isfinite(expected):
        with pytest.raises(ConfigError):
            evaluate_formula(formula, inputs)
        return
    assert evaluate_formula(formula, inputs) == pytest.approx(expected)
    if all(f"{value:.6g}" == f"{value:.12g}" for value in inputs.values()):
        assert evaluate_formula(fill_formula(formula, inputs), {}) == pytest.approx(expected)


@settings(deadline=None)
@given(text=st.text(max_size=40))
def test_any_text_is_a_finite_value_or_a_clear_mistake(text):
    with contextlib.suppress(ConfigError):
        assert math.isfinite(evaluate_formula(text, {"a": 1.0}))
