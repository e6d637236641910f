"""Published rows: they follow from their inputs, agree with what was published, and hold no verdict."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from harness.analysis.claims.arithmetic import evaluate_formula
from harness.analysis.claims.published import Axis, load_published, row_to_json
from harness.analysis.verdicts import VerdictWord
from harness.core.errors import ConfigError

ROWS = {row.id.removeprefix("published_"): row for row in load_published()}
# Figures of the literature survey behind these rows, as it rounds them.
SURVEY = {
    "v3_flops_over_llama_405b": (0.087, 0.001),
    "v3_gpu_hours_over_llama_405b": (0.090, 0.0005),
    "v3_flops_over_gpt4": (0.16, 0.005),
    "v3_flops_over_llama_70b": (0.52, 0.005),
    "v3_flops_over_qwen25_72b": (0.42, 0.005),
    "v3_flops_per_s": (343, 0.5),
    "llama_405b_flops_per_s": (342, 0.5),
    "llama_70b_flops_per_s": (252, 0.5),
    "llama4_scout_flops_per_s": (227, 0.5),
    "v3_gpu_tdp_energy": (1.87, 0.006),
    "llama_405b_gpu_tdp_energy": (21.6, 0.05),
    "llama_70b_gpu_tdp_energy": (4.9, 0.05),
    "glam_training_energy": (0.354, 0.0005),
    "glam_training_energy_at_parity": (0.166, 0.0006),
    "qwen3_active_over_14b": (0.22, 0.005),
    "v2_kv_cache_saved_by_attention": (0.82, 0.005),
    "v3_kv_cache_over_llama_405b": (70272 / 516096, 1e-9),
    "mlenergy_30b_a3b_over_14b_token_b200_lowest": (0.91, 0.005),
    "mlenergy_30b_a3b_over_14b_token_b200_highest": (1.57, 0.005),
    "mlenergy_30b_a3b_over_14b_token_h100_lowest": (0.92, 0.006),
    "mlenergy_30b_a3b_over_14b_token_h100_highest": (1.38, 0.006),
    "mlenergy_30b_a3b_over_14b_reasoning_token": (0.48, 0.005),
    "mlenergy_30b_a3b_over_14b_reasoning_response": (0.53, 0.005),
    "mlenergy_v31_over_llama_405b_token_lowest": (0.39, 0.005),
    "mlenergy_v31_over_llama_405b_token_highest": (0.72, 0.005),
    "mlenergy_v31_over_llama_405b_response_lowest": (0.91, 0.005),
    "mlenergy_v31_over_llama_405b_response_highest": (1.66, 0.005),
}


def test_at_least_twenty_rows_are_shipped_over_all_axes():
    assert len(ROWS) >= 20
    assert {row.axis for row in ROWS.values()} == set(get_args(Axis))
    assert {row.bears_on for row in ROWS.values()} == {"training", "per task", "none"}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_row_is_computed_agrees_with_what_was_published_and_says_what_it_leaves_open(name):
    row = ROWS[name]
    assert row.value == evaluate_formula(row.formula, {key: given.value for key, given in row.inputs.items()})
    assert evaluate_formula(row.filled_formula, {}) == pytest.approx(row.value, rel=1e-4, abs=1e-9)
    assert row.agrees in (True, None)
    assert (row.tag, bool(row.input_tags)) == ("D", True)
    assert row.note
    assert all(given.source and given.unit for given in row.inputs.values())


@pytest.mark.parametrize("name", sorted(SURVEY))
def test_a_row_gives_the_figure_of_the_survey(name):
    expected, rounding = SURVEY[name]
    assert ROWS[name].value == pytest.approx(expected, abs=rounding)


def test_a_row_holds_no_verdict_word():
    words = set(get_args(VerdictWord))
    for row in ROWS.values():
        content = row_to_json(row)
        assert "verdict" not in content
        assert not words & {value for value in content.values() if isinstance(value, str)}
        assert json.loads(json.dumps(content, allow_nan=False)) == content


TEXT = """kind: published
id: x
statement: s
source: the source
axis: speed
bears_on: none
isolates_architecture: false
inputs:
  a: {value: 2, unit: W, tag: P}
  b: {value: 4e0, unit: W, tag: S, source: another}
formula: a / b
unit: ratio
note: n
"""


def test_a_row_is_read_with_the_sources_of_its_inputs(tmp_path):
    (tmp_path / "x.yaml").write_text(TEXT + "expected: 0.6\nrounding: 0.01\n")
    (row,) = load_published(tmp_path)
    assert (row.value, row.agrees, row.input_tags) == (0.5, False, ("P", "S"))
    assert [given.source for given in row.inputs.values()] == ["the source", "another"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("a / b", "a / c", "which is no input"),
        ("a / b", "a / (b - 4)", "divides by zero"),
        ("a / b", "open(a)", "may hold"),
        ("a / b", "a * 1", "does not use b"),
        ("tag: P", "tag: X", "inputs.a.tag"),
        ("axis: speed", "axis: beauty", "axis"),
        ("note: n", "note: n\nverdict: supported", "verdict: this key is not known"),
        ("note: n", "note: n\nexpected: 0.5", "go together"),
        ("value: 2", "value: two", "inputs.a.value"),
        ("value: 2", "value: .nan", "inputs.a.value"),
        ("source: the source\n", "", "source"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(tmp_path, old, new, words):
    (tmp_path / "bad.yaml").write_text(TEXT.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_published(tmp_path)
    line = str(caught.value)
    assert "bad.yaml" in line
    assert words in line
    assert "\n" not in line
