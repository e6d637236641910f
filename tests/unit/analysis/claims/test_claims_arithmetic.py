"""Arithmetic over named inputs: what it computes, what it shows, and that it runs nothing else."""

from __future__ import annotations

import pytest

from harness.analysis.claims.arithmetic import evaluate_formula, fill_formula, find_names
from harness.core.errors import ConfigError

INPUTS = {"a": 2.0, "b": 3.0, "zero": 0.0, "negative": -4.0}


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("a + b * 2", 8.0),
        ("(a + b) * 2", 10.0),
        ("a ** b - -b", 11.0),
        ("6 * 37e9 * 1.0 / 1e9", 222.0),
        ("min(a / b, b / a, 0.7)", 2 / 3),
        ("max(a, b)", 3.0),
        ("a\n  / b", 2 / 3),
        ("1 - negative", 5.0),
    ],
)
def test_a_formula_gives_its_value(formula, value):
    assert evaluate_formula(formula, INPUTS) == pytest.approx(value)


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("a / zero", "divides by zero"),
        ("zero ** -1", "divides by zero"),
        ("c + 1", "uses 'c', which is no input"),
        ("a +", "no arithmetic"),
        ("", "no arithmetic"),
        ("a; b", "no arithmetic"),
        ("a\n b", "'a b'"),
        ("9 ** 9 ** 9 ** 9", "no finite value"),
        ("1e308 * 10", "no finite value"),
        ("negative ** 0.5", "root of a negative"),
        ("sqrt(a)", "sqrt(a)"),
        ("__import__('os').system('true')", "may hold"),
        ("a.real", "a.real"),
        ("(lambda: 1)()", "lambda"),
        ("[1][0]", "[1]"),
        ("a if b else 1", "if"),
        ("a < b", "a < b"),
        ("a // b", "a // b"),
        ("a % b", "a % b"),
        ("+a", "+a"),
        ("True", "True"),
        ("'x'", "'x'"),
        ("1j", "1j"),
        ("min()", "min()"),
        ("min(a, key=b)", "min(a, key=b)"),
        ("max(*a)", "*a"),
        ("min", "uses 'min', which is no input"),
        ("1 + " * 600 + "1", "characters long"),
        ("-" * 1900 + "1", "formula"),
        ("(" * 900 + "1" + ")" * 900, "formula"),
    ],
)
def test_anything_else_is_refused_by_name(formula, words):
    with pytest.raises(ConfigError) as caught:
        evaluate_formula(formula, INPUTS)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_are_those_of_inputs():
    assert find_names("max(a, 2e3 * b) / a") == {"a", "b"}


def test_a_filled_formula_shows_the_numbers_and_keeps_the_rest():
    inputs = {"a": 3.7e10, "ab": 2.0, "n": -1.0, "e9": 5.0}
    assert fill_formula("min(a,  ab) * 1e9 + n / e9", inputs) == "min(3.7e10, 2) * 1e9 + (-1) / 5"
    assert evaluate_formula(fill_formula("min(a, ab) * 1e9 + n / e9", inputs), {}) == pytest.approx(2e9 - 0.2)
