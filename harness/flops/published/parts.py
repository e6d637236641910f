"""What the readers of several families share: heads, experts, and how far each layer sees."""

from __future__ import annotations

from collections.abc import Callable

from harness.flops.published.keys import Keys
from harness.flops.published.shape import (
    DenseFeedForward,
    ExpertFeedForward,
    GroupedQueryAttention,
    Layer,
    QKNorm,
    Quantization,
    Reach,
    Shape,
)

FULL = Reach()


def read_attention(
    keys: Keys, *, qkv_bias: bool = False, output_bias: bool = False, qk_norm: QKNorm = "none", sinks: bool = False
) -> GroupedQueryAttention:
    """Read grouped-query attention; without `head_dim` a head is its share of the width."""
    num_heads = keys.count("num_attention_heads")
    num_kv_heads = keys.optional_count("num_key_value_heads") or num_heads
    if num_heads % num_kv_heads:
        raise keys.mistake(f"{num_heads} attention heads cannot share {num_kv_heads} key-value heads evenly.")
    return GroupedQueryAttention(
        num_heads=num_heads,
        num_kv_heads=num_kv_heads,
        head_dim=keys.optional_count("head_dim") or _divided_head_dim(keys, num_heads),
        qkv_bias=qkv_bias,
        output_bias=output_bias,
        qk_norm=qk_norm,
        sinks=sinks,
    )


def _divided_head_dim(keys: Keys, num_heads: int) -> int:
    d_model = keys.count("hidden_size")
    if d_model % num_heads:
        raise keys.mistake(f"'hidden_size' {d_model} is no multiple of {num_heads} attention heads; give 'head_dim'.")
    return d_model // num_heads


def require_top_k(keys: Keys, num_experts: int, *names: str) -> int:
    """Read how many experts a token uses; never more than there are."""
    top_k = keys.count(*names)
    if top_k > num_experts:
        raise keys.mistake(f"'{names[0]}' is {top_k}, but there are only {num_experts} experts.")
    return top_k


def read_qwen_feed_forward(
    keys: Keys, experts: Callable[[int], ExpertFeedForward]
) -> Callable[[int], DenseFeedForward | ExpertFeedForward]:
    """Return which layers are sparse by Qwen's rule: every `decoder_sparse_step`-th, `mlp_only_layers` excepted."""
    num_experts = keys.count("num_experts", "num_local_experts", least=0)
    step = keys.optional_count("decoder_sparse_step") or 1
    dense_layers = keys.counts("mlp_only_layers") or ()
    is_sparse = [
        num_experts > 0 and i not in dense_layers and (i + 1) % step == 0
        for i in range(keys.count("num_hidden_layers"))
    ]
    dense = None if all(is_sparse) else DenseFeedForward(d_ff=keys.count("intermediate_size"))
    sparse = experts(num_experts) if any(is_sparse) else None

    def pick(index: int) -> DenseFeedForward | ExpertFeedForward:
        chosen = sparse if is_sparse[index] else dense
        assert chosen is not None  # noqa: S101  # built above whenever a layer needs it
        return chosen

    return pick


def read_reaches(keys: Keys, default: Callable[[int], Reach], windows: dict[str, int | None]) -> tuple[Reach, ...]:
    """Return each layer's reach: from `layer_types` where the config lists them, else by the family's `default` rule.

    `windows` maps a layer type other than ``full_attention`` to the size that the config gives it.
    """
    num_layers = keys.count("num_hidden_layers")
    kinds = keys.texts("layer_types")
    if kinds is None:
        return tuple(default(i) for i in range(num_layers))
    if len(kinds) != num_layers:
        raise keys.mistake(f"'layer_types' lists {len(kinds)} layers, 'num_hidden_layers' says {num_layers}.")
    reaches = []
    for kind in kinds:
        if kind == "full_attention":
            reaches.append(FULL)
        elif kind not in windows:
            raise keys.mistake(f"'layer_types' holds '{kind}'; known here: full_attention, {', '.join(windows)}.")
        else:
            size = windows[kind]
            if size is None:
                raise keys.mistake(f"'layer_types' holds '{kind}', but the config gives no size for it.")
            reaches.append(Reach("sliding" if kind == "sliding_attention" else "chunked", size))
    return tuple(reaches)


def read_qwen_window(keys: Keys) -> int | None:
    """Return Qwen's sliding window, which counts only where `use_sliding_window` says so."""
    return keys.count("sliding_window") if keys.flag("use_sliding_window", default=False) else None


def make_shape(keys: Keys, model_type: str, layers: tuple[Layer, ...], notes: tuple[str, ...] = ()) -> Shape:
    """Put a model together from its layers and the keys that all families spell alike."""
    return Shape(
        model_type=model_type,
        d_model=keys.count("hidden_size"),
        vocab_size=keys.count("vocab_size"),
        tied=keys.flag("tie_word_embeddings", default=False),
        layers=layers,
        max_context=keys.optional_count("max_position_embeddings"),
        dtype=keys.text("dtype", "torch_dtype"),
        quantization=read_quantization(keys),
        mtp_reason="this family has no multi-token prediction module",
        notes=notes,
    )


def read_quantization(keys: Keys) -> Quantization | None:
    """Read how the checkpoint is quantised; ``None`` when it is not."""
    section = keys.section("quantization_config")
    if section is None:
        return None
    block = section.counts("weight_block_size")
    if block is not None and (len(block) != 2 or 0 in block):
        raise section.mistake(f"'weight_block_size' is {list(block)}; rows and columns are needed.")
    return Quantization(
        method=section.text("quant_method") or "unnamed", block=None if block is None else (block[0], block[1])
    )
