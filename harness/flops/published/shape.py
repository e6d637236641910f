"""The shape of a published model, layer by layer: the numbers of a `config.json` from which all counts follow.

`d_model` is the width of the residual stream. Every layer has two norms of that width, and one more stands before the
head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

QKNorm = Literal["none", "per_head", "full_width"]
ReachKind = Literal["full", "sliding", "chunked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedQueryAttention:
    """Heads that share keys and values in groups; `sinks` is one learned logit for each head (GPT-OSS)."""

    num_heads: int
    num_kv_heads: int
    head_dim: int
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norm: QKNorm = "none"
    sinks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek): keys and values come from a cached latent and one shared rotary key.

    `q_rank` is ``None`` where queries are projected directly. `bias` is of the two projections into the latents and of
    the output.
    """

    num_heads: int
    q_rank: int | None
    kv_rank: int
    nope_dim: int
    rope_dim: int
    v_dim: int
    bias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseFeedForward:
    """Gate, up and down projection of one width."""

    d_ff: int
    bias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertFeedForward:
    """A router, `num_experts` routed experts of which a token uses `top_k`, and perhaps an expert that all use.

    `d_shared` is the total width of the shared experts, 0 for none; `shared_gate` a scalar gate on them (Qwen2-MoE).
    """

    num_experts: int
    top_k: int
    d_expert: int
    expert_bias: bool = False
    router_bias: bool = False
    d_shared: int = 0
    shared_bias: bool = False
    shared_gate: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """How far back a token sees: everything, the last `size` positions, or its own chunk of `size` positions."""

    kind: ReachKind = "full"
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer."""

    attention: GroupedQueryAttention | LatentAttention
    feed_forward: DenseFeedForward | ExpertFeedForward
    reach: Reach = Reach()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """How a checkpoint's weights are stored; `block` is the (rows, columns) that share a scale, if any do."""

    method: str
    block: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiTokenPrediction:
    """Prediction modules after the main model, each with one decoder layer; they share its embedding and head."""

    num_modules: int
    layer: Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A whole model. `dtype` is ``None`` where the config names none; `notes` say what was left out or assumed.

    `mtp` is ``None`` for no such module, and `mtp_reason` then says whether there is none or it cannot be told.
    """

    model_type: str
    d_model: int
    vocab_size: int
    tied: bool
    layers: tuple[Layer, ...]
    max_context: int | None
    dtype: str | None
    quantization: Quantization | None = None
    mtp: MultiTokenPrediction | None = None
    mtp_reason: str | None = None
    notes: tuple[str, ...] = ()
