"""Costs of prefill and decode steps of published shapes: sums of what is counted elsewhere, within what there is."""

from __future__ import annotations

import dataclasses

import pytest

from harness.flops.published.count import count_forward_flops, count_model
from harness.flops.published.shipped import read_model
from harness.flops.published.steps import StepCounter

DENSE = read_model("llama-3.2-1b")
MOE = read_model("qwen3-30b-a3b")


@pytest.mark.parametrize("shape", [DENSE, MOE])
def test_steps_cost_what_a_token_at_their_contexts_costs(shape):
    counter = StepCounter(shape, "bfloat16")
    steps = sum(count_forward_flops(shape, 100 + step) for step in range(1, 9))
    assert counter.decode_flops(100, 8) == steps


@pytest.mark.parametrize("shape", [DENSE, MOE])
def test_a_prompt_of_one_token_costs_one_token(shape):
    assert StepCounter(shape, "bfloat16").prefill_flops(1) == count_forward_flops(shape, 1)
    many = StepCounter(shape, "bfloat16").prefill_flops(10)
    assert many < 10 * count_forward_flops(shape, 10), "the head multiplies at the last position only"


def test_a_dense_step_reads_every_weight_once_and_the_cache_of_every_position():
    counter = StepCounter(DENSE, "bfloat16")
    count = count_model(DENSE, context=1)
    assert DENSE.tied
    assert counter.weight_bytes(1) == counter.weight_bytes(64) == 2 * count.total_params
    assert counter.decode_bytes(4, 10, 2) == 2 * 2 * count.total_params + 4 * (11 + 12) * count.kv_bytes_per_token


def test_an_untied_embedding_is_looked_up_and_not_read_whole():
    untied = dataclasses.replace(DENSE, tied=False)
    assert StepCounter(untied, "bfloat16").weight_bytes(1) == StepCounter(DENSE, "bfloat16").weight_bytes(1)


def test_a_sparse_step_reads_more_experts_the_larger_the_batch_and_at_most_all():
    counter = StepCounter(MOE, "bfloat16")
    count = count_model(MOE, context=1)
    read = [counter.weight_bytes(batch) for batch in (1, 8, 64, 100_000)]
    assert read == sorted(read)
    assert read[0] == 2 * (count.active_params - count.embedding_params)
    assert read[-1] == pytest.approx(2 * (count.total_params - count.embedding_params))


def test_a_window_bounds_what_is_seen_and_read():
    shape = read_model("gpt-oss-20b")
    counter = StepCounter(shape, "bfloat16", quantized=True)
    full = dataclasses.replace(
        shape, layers=tuple(dataclasses.replace(layer, reach=type(layer.reach)()) for layer in shape.layers)
    )
    far = StepCounter(full, "bfloat16", quantized=True)
    assert counter.decode_flops(1000, 4) < far.decode_flops(1000, 4)
    assert counter.decode_bytes(1, 1000, 4) < far.decode_bytes(1, 1000, 4)
    assert counter.decode_bytes(1, 10, 4) == far.decode_bytes(1, 10, 4)


def test_decoding_over_latents_has_no_formula_and_says_why():
    counter = StepCounter(read_model("deepseek-v2-lite"), "bfloat16")
    assert counter.decode_flops(10, 2) is None
    assert "latents" in (counter.decode_flops_reason or "")
    assert counter.prefill_flops(10) > 0
    assert counter.decode_bytes(1, 10, 2) > 0
