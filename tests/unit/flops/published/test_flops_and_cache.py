"""FLOPs equal a traced forward pass of transformers' model; the cache holds what the count says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import DynamicCache
from transformers.masking_utils import (
    causal_mask_function,
    chunked_causal_mask_function,
    sliding_window_causal_mask_function,
)

from harness.flops.published.attention import count_flops_per_pair, count_seen, count_seen_causally
from harness.flops.published.count import count_coverage, count_forward_flops, count_model
from harness.flops.published.readers import read_shape, shape_from_config
from harness.flops.published.shape import LatentAttention, Reach
from harness.flops.published.tensors import list_tensors
from harness.flops.traced import trace_flops
from tests.unit.flops.published.small import CONFIGS, SMALL, build_module

BATCH = 2
CONTEXT = 16
LLAMA4 = [name for name in SMALL if name.startswith("llama4")]
ROUTED = [name for name in SMALL if name not in LLAMA4]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny products on two shared cores wait for each other longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _trace(config: dict[str, Any], context: int) -> int:
    module = build_module(config, "cpu", attn_implementation="eager", experts_implementation="eager")
    tokens = torch.randint(0, 96, (BATCH, context), generator=torch.Generator().manual_seed(0))

    def forward() -> None:
        with torch.no_grad():
            module(input_ids=tokens, use_cache=False)

    return trace_flops(forward)


@pytest.mark.parametrize("name", ROUTED)
def test_forward_flops_equal_the_trace(name: str) -> None:
    """Exactly: the eager loop over experts runs each of them on its own tokens only."""
    shape = shape_from_config(SMALL[name])
    assert _trace(SMALL[name], CONTEXT) == BATCH * CONTEXT * count_forward_flops(shape, CONTEXT)


@pytest.mark.parametrize("name", LLAMA4)
def test_llama4_traces_more_by_the_experts_that_no_token_chose(name: str) -> None:
    """Its module in transformers runs every expert on every token, times 0 for those that were not chosen."""
    shape = shape_from_config(SMALL[name])
    unchosen = sum(2 * (t.num_params - t.num_active) for t in list_tensors(shape) if t.role == "expert")
    assert unchosen > 0
    assert _trace(SMALL[name], CONTEXT) == BATCH * CONTEXT * (count_forward_flops(shape, CONTEXT) + unchosen)


@pytest.mark.parametrize("name", ["gpt_oss", "qwen2_tied_sliding", "mixtral_sliding_tied"])
def test_beyond_the_window_eager_attention_multiplies_what_the_mask_hides(name: str) -> None:
    context = 80  # windows are 64
    shape = shape_from_config(SMALL[name])
    hidden = sum(count_flops_per_pair(layer) * (context - count_seen(layer.reach, context)) for layer in shape.layers)
    assert hidden > 0
    assert _trace(SMALL[name], context) == BATCH * context * (count_forward_flops(shape, context) + hidden)


def test_absorbed_attention_costs_what_its_products_cost() -> None:
    """One decoded token over a cache of latents, written out as its matrix products."""
    shape = shape_from_config({**SMALL["deepseek_v3"], "num_hidden_layers": 1})
    attention = shape.layers[0].attention
    assert isinstance(attention, LatentAttention)
    heads, rank, rope = attention.num_heads, attention.kv_rank, attention.rope_dim
    latents, keys = torch.randn(1, CONTEXT, rank), torch.randn(1, CONTEXT, rope)

    def decode() -> None:
        query = torch.bmm(torch.randn(heads, 1, attention.nope_dim), torch.randn(heads, attention.nope_dim, rank))
        scores = torch.bmm(query, latents.mT.expand(heads, -1, -1))
        scores += torch.bmm(torch.randn(heads, 1, rope), keys.mT.expand(heads, -1, -1))
        seen = torch.bmm(scores, latents.expand(heads, -1, -1))
        torch.bmm(seen, torch.randn(heads, rank, attention.v_dim))

    weights = 2 * rank * heads * (attention.nope_dim + attention.v_dim)
    assert trace_flops(decode) == weights + CONTEXT * count_flops_per_pair(shape.layers[0], absorbed=True)


@pytest.mark.parametrize("name", SMALL)
def test_the_cache_of_transformers_holds_what_the_count_says(name: str) -> None:
    module = build_module(SMALL[name], "cpu")
    with torch.no_grad():
        output = module(input_ids=torch.zeros(1, CONTEXT, dtype=torch.long), use_cache=True)
    cache = next(value for value in output.values() if isinstance(value, DynamicCache))
    held = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
    count = count_model(shape_from_config(SMALL[name]), dtype="float32", context=CONTEXT)
    assert 4 * held == count.kv_bytes_at_context == CONTEXT * count.kv_bytes_per_token


@pytest.mark.parametrize(
    ("name", "num_bytes"),
    [("deepseek-v3", 70_272), ("llama-3.1-405b", 516_096), ("qwen2.5-72b", 327_680), ("gpt-oss-20b", 49_152)],
)
def test_published_cache_sizes(name: str, num_bytes: int) -> None:
    assert count_model(read_shape(CONFIGS / f"{name}.json")).kv_bytes_per_token == num_bytes


def _mask_function(reach: Reach) -> Any:
    if reach.kind == "sliding":
        return sliding_window_causal_mask_function(reach.size)
    if reach.kind == "chunked":
        return chunked_causal_mask_function(reach.size, torch.zeros(1, dtype=torch.long))
    return causal_mask_function


@given(
    kind=st.sampled_from(["full", "sliding", "chunked"]),
    size=st.integers(min_value=1, max_value=12),
    context=st.integers(min_value=1, max_value=30),
)
def test_causal_pairs_are_those_of_transformers_masks(kind: Any, size: int, context: int) -> None:
    reach = Reach(kind, None if kind == "full" else size)
    sees = _mask_function(reach)
    positions = [torch.tensor(i) for i in range(context)]
    pairs = sum(bool(sees(0, 0, query, key)) for query in positions for key in positions)
    assert count_seen_causally(reach, context) == pairs
    assert pairs <= context * count_seen(reach, context)


def test_layers_reach_as_far_as_their_family_says() -> None:
    gpt_oss = read_shape(CONFIGS / "gpt-oss-20b.json")
    assert [layer.reach.size for layer in gpt_oss.layers] == [128, None] * 12
    scout = read_shape(CONFIGS / "llama-4-scout.json")
    assert [layer.reach.size for layer in scout.layers] == [8192, 8192, 8192, None] * 12
    qwen2 = shape_from_config(SMALL["qwen2_tied_sliding"])
    assert [layer.reach.size for layer in qwen2.layers] == [None, 64, 64, 64]
    unused = shape_from_config({**SMALL["qwen2"], "sliding_window": 64, "max_window_layers": 1})
    assert all(layer.reach.size is None for layer in unused.layers)


def test_a_longer_context_costs_windowed_layers_nothing() -> None:
    shape = read_shape(CONFIGS / "gpt-oss-20b.json")
    one_layer = count_flops_per_pair(shape.layers[0])
    growth = count_forward_flops(shape, 4096) - count_forward_flops(shape, 2048)
    assert growth == 12 * 2048 * one_layer
    count = count_model(shape, context=4096)
    assert count.kv_bytes_at_context == 12 * (4096 + 128) * (49_152 // 24)


@given(
    experts=st.integers(min_value=1, max_value=64),
    data=st.data(),
    batch=st.integers(min_value=1, max_value=200),
)
def test_coverage_starts_at_the_chosen_share_and_grows_towards_all(experts: int, data: Any, batch: int) -> None:
    top_k = data.draw(st.integers(min_value=1, max_value=experts))
    coverage = count_coverage(experts, top_k, batch)
    assert count_coverage(experts, top_k, 1) == pytest.approx(top_k / experts)
    assert top_k / experts - 1e-12 <= coverage <= count_coverage(experts, top_k, batch + 1) <= 1
