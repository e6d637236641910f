"""Every weight of a model as (rows, columns, copies): parameters, FLOPs and bytes are sums over this one list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from harness.flops.published.shape import (
    DenseFeedForward,
    ExpertFeedForward,
    GroupedQueryAttention,
    LatentAttention,
    Layer,
    MultiTokenPrediction,
    Shape,
)

Role = Literal["embedding", "head", "attention", "feed_forward", "expert", "router", "vector"]


@dataclass(frozen=True, slots=True)
class Tensor:
    """`copies` equal weights of (rows, columns), of which one token uses `used`; a vector has one row.

    All but embeddings and vectors multiply: 2 FLOPs for each entry that a token uses.
    """

    role: Role
    rows: int
    columns: int
    copies: int = 1
    used: int = 1

    @property
    def num_params(self) -> int:
        """All entries."""
        return self.rows * self.columns * self.copies

    @property
    def num_active(self) -> int:
        """Entries that one token uses."""
        return self.rows * self.columns * self.used

    @property
    def flops(self) -> int:
        """Forward FLOPs of one token."""
        return 0 if self.role in ("embedding", "vector") else 2 * self.num_active


def list_tensors(shape: Shape) -> Iterator[Tensor]:
    """Yield every weight of the main model once; a tied head is the embedding, so only an untied one is listed."""
    yield Tensor("embedding", shape.vocab_size, shape.d_model)
    for layer in shape.layers:
        yield from list_layer_tensors(layer, shape.d_model)
    yield _vector(shape.d_model)
    if not shape.tied:
        yield Tensor("head", shape.vocab_size, shape.d_model)


def list_layer_tensors(layer: Layer, d_model: int) -> Iterator[Tensor]:
    """Yield the weights of one decoder layer with its two norms."""
    if isinstance(layer.attention, LatentAttention):
        yield from _latent_tensors(layer.attention, d_model)
    else:
        yield from _grouped_tensors(layer.attention, d_model)
    if isinstance(layer.feed_forward, DenseFeedForward):
        yield from _gated_tensors(d_model, layer.feed_forward.d_ff, bias=layer.feed_forward.bias)
    else:
        yield from _expert_tensors(layer.feed_forward, d_model)
    yield from (_vector(d_model), _vector(d_model))


def list_mtp_tensors(mtp: MultiTokenPrediction, d_model: int) -> Iterator[Tensor]:
    """Yield what the prediction modules own: a layer, the projection of two joined inputs, and three norms."""
    for _ in range(mtp.num_modules):
        yield from list_layer_tensors(mtp.layer, d_model)
        yield Tensor("feed_forward", d_model, 2 * d_model)
        yield from (_vector(d_model), _vector(d_model), _vector(d_model))


def _vector(size: int, copies: int = 1, used: int = 1) -> Tensor:
    return Tensor("vector", 1, size, copies, used)


def _grouped_tensors(attention: GroupedQueryAttention, d_model: int) -> Iterator[Tensor]:
    d_query = attention.num_heads * attention.head_dim
    d_key = attention.num_kv_heads * attention.head_dim
    yield Tensor("attention", d_query, d_model)
    yield from (Tensor("attention", d_key, d_model), Tensor("attention", d_key, d_model))
    yield Tensor("attention", d_model, d_query)
    if attention.qkv_bias:
        yield from (_vector(d_query), _vector(d_key), _vector(d_key))
    if attention.output_bias:
        yield _vector(d_model)
    if attention.qk_norm == "per_head":
        yield from (_vector(attention.head_dim), _vector(attention.head_dim))
    elif attention.qk_norm == "full_width":
        yield from (_vector(d_query), _vector(d_key))
    if attention.sinks:
        yield _vector(attention.num_heads)


def _latent_tensors(attention: LatentAttention, d_model: int) -> Iterator[Tensor]:
    d_query = attention.num_heads * (attention.nope_dim + attention.rope_dim)
    d_latent = attention.kv_rank + attention.rope_dim
    if attention.q_rank is None:
        yield Tensor("attention", d_query, d_model)
    else:
        yield Tensor("attention", attention.q_rank, d_model)
        yield _vector(attention.q_rank)
        yield Tensor("attention", d_query, attention.q_rank)
        if attention.bias:
            yield _vector(attention.q_rank)
    yield Tensor("attention", d_latent, d_model)
    yield _vector(attention.kv_rank)
    yield Tensor("attention", attention.num_heads * (attention.nope_dim + attention.v_dim), attention.kv_rank)
    yield Tensor("attention", d_model, attention.num_heads * attention.v_dim)
    if attention.bias:
        yield from (_vector(d_latent), _vector(d_model))


def _gated_tensors(d_model: int, d_ff: int, *, bias: bool) -> Iterator[Tensor]:
    yield from (Tensor("feed_forward", d_ff, d_model), Tensor("feed_forward", d_ff, d_model))
    yield Tensor("feed_forward", d_model, d_ff)
    if bias:
        yield from (_vector(d_ff), _vector(d_ff), _vector(d_model))


def _expert_tensors(experts: ExpertFeedForward, d_model: int) -> Iterator[Tensor]:
    copies, used = experts.num_experts, experts.top_k
    yield Tensor("router", experts.num_experts, d_model)
    if experts.router_bias:
        yield _vector(experts.num_experts)
    for rows, columns in ((experts.d_expert, d_model), (experts.d_expert, d_model), (d_model, experts.d_expert)):
        yield Tensor("expert", rows, columns, copies, used)
    if experts.expert_bias:
        yield _vector(2 * experts.d_expert, copies, used)
        yield _vector(d_model, copies, used)
    if experts.d_shared:
        yield from _gated_tensors(d_model, experts.d_shared, bias=experts.shared_bias)
        if experts.shared_gate:
            yield Tensor("router", 1, d_model)
