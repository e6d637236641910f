"""DeepSeekMoE (grouped-query attention), V2 and V3 (latent): shared and routed experts, V3's further predictions."""

from __future__ import annotations

import dataclasses

from harness.flops.published.keys import Keys
from harness.flops.published.parts import make_shape, read_attention, require_top_k
from harness.flops.published.shape import (
    DenseFeedForward,
    ExpertFeedForward,
    GroupedQueryAttention,
    LatentAttention,
    Layer,
    MultiTokenPrediction,
    Shape,
)

_BIAS_NOTE = "the router's e_score_correction_bias is a buffer, not a parameter, and is not counted"


def read_deepseek(keys: Keys) -> Shape:
    """Read DeepSeekMoE 16B, whose code is not in transformers: V2's experts, and attention as in Llama."""
    bias = keys.flag("attention_bias", default=False)
    layers, notes = _read_layers(keys, read_attention(keys, qkv_bias=bias, output_bias=bias), mlp_bias=False)
    return make_shape(keys, "deepseek", layers, notes)


def read_deepseek_v2(keys: Keys) -> Shape:
    """Read DeepSeek-V2 (or Lite, whose queries have no latent)."""
    layers, notes = _read_layers(keys, _read_attention(keys), mlp_bias=keys.flag("mlp_bias", default=False))
    return make_shape(keys, "deepseek_v2", layers, notes)


def read_deepseek_v3(keys: Keys) -> Shape:
    """Read DeepSeek-V3; `num_nextn_predict_layers` modules stand beside the main model."""
    layers, notes = _read_layers(keys, _read_attention(keys), mlp_bias=False)
    shape = make_shape(keys, "deepseek_v3", layers, (*notes, _BIAS_NOTE))
    num_modules = keys.optional_count("num_nextn_predict_layers", "num_mtp_layers", least=0)
    if num_modules is None:
        return dataclasses.replace(shape, mtp_reason="the config does not say how many such modules there are")
    if num_modules == 0:
        return dataclasses.replace(shape, mtp_reason="the config says that there is no such module")
    mtp = MultiTokenPrediction(num_modules=num_modules, layer=Layer(layers[-1].attention, _experts(keys)))
    return dataclasses.replace(shape, mtp=mtp, mtp_reason=None)


def _read_layers(
    keys: Keys, attention: GroupedQueryAttention | LatentAttention, *, mlp_bias: bool
) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    num_layers = keys.count("num_hidden_layers")
    first_sparse = keys.optional_count("first_k_dense_replace", least=0) or 0
    every = keys.optional_count("moe_layer_freq") or 1
    is_sparse = [i >= first_sparse and i % every == 0 for i in range(num_layers)]
    dense = None if all(is_sparse) else DenseFeedForward(d_ff=keys.count("intermediate_size"), bias=mlp_bias)
    sparse = _experts(keys, bias=mlp_bias) if any(is_sparse) else None
    chosen = [sparse if wanted else dense for wanted in is_sparse]
    notes = (
        ()
        if every == 1
        else (
            f"moe_layer_freq {every}: of the later layers only multiples of it are sparse, as in DeepSeek's own code",
        )
    )
    return tuple(Layer(attention, feed_forward) for feed_forward in chosen if feed_forward is not None), notes


def _read_attention(keys: Keys) -> LatentAttention:
    num_heads = keys.count("num_attention_heads")
    return LatentAttention(
        num_heads=num_heads,
        q_rank=keys.optional_count("q_lora_rank"),
        kv_rank=keys.count("kv_lora_rank"),
        nope_dim=keys.count("qk_nope_head_dim"),
        rope_dim=keys.count("qk_rope_head_dim"),
        v_dim=keys.count("v_head_dim"),
        bias=keys.flag("attention_bias", default=False),
    )


def _experts(keys: Keys, *, bias: bool = False) -> ExpertFeedForward:
    num_experts = keys.count("n_routed_experts", "num_experts", "num_local_experts")
    d_expert = keys.count("moe_intermediate_size")
    num_shared = keys.optional_count("n_shared_experts", least=0) or 0
    return ExpertFeedForward(
        num_experts=num_experts,
        top_k=require_top_k(keys, num_experts, "num_experts_per_tok"),
        d_expert=d_expert,
        d_shared=num_shared * d_expert,
        shared_bias=bias and num_shared > 0,
    )
