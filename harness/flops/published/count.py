"""The count of a published model: parameters, forward FLOPs, cache, weight bytes and expert coverage."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from harness.core.errors import ConfigError
from harness.flops.formulas import CONVENTION, FORMULA_VERSION
from harness.flops.published.attention import (
    count_cached_elements,
    count_flops_per_pair,
    count_seen,
    count_seen_causally,
)
from harness.flops.published.shape import ExpertFeedForward, LatentAttention, Shape
from harness.flops.published.storage import BYTES_PER_ELEMENT, DEFAULT_DTYPE, count_weight_bytes, resolve_dtype
from harness.flops.published.tensors import list_mtp_tensors, list_tensors

DEFAULT_CONTEXT = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCount:
    """What can be said of a model by arithmetic; what cannot is ``None`` with a reason beside it.

    `active` parameters are all that one token uses, embeddings and head included; `non_embedding` leaves out the input
    embedding and an untied head. `forward_flops_per_token` follows `convention`; `_causal` is the mean over the
    positions of a sequence of `context` tokens; `_absorbed` is full attention on MLA's latents, ``None`` elsewhere.
    `kv_bytes_per_token` counts every layer; `kv_bytes_at_context` lets windows and chunks drop what they no longer see.
    `expected_expert_coverage` is the share of a sparse layer's experts that `batch` tokens touch.
    """

    model_type: str
    num_layers: int
    num_sparse_layers: int
    total_params: int
    total_non_embedding_params: int
    active_params: int
    active_non_embedding_params: int
    active_params_without_input_embedding: int
    embedding_params: int
    untied_head_params: int
    mtp_params: int | None
    mtp_reason: str | None
    context: int
    context_source: str
    max_context: int | None
    forward_flops_per_token: int
    forward_flops_per_token_causal: float
    forward_flops_per_token_absorbed: int | None
    convention: str
    formula_version: int
    dtype: str
    dtype_source: str
    kv_bytes_per_token: int
    kv_bytes_at_context: int
    num_layers_with_bounded_reach: int
    weight_bytes: int | None
    weight_bytes_assumption: str
    batch: int
    num_experts: int | None
    top_k: int | None
    expected_expert_coverage: float | None
    expected_experts_touched: float | None
    coverage_assumption: str | None
    notes: tuple[str, ...]


def count_model(shape: Shape, *, context: int | None = None, batch: int = 1, dtype: str | None = None) -> ModelCount:
    """Count a model at a context length and a batch of tokens.

    `dtype` overrides the config's for weights and cache, and any quantisation with it.

    Raises:
        ConfigError: the context or batch is below 1, or the data type is unknown.
    """
    for name, value in (("context", context), ("batch", batch)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} is {value}; give 1 or more.")
    chosen_context, context_source = _choose_context(shape, context)
    chosen_dtype, dtype_source = _choose_dtype(shape, dtype)
    stored = count_weight_bytes(shape, chosen_dtype, ignore_quantization=dtype is not None)
    tensors = list(list_tensors(shape))
    total = sum(t.num_params for t in tensors)
    active = sum(t.num_active for t in tensors)
    embedding = shape.vocab_size * shape.d_model
    untied_head = 0 if shape.tied else embedding
    is_latent = any(isinstance(layer.attention, LatentAttention) for layer in shape.layers)
    width = BYTES_PER_ELEMENT[chosen_dtype]
    sparse = [layer.feed_forward for layer in shape.layers if isinstance(layer.feed_forward, ExpertFeedForward)]
    experts = sparse[0] if sparse else None
    coverage = None if experts is None else count_coverage(experts.num_experts, experts.top_k, batch)
    return ModelCount(
        model_type=shape.model_type,
        num_layers=len(shape.layers),
        num_sparse_layers=len(sparse),
        total_params=total,
        total_non_embedding_params=total - embedding - untied_head,
        active_params=active,
        active_non_embedding_params=active - embedding - untied_head,
        active_params_without_input_embedding=active - (0 if shape.tied else embedding),
        embedding_params=embedding,
        untied_head_params=untied_head,
        mtp_params=None if shape.mtp is None else sum(t.num_params for t in list_mtp_tensors(shape.mtp, shape.d_model)),
        mtp_reason=shape.mtp_reason,
        context=chosen_context,
        context_source=context_source,
        max_context=shape.max_context,
        forward_flops_per_token=count_forward_flops(shape, chosen_context),
        forward_flops_per_token_causal=count_causal_flops(shape, chosen_context),
        forward_flops_per_token_absorbed=count_forward_flops(shape, chosen_context, absorbed=True)
        if is_latent
        else None,
        convention=CONVENTION,
        formula_version=FORMULA_VERSION,
        dtype=chosen_dtype,
        dtype_source=dtype_source,
        kv_bytes_per_token=width * sum(count_cached_elements(layer) for layer in shape.layers),
        kv_bytes_at_context=width
        * sum(count_cached_elements(layer) * count_seen(layer.reach, chosen_context) for layer in shape.layers),
        num_layers_with_bounded_reach=sum(layer.reach.size is not None for layer in shape.layers),
        weight_bytes=stored.num_bytes,
        weight_bytes_assumption=stored.assumption,
        batch=batch,
        num_experts=None if experts is None else experts.num_experts,
        top_k=None if experts is None else experts.top_k,
        expected_expert_coverage=coverage,
        expected_experts_touched=None if experts is None or coverage is None else coverage * experts.num_experts,
        coverage_assumption=None if experts is None else "every token picks its experts uniformly and independently",
        notes=_notes(shape, chosen_context),
    )


def count_forward_flops(shape: Shape, context: int, *, absorbed: bool = False) -> int:
    """Return forward FLOPs of one token that attends over `context` positions, or over its window or chunk."""
    pairs = sum(
        count_flops_per_pair(layer, absorbed=absorbed) * count_seen(layer.reach, context) for layer in shape.layers
    )
    return _count_product_flops(shape) + pairs


def count_causal_flops(shape: Shape, context: int) -> float:
    """Return forward FLOPs of a token, averaged over a causal sequence of `context` tokens."""
    pairs = sum(count_flops_per_pair(layer) * count_seen_causally(layer.reach, context) for layer in shape.layers)
    return _count_product_flops(shape) + pairs / context


def count_coverage(num_experts: int, top_k: int, batch: int) -> float:
    """Return the expected share of experts that `batch` tokens touch, each picking uniformly and independently."""
    return 1.0 - (1.0 - top_k / num_experts) ** batch


def count_to_json(count: ModelCount) -> dict[str, Any]:
    """Return the count as plain data."""
    return dataclasses.asdict(count)


def _count_product_flops(shape: Shape) -> int:
    """FLOPs of every matrix product with weights; the head multiplies whether it is tied or not."""
    tied_head = 2 * shape.vocab_size * shape.d_model if shape.tied else 0
    return sum(t.flops for t in list_tensors(shape)) + tied_head


def _choose_context(shape: Shape, given: int | None) -> tuple[int, str]:
    if given is not None:
        return given, "given"
    if shape.max_context is not None and shape.max_context < DEFAULT_CONTEXT:
        return shape.max_context, "the config's maximum"
    return DEFAULT_CONTEXT, "default"


def _choose_dtype(shape: Shape, given: str | None) -> tuple[str, str]:
    if given is not None:
        return resolve_dtype(given), "given"
    if shape.dtype is not None:
        return resolve_dtype(shape.dtype), "from the config"
    return DEFAULT_DTYPE, "assumed, the config names none"


def _notes(shape: Shape, context: int) -> tuple[str, ...]:
    notes = list(shape.notes)
    if shape.max_context is not None and context > shape.max_context:
        notes.append(f"the context is beyond the config's maximum of {shape.max_context}")
    if shape.mtp is not None:
        notes.append("multi-token prediction shares the main model's embedding and head; they are counted once")
    return tuple(notes)
