"""One decode step by hand, its limits, the power cap, and the cards it takes."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.projection.assumptions import Assumptions
from harness.analysis.projection.comparison import estimate_ratio, estimate_steps
from harness.analysis.projection.decode import DecodeStep, estimate_decode_step
from harness.analysis.projection.load import build_load, count_distinct
from harness.flops.published.count import count_model
from harness.flops.published.shipped import list_shipped, read_model
from tests.unit.analysis.projection.factory import make_card, make_constants, published, tiny_shape

ASSUMED = Assumptions(bandwidth_efficiency=0.75, flops_efficiency=0.55, launch_s=0.5)


def _step(**card: float) -> DecodeStep:
    load = build_load(tiny_shape())
    return estimate_decode_step(load, make_card(**card), make_constants(), ASSUMED, batch=3, context=5)


def test_a_step_is_what_the_arithmetic_says() -> None:
    """Every number from the dimensions, none from the code: 2 layers, width 8, 4 experts of width 6, top 2."""
    attention, norms, router, expert = 8 * 8 + 2 * 8 * 4 + 8 * 8, 2 * 8, 4 * 8, 3 * 8 * 6
    fixed = 2 * (2 * (attention + norms + router) + 8 + 100 * 8)
    touched = 1 - (1 - 2 / 4) ** 3
    routed = 2 * 2 * 4 * expert * touched
    cache = 3 * 5 * 2 * (2 * 2 * 1 * 4)
    flops = 3 * (2 * (2 * (attention + router + 2 * expert) + 100 * 8) + 2 * 5 * 4 * 2 * 4)
    joules = 1.0 + 0.01 * (fixed + routed + cache) + 0.001 * flops
    seconds = (fixed + routed + cache) / 750 + flops / 5500 + 0.5
    step = _step()
    assert (fixed, routed, cache, flops) == (2576, 2016.0, 480, 11904)
    assert (step.weight_bytes, step.cache_bytes, step.flops) == (fixed + routed, cache, flops)
    assert step.coverage == touched == 0.875
    assert step.joules == pytest.approx(joules) == pytest.approx(63.624)
    assert step.joules_per_token == pytest.approx(joules / 3)
    assert step.seconds == pytest.approx(seconds)
    assert not step.capped


def test_the_power_limit_holds_the_energy_down() -> None:
    free, held = _step(), _step(power_limit_w=5)
    assert held.capped
    assert held.joules == pytest.approx(5 * held.seconds)
    assert held.joules < held.uncapped_joules == free.joules
    assert held.watts_per_gpu == pytest.approx(5)


def test_overlap_makes_the_step_an_ideal_roofline() -> None:
    load, card = build_load(tiny_shape()), make_card()
    overlap = dataclasses.replace(ASSUMED, time_overlap=1.0)
    step = estimate_decode_step(load, card, make_constants(), overlap, batch=3, context=5)
    assert step.seconds == pytest.approx(max(5072 / 750, 11904 / 5500) + 0.5)


def test_launch_time_is_assumed_or_the_cards_own_or_a_millisecond() -> None:
    load, constants = build_load(tiny_shape()), make_constants()

    def seconds(assumptions: Assumptions, **card: float) -> float:
        step = estimate_decode_step(load, make_card(**card), constants, assumptions, batch=3, context=5)
        return step.seconds

    own = dataclasses.replace(ASSUMED, launch_s=None)
    work = seconds(ASSUMED) - 0.5
    assert seconds(own, launch_s=0.25) == pytest.approx(work + 0.25)
    assert seconds(own) == pytest.approx(work + 1e-3)
    assert seconds(ASSUMED, launch_s=0.25) == pytest.approx(work + 0.5)


def test_weights_and_cache_decide_how_many_cards_and_each_pays_the_step() -> None:
    one, several = _step(), _step(memory_bytes=2500)
    stored = 2 * (2 * (192 + 16 + 32 + 4 * 3 * 8 * 6) + 8 + 2 * 800)
    assert several.num_gpus == -(-(stored + 480) // (0.9 * 2500)) == 4
    assert several.uncapped_joules == pytest.approx(one.uncapped_joules + 3 * 1.0)
    assert several.seconds == pytest.approx((one.seconds - 0.5) / 4 + 0.5)


def test_a_single_token_reads_exactly_the_active_weights() -> None:
    load = build_load(tiny_shape())
    active = count_model(tiny_shape()).active_params_without_input_embedding
    assert load.count_weight_bytes(1) == 2 * active
    assert load.count_weight_bytes(1, correlation=0.7) == 2 * active


def test_a_huge_batch_reads_every_weight_once() -> None:
    load = build_load(tiny_shape())
    assert load.coverage(10_000) == pytest.approx(1.0)
    assert load.count_weight_bytes(10_000) == pytest.approx(load.stored_bytes - 2 * 800)


@pytest.mark.parametrize("name", list_shipped())
def test_a_load_agrees_with_the_counter(name: str) -> None:
    shape = read_model(name)
    load, count = build_load(shape), count_model(shape, context=3000)
    flops = count.forward_flops_per_token_absorbed or count.forward_flops_per_token
    assert load.stored_bytes == count.weight_bytes
    assert load.count_decode_flops(3000) == flops
    assert load.count_cache_bytes(3000) == count.kv_bytes_at_context
    assert load.coverage(1) == (None if count.num_experts is None else pytest.approx(count.expected_expert_coverage))
    if load.weights == "every weight in bfloat16":
        assert load.count_weight_bytes(1) == pytest.approx(2 * count.active_params_without_input_embedding)


def test_a_tied_head_is_read_and_an_untied_table_is_not() -> None:
    tied, untied = build_load(tiny_shape(tie_word_embeddings=True)), build_load(tiny_shape())
    assert tied.fixed_bytes == untied.fixed_bytes
    assert tied.stored_bytes == untied.stored_bytes - 2 * 800


def test_a_window_bounds_the_cache() -> None:
    load = build_load(tiny_shape(sliding_window=4))
    assert load.count_cache_bytes(4) == load.count_cache_bytes(400)
    assert load.count_decode_flops(4) == load.count_decode_flops(400)


def test_data_types_of_weights_and_cache_are_apart() -> None:
    base, weights = build_load(tiny_shape()), build_load(tiny_shape(), dtype="fp8")
    cache = build_load(tiny_shape(), kv_dtype="fp8")
    assert (2 * weights.stored_bytes, weights.cache_width) == (base.stored_bytes, 2)
    assert (cache.stored_bytes, cache.cache_width) == (base.stored_bytes, 1)
    assert weights.is_fp8
    assert not cache.is_fp8


def test_two_equal_models_have_the_ratio_one() -> None:
    setup = published("qwen3-30b-a3b", "qwen3-30b-a3b")
    assert [estimate_ratio(setup, batch) for batch in (1, 7, 512)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("batch", [1, 16, 300])
def test_scaling_every_constant_leaves_the_ratio(batch: int) -> None:
    setup = published("qwen3-14b", "qwen3-30b-a3b")
    three = {name: 3 * getattr(setup.constants, name) for name in ("j_per_step", "j_per_byte", "j_per_flop")}
    scaled = dataclasses.replace(setup, constants=dataclasses.replace(setup.constants, **three))
    (dense, moe), (dense3, moe3) = estimate_steps(setup, batch), estimate_steps(scaled, batch)
    ratio = moe3.uncapped_joules / dense3.uncapped_joules
    assert ratio == pytest.approx(moe.uncapped_joules / dense.uncapped_joules)


def test_an_overhead_of_experts_leaves_the_dense_model_alone() -> None:
    plain = published("qwen3-14b", "qwen3-30b-a3b")
    worse = published("qwen3-14b", "qwen3-30b-a3b", expert_overhead=1.5)
    (dense, moe), (dense_too, slower) = estimate_steps(plain, 16), estimate_steps(worse, 16)
    assert dense == dense_too
    assert slower.joules == pytest.approx(0.77 + 1.5 * (moe.joules - 0.77))


@given(experts=st.integers(1, 300), data=st.data(), batch=st.integers(1, 2000), correlation=st.floats(0, 1))
def test_coverage_grows_with_the_batch_and_shrinks_with_correlation(
    experts: int, data: st.DataObject, batch: int, correlation: float
) -> None:
    top_k = data.draw(st.integers(1, experts))
    here = count_distinct(experts, top_k, batch, correlation)
    assert top_k / experts - 1e-9 <= here <= 1.0
    assert count_distinct(experts, top_k, batch + 1, correlation) >= here
    assert count_distinct(experts, top_k, batch) >= here


def test_routing_that_repeats_itself_reads_the_first_tokens_experts_only() -> None:
    assert count_distinct(128, 8, 500, 1.0) == pytest.approx(8 / 128)
