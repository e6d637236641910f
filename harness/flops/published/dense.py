"""Dense families: Llama 2 and 3, Qwen2, Qwen3."""

from __future__ import annotations

from harness.flops.published.keys import Keys
from harness.flops.published.parts import FULL, make_shape, read_attention, read_qwen_window, read_reaches
from harness.flops.published.shape import DenseFeedForward, GroupedQueryAttention, Layer, Reach, Shape


def read_llama(keys: Keys) -> Shape:
    """Read Llama 2 or 3; `attention_bias` is of all four projections, `mlp_bias` of all three."""
    bias = keys.flag("attention_bias", default=False)
    layer = Layer(
        read_attention(keys, qkv_bias=bias, output_bias=bias),
        DenseFeedForward(d_ff=keys.count("intermediate_size"), bias=keys.flag("mlp_bias", default=False)),
    )
    return make_shape(keys, "llama", (layer,) * keys.count("num_hidden_layers"))


def read_qwen2(keys: Keys) -> Shape:
    """Read Qwen2 or Qwen2.5: always biases on queries, keys and values."""
    keys.count("num_key_value_heads")
    return _read_qwen(keys, "qwen2", read_attention(keys, qkv_bias=True))


def read_qwen3(keys: Keys) -> Shape:
    """Read Qwen3: a norm on each head's queries and keys."""
    for name in ("num_key_value_heads", "head_dim"):
        keys.count(name)
    bias = keys.flag("attention_bias", default=False)
    return _read_qwen(keys, "qwen3", read_attention(keys, qkv_bias=bias, output_bias=bias, qk_norm="per_head"))


def _read_qwen(keys: Keys, model_type: str, attention: GroupedQueryAttention) -> Shape:
    """Layers from `max_window_layers` on slide, where `use_sliding_window` switches that on."""
    window = read_qwen_window(keys)
    first_sliding = 0 if window is None else keys.count("max_window_layers", least=0)
    reaches = read_reaches(
        keys,
        lambda i: FULL if window is None or i < first_sliding else Reach("sliding", window),
        {"sliding_attention": window},
    )
    feed_forward = DenseFeedForward(d_ff=keys.count("intermediate_size"))
    return make_shape(keys, model_type, tuple(Layer(attention, feed_forward, reach) for reach in reaches))
