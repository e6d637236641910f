"""Whole projections: ranges, sensitivity, requests, training, notes, and what was measured in public."""

from __future__ import annotations

import json
import math

import pytest

from harness.analysis.projection.assumptions import Assumptions
from harness.analysis.projection.batches import BatchRange, sweep_batches
from harness.analysis.projection.comparison import estimate_ratio, estimate_steps
from harness.analysis.projection.hardware import load_card
from harness.analysis.projection.load import build_load
from harness.analysis.projection.pairs import load_pair
from harness.analysis.projection.prefill import estimate_prefill
from harness.analysis.projection.project import project_models, project_pair
from harness.analysis.projection.requests import Request
from harness.analysis.projection.results import projection_to_json
from harness.analysis.projection.sensitivity import estimate_interval, estimate_sensitivity
from harness.analysis.projection.training import TrainingPlan, estimate_training
from harness.core.errors import ConfigError
from harness.flops.published.shipped import read_model
from tests.unit.analysis.projection.factory import published

PAIR = load_pair("qwen3-30b-a3b_qwen3-14b")


@pytest.mark.parametrize(("card", "error"), [("h100", 0.03), ("b200", 0.25)])
def test_dense_joules_agree_with_public_measurements(card: str, error: float) -> None:
    """The constants come from a fit that saw this model too: agreement about as good as the fit is what is claimed."""
    checks = project_pair(PAIR, card, (1,)).checks
    assert len(checks) >= 3
    for check in checks:
        assert check.projected_dense_joules == pytest.approx(check.measured_dense_joules, rel=error)


@pytest.mark.parametrize(("card", "share"), [("h100", 0.75), ("b200", 0.6)])
def test_the_projected_ratio_is_below_the_measured_one(card: str, share: float) -> None:
    """Nothing was fitted to a sparse-expert model: products of experts lose what the model does not know of."""
    for check in project_pair(PAIR, card, (1,)).checks:
        assert share * check.measured_ratio < check.projected_ratio < check.measured_ratio


def test_measurements_on_other_cards_are_no_check() -> None:
    assert PAIR.measurements is not None
    assert {point.hardware for point in PAIR.measurements.points} == {"h100", "b200"}
    assert project_pair(PAIR, "h200", (1,)).checks == ()
    assert project_models("qwen3-14b", "qwen3-30b-a3b", "h100", (1,)).checks == ()


def test_ranges_hold_exactly_the_batches_below_the_threshold() -> None:
    setup = published("qwen3-14b", "qwen3-30b-a3b")
    sweep = sweep_batches(setup, last_batch=100, thresholds=(0.1, 1.0, 5.0))
    inside = {b for r in sweep.ranges["1"] for b in range(r.first, r.last + 1)}
    assert inside == {b for b in range(1, 101) if estimate_ratio(setup, b) <= 1.0}
    assert len(sweep.ranges["1"]) == 2
    assert sweep.ranges["0.1"] == ()
    assert sweep.ranges["5"] == (BatchRange(first=1, last=100),)
    assert sweep.lowest == estimate_ratio(setup, sweep.lowest_at) < 1 < sweep.highest


def test_sensitivity_moves_one_thing_and_keeps_the_rest() -> None:
    setup = published("qwen3-14b", "qwen3-30b-a3b")
    rows = {row.assumption: row for row in estimate_sensitivity(setup, (1, 32))}
    here = [estimate_ratio(setup, batch) for batch in (1, 32)]
    assert rows["expert inefficiency"].ratios_at_low == pytest.approx(here)
    assert rows["expert inefficiency"].ratios_at_high[1] > 1.4 * here[1]
    assert rows["routing"].ratios_at_high == pytest.approx(here)
    assert rows["routing"].ratios_at_low[0] == pytest.approx(here[0])
    assert rows["routing"].ratios_at_low[1] < here[1]
    assert rows["weights of both"].ratios_at_high == pytest.approx(here)
    assert rows["energy per byte"].ratios_at_low[1] < here[1] < rows["energy per byte"].ratios_at_high[1]
    spreads = [
        max(abs(math.log(b / a)) for a, b in zip(r.ratios_at_low, r.ratios_at_high, strict=True)) for r in rows.values()
    ]
    assert spreads == sorted(spreads, reverse=True)


def test_dense_models_have_no_row_on_routing() -> None:
    names = {row.assumption for row in estimate_sensitivity(published("qwen3-8b", "qwen3-14b"), (1,))}
    assert not names & {"routing", "expert inefficiency"}


def test_the_interval_is_the_fits_error_on_both_sides() -> None:
    interval = estimate_interval(0.5, 0.08)
    assert interval is not None
    assert interval == pytest.approx((0.5 * math.exp(-0.2217), 0.5 * math.exp(0.2217)), rel=1e-3)
    assert estimate_interval(0.5, None) is None


def test_prefill_runs_at_the_power_limit_with_constants_of_its_own() -> None:
    """1,000 tokens of a dense model at half of the peak; decode's 2.6 pJ a FLOP would need more than 700 W."""
    load, card = build_load(read_model("qwen3-14b")), load_card("h100")
    prefill = estimate_prefill(load, card, Assumptions(), 1000)
    assert prefill.gpu_seconds == pytest.approx(prefill.flops / (0.5 * 989.5e12))
    assert prefill.joules == pytest.approx(700 * prefill.gpu_seconds)
    assert prefill.joules < 2.6e-12 * prefill.flops
    assert prefill.flops == pytest.approx(1000 * 2 * 13.2e9, rel=0.02)


def test_a_short_prompt_waits_for_the_weights() -> None:
    load, card = build_load(read_model("qwen3-14b")), load_card("h100")
    prefill = estimate_prefill(load, card, Assumptions(), 1)
    assert prefill.gpu_seconds == pytest.approx(prefill.weight_bytes / (0.75 * 3.35e12))


def test_a_request_is_its_prompt_and_its_answer() -> None:
    request = Request(prompt_tokens=100, output_tokens=201, moe_output_factor=2.0)
    p = project_models("qwen3-14b", "qwen3-30b-a3b", "h100", (8,), request=request)
    assert p.task is not None
    (row,) = p.task.rows
    setup = published("qwen3-14b", "qwen3-30b-a3b")
    dense = estimate_steps(setup, 8, 100 + 101)[0].joules_per_token
    moe = estimate_steps(setup, 8, 100 + 201)[1].joules_per_token
    assert (p.task.dense_output_tokens, p.task.moe_output_tokens) == (201, 402)
    assert row.dense_joules == pytest.approx(p.task.dense_prefill.joules + 201 * dense)
    assert row.moe_joules == pytest.approx(p.task.moe_prefill.joules + 402 * moe)
    assert row.ratio == row.moe_joules / row.dense_joules


def test_training_compute_agrees_with_what_is_published() -> None:
    """Llama 3.1 405B: 3.8e25 FLOP; the default MFU was taken from its 30.84M H100-hours, and gives them back."""
    dense = estimate_training(
        read_model("llama-3.1-405b"), load_card("h100"), tokens=15.6e12, context=8192, mfu=Assumptions().dense_train_mfu
    )
    assert dense.six_n_d == pytest.approx(3.8e25, rel=0.01)
    assert dense.six_n_d < dense.flops_causal < dense.flops
    assert dense.gpu_hours == pytest.approx(30.84e6, rel=0.02)
    assert dense.gpu_hours == pytest.approx(dense.flops / (0.37 * 989.5e12) / 3600)
    assert dense.power_limit_mwh == pytest.approx(dense.gpu_hours * 700e-6)
    moe = estimate_training(read_model("deepseek-v3"), load_card("h800"), tokens=14.8e12, context=4096, mfu=0.26)
    assert moe.six_n_d / dense.six_n_d == pytest.approx(0.087, rel=0.02)


def test_a_pair_brings_its_tokens_and_a_plan_replaces_them() -> None:
    pair = load_pair("deepseek-v3_llama-3.1-405b")
    projection = project_pair(pair, "h100", (1,))
    assert projection.training is not None
    assert (projection.training.dense.tokens, projection.training.dense.context) == (15.6e12, 8192)
    plan = TrainingPlan(dense_tokens=1e12, moe_tokens=1e12)
    replaced = project_pair(pair, "h100", (1,), training=plan).training
    assert replaced is not None
    assert replaced.dense.tokens == 1e12
    assert replaced.gpu_hours_ratio == pytest.approx(replaced.flops_ratio * 0.37 / 0.26)


def test_unpublished_tokens_give_no_training_and_a_reason() -> None:
    projection = project_pair(load_pair("mixtral-8x7b_llama-2-70b"), "a100", (1,))
    assert projection.training is None
    assert "mixtral-8x7b" in str(projection.training_reason)
    assert projection_to_json(projection)["training"] is None


def test_the_criterion_is_the_ratio_of_parameters() -> None:
    """qs of DeepSeek-V3 against Llama 3.1 405B: 405.9 / 671.0; of Mixtral against Llama 2 70B above 1."""
    v3 = project_pair(load_pair("deepseek-v3_llama-3.1-405b"), "h100", (1,)).criterion
    assert v3.qs == pytest.approx(405.85 / 671.03, rel=1e-3)
    assert v3.weight_bytes_ratio == pytest.approx(811.7 / 673.2, rel=1e-3)
    assert project_pair(load_pair("mixtral-8x7b_llama-2-70b"), "h100", (1,)).criterion.qs == pytest.approx(
        1.48, rel=0.01
    )


def test_a_difference_in_precision_is_shown_and_taken_out() -> None:
    p = project_pair(load_pair("deepseek-v3_llama-3.1-405b"), "h100", (1, 64))
    assert p.equal_precision is not None
    assert all(same > 1.5 * row.ratio for same, row in zip(p.equal_precision.ratios, p.rows, strict=True))
    assert any("precision" in note for note in p.notes)
    both = project_pair(load_pair("deepseek-v3_llama-3.1-405b"), "h100", (1, 64), dtype="bf16")
    assert both.equal_precision is None
    assert [row.ratio for row in both.rows] == pytest.approx(list(p.equal_precision.ratios))
    assert project_pair(load_pair("mixtral-8x7b_llama-2-70b"), "h100", (1,)).equal_precision is None


def test_every_projection_is_labelled_a_model() -> None:
    content = projection_to_json(project_pair(load_pair("qwen3-30b-a3b_qwen3-14b"), "h200", (1, 8)))
    json.dumps(content, allow_nan=False)
    assert (content["grade"], content["kind"]) == ("D", "projected")
    assert content["label"] == "projected, grade D: a model, not a measurement"
    assert content["constants"]["constants_origin"] == "scaled_by_assumption"
    assert content["card"]["power_limit_w"]["source"]
    assert set(content["assumptions"]) == set(content["assumption_sources"])
    row = content["rows"][1]
    assert row["interval"] is None
    assert {"joules_per_token", "weight_bytes", "cache_bytes", "flops", "coverage", "capped"} <= set(row["moe"])
    assert content["sweep"]["ranges"]["0.1"] == ()


@pytest.mark.parametrize(
    ("dense", "moe", "context", "part"),
    [
        ("qwen3-30b-a3b", "qwen3-30b-a3b", 1024, "given as dense has routed experts"),
        ("qwen3-8b", "qwen3-14b", 1024, "given as sparse-expert has no routed experts"),
        ("llama-2-7b", "qwen3-30b-a3b", 8192, "beyond the dense config's maximum of 4096"),
        ("llama-3.1-405b", "deepseek-v3", 1024, "communication not modelled"),
        ("qwen3-14b", "deepseek-v3", 1024, "different numbers of cards"),
        ("qwen3-14b", "qwen3-30b-a3b", 1024, "fitted to dense models only"),
    ],
)
def test_what_a_reader_must_know_is_a_note(dense: str, moe: str, context: int, part: str) -> None:
    assert any(part in note for note in project_models(dense, moe, "h100", (1,), context).notes)


def test_a_request_beyond_the_maximum_and_missing_fp8_units_are_notes() -> None:
    request = Request(prompt_tokens=3000, output_tokens=1000, moe_output_factor=60)
    notes = project_models("llama-2-7b", "qwen3-30b-a3b", "a100", (1,), dtype="fp8", request=request).notes
    assert any("request of 63000 tokens is beyond the sparse-expert config's maximum of 40960" in n for n in notes)
    assert not any("request" in n and "the dense config" in n for n in notes)
    assert any("no FP8 rate" in n for n in notes)


def test_a_cap_and_a_scaling_are_notes() -> None:
    notes = project_models("qwen3-14b", "qwen3-30b-a3b", "h200", (2000,)).notes
    assert any("more than the power limit" in note for note in notes)
    assert any("without the power limit" in note for note in notes)
    assert any("no constants were fitted on this card" in note for note in notes)


def test_a_batch_or_context_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="a batch is 0"):
        project_models("qwen3-14b", "qwen3-30b-a3b", "h100", (0,))
    with pytest.raises(ConfigError, match="the context is 0"):
        project_models("qwen3-14b", "qwen3-30b-a3b", "h100", (1,), 0)
    with pytest.raises(ConfigError, match="no batch"):
        project_models("qwen3-14b", "qwen3-30b-a3b", "h100", ())
