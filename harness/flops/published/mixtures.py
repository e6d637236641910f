"""Sparse-expert families with grouped-query attention: Mixtral, Qwen2-MoE, Qwen3-MoE, OLMoE, GPT-OSS, Llama 4."""

from __future__ import annotations

from harness.flops.published.keys import Keys
from harness.flops.published.parts import (
    FULL,
    make_shape,
    read_attention,
    read_qwen_feed_forward,
    read_qwen_window,
    read_reaches,
    require_top_k,
)
from harness.flops.published.shape import DenseFeedForward, ExpertFeedForward, Layer, Reach, Shape


def read_mixtral(keys: Keys) -> Shape:
    """Read Mixtral: every layer sparse, no biases; a `sliding_window` holds for every layer."""
    keys.count("num_key_value_heads")
    num_experts = keys.count("num_local_experts", "num_experts")
    window = keys.optional_count("sliding_window")
    layer = Layer(
        read_attention(keys),
        ExpertFeedForward(
            num_experts=num_experts,
            top_k=require_top_k(keys, num_experts, "num_experts_per_tok"),
            d_expert=keys.count("intermediate_size"),
        ),
        FULL if window is None else Reach("sliding", window),
    )
    return make_shape(keys, "mixtral", (layer,) * keys.count("num_hidden_layers"))


def read_qwen2_moe(keys: Keys) -> Shape:
    """Read Qwen2-MoE: a gated shared expert beside the routed ones; every other early layer slides, if any does."""
    keys.count("num_key_value_heads")
    attention = read_attention(keys, qkv_bias=keys.flag("qkv_bias", default=True))
    window = read_qwen_window(keys)
    num_sliding = 0 if window is None else keys.count("max_window_layers", least=0)
    reaches = read_reaches(
        keys,
        lambda i: Reach("sliding", window) if i < num_sliding and i % 2 == 0 else FULL,
        {"sliding_attention": window},
    )
    feed_forward = read_qwen_feed_forward(
        keys,
        lambda num_experts: ExpertFeedForward(
            num_experts=num_experts,
            top_k=require_top_k(keys, num_experts, "num_experts_per_tok"),
            d_expert=keys.count("moe_intermediate_size"),
            d_shared=keys.count("shared_expert_intermediate_size"),
            shared_gate=True,
        ),
    )
    layers = tuple(Layer(attention, feed_forward(i), reach) for i, reach in enumerate(reaches))
    return make_shape(keys, "qwen2_moe", layers)


def read_qwen3_moe(keys: Keys) -> Shape:
    """Read Qwen3-MoE: norms on queries and keys, no shared expert; a sliding window holds for every layer."""
    keys.count("num_key_value_heads")
    bias = keys.flag("attention_bias", default=False)
    attention = read_attention(keys, qkv_bias=bias, output_bias=bias, qk_norm="per_head")
    window = read_qwen_window(keys)
    reach = FULL if window is None else Reach("sliding", window)
    feed_forward = read_qwen_feed_forward(
        keys,
        lambda num_experts: ExpertFeedForward(
            num_experts=num_experts,
            top_k=require_top_k(keys, num_experts, "num_experts_per_tok"),
            d_expert=keys.count("moe_intermediate_size"),
        ),
    )
    layers = tuple(Layer(attention, feed_forward(i), reach) for i in range(keys.count("num_hidden_layers")))
    return make_shape(keys, "qwen3_moe", layers)


def read_olmoe(keys: Keys) -> Shape:
    """Read OLMoE: one norm over all heads' queries, one over all heads' keys."""
    bias = keys.flag("attention_bias", default=False)
    num_experts = keys.count("num_experts", "num_local_experts")
    layer = Layer(
        read_attention(keys, qkv_bias=bias, output_bias=bias, qk_norm="full_width"),
        ExpertFeedForward(
            num_experts=num_experts,
            top_k=require_top_k(keys, num_experts, "num_experts_per_tok"),
            d_expert=keys.count("intermediate_size"),
        ),
    )
    return make_shape(keys, "olmoe", (layer,) * keys.count("num_hidden_layers"))


def read_gpt_oss(keys: Keys) -> Shape:
    """Read GPT-OSS: sinks, biases everywhere, and every other layer sliding, beginning with the first."""
    for name in ("num_key_value_heads", "head_dim"):
        keys.count(name)
    bias = keys.flag("attention_bias", default=True)
    window = keys.optional_count("sliding_window")
    reaches = read_reaches(
        keys,
        lambda i: Reach("sliding", keys.count("sliding_window")) if i % 2 == 0 else FULL,
        {"sliding_attention": window},
    )
    num_experts = keys.count("num_local_experts", "num_experts")
    feed_forward = ExpertFeedForward(
        num_experts=num_experts,
        top_k=require_top_k(keys, num_experts, "num_experts_per_tok", "experts_per_token"),
        d_expert=keys.count("intermediate_size"),
        expert_bias=True,
        router_bias=True,
    )
    attention = read_attention(keys, qkv_bias=bias, output_bias=bias, sinks=True)
    return make_shape(keys, "gpt_oss", tuple(Layer(attention, feed_forward, reach) for reach in reaches))


def read_llama4(keys: Keys) -> Shape:
    """Read the text part of Llama 4: layers with rotary positions see their chunk, those without see everything."""
    for name in ("num_key_value_heads", "head_dim"):
        keys.count(name)
    num_layers = keys.count("num_hidden_layers")
    bias = keys.flag("attention_bias", default=False)
    attention = read_attention(keys, qkv_bias=bias, output_bias=bias)
    chunk = keys.optional_count("attention_chunk_size")
    has_rope = _read_rope_layers(keys, num_layers)
    reaches = read_reaches(
        keys,
        lambda i: Reach("chunked", chunk) if has_rope[i] and chunk is not None else FULL,
        {"chunked_attention": chunk},
    )
    sparse_layers = keys.counts("moe_layers")
    if sparse_layers is None:
        step = keys.count("interleave_moe_layer_step")
        sparse_layers = tuple(range(step - 1, num_layers, step))
    num_experts = keys.count("num_local_experts", "num_experts")
    d_expert = keys.count("intermediate_size")
    sparse = ExpertFeedForward(
        num_experts=num_experts,
        top_k=require_top_k(keys, num_experts, "num_experts_per_tok"),
        d_expert=d_expert,
        d_shared=d_expert,
    )
    layers = tuple(
        Layer(
            attention,
            sparse if i in sparse_layers else DenseFeedForward(d_ff=keys.count("intermediate_size_mlp")),
            reach,
        )
        for i, reach in enumerate(reaches)
    )
    return make_shape(keys, "llama4_text", layers, ("the text part only: no vision tower, no projector",))


def _read_rope_layers(keys: Keys, num_layers: int) -> tuple[bool, ...]:
    """Return which layers have rotary positions: in spite of its name `no_rope_layers` holds a 1 for those."""
    listed = keys.counts("no_rope_layers")
    if listed:
        if len(listed) < num_layers:
            raise keys.mistake(f"'no_rope_layers' lists {len(listed)} layers, 'num_hidden_layers' says {num_layers}.")
        return tuple(bool(x) for x in listed[:num_layers])
    interval = keys.optional_count("no_rope_layer_interval") or 4
    return tuple((i + 1) % interval != 0 for i in range(num_layers))
