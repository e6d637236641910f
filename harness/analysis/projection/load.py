"""What a model asks of a card: bytes and FLOPs of a decode step or a prompt, from its shape."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from harness.core.errors import ConfigError
from harness.flops.published.attention import count_cached_elements, count_flops_per_pair, count_seen
from harness.flops.published.count import count_causal_flops, count_forward_flops
from harness.flops.published.shape import LatentAttention, Reach, Shape
from harness.flops.published.storage import (
    BYTES_PER_ELEMENT,
    DEFAULT_DTYPE,
    StoredWeights,
    count_tensor_bytes,
    resolve_dtype,
)
from harness.flops.published.tensors import Tensor, list_tensors


@dataclass(frozen=True, slots=True)
class RoutedWeights:
    """Weights of routed experts that share one (`num_experts`, `top_k`): `num_bytes` of all experts of all layers."""

    num_experts: int
    top_k: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class AlikeLayers:
    """Layers whose attention costs the same: FLOPs of a query and a key, and what a token leaves in the cache."""

    num_layers: int
    reach: Reach
    flops_per_pair: int
    cached_elements: int


@dataclass(frozen=True, slots=True)
class Load:
    """A model's weights and cache as a decoder meets them.

    `fixed_bytes` are read in every step whatever the batch: all weights but the routed experts and the table of an
    untied input embedding, of which a token reads one row (not counted). `product_flops` are those of one token with
    weights; latent attention works on the cached latents.
    """

    shape: Shape
    num_params: int
    stored_bytes: int
    fixed_bytes: int
    routed: tuple[RoutedWeights, ...]
    product_flops: int
    attention: tuple[AlikeLayers, ...]
    weights: str
    cache_width: int
    cache_dtype: str
    is_fp8: bool

    def count_weight_bytes(self, batch: int, correlation: float = 0.0) -> float:
        """Return bytes of weights that a step with `batch` tokens reads."""
        routed = (r.num_bytes * count_distinct(r.num_experts, r.top_k, batch, correlation) for r in self.routed)
        return self.fixed_bytes + sum(routed)

    def coverage(self, batch: int, correlation: float = 0.0) -> float | None:
        """Return the share of routed weights that a step reads; ``None`` without routed experts."""
        total = sum(r.num_bytes for r in self.routed)
        if not total:
            return None
        return (self.count_weight_bytes(batch, correlation) - self.fixed_bytes) / total

    def count_cache_bytes(self, context: int) -> int:
        """Return bytes of one sequence's cache at a context length, windows and chunks considered."""
        elements = sum(a.num_layers * a.cached_elements * count_seen(a.reach, context) for a in self.attention)
        return self.cache_width * elements

    def count_decode_flops(self, context: int) -> int:
        """Return FLOPs of one decoded token over `context` positions."""
        pairs = sum(a.num_layers * a.flops_per_pair * count_seen(a.reach, context) for a in self.attention)
        return self.product_flops + pairs

    def count_prompt_flops(self, num_tokens: int) -> float:
        """Return FLOPs to prefill one prompt: causal attention, the head at the last position only."""
        head = 2 * self.shape.vocab_size * self.shape.d_model
        return num_tokens * (count_causal_flops(self.shape, num_tokens) - head) + head


def count_distinct(num_experts: int, top_k: int, batch: int, correlation: float = 0.0) -> float:
    """Return the expected share of experts that a batch touches: ``1 - (1 - k/E)^n`` with n independent tokens.

    `correlation` is the share of further tokens that choose nothing new: n = 1 + (batch - 1) (1 - correlation).
    """
    independent = 1 + (batch - 1) * (1 - correlation)
    return float(1.0 - (1.0 - top_k / num_experts) ** independent)


def build_load(shape: Shape, *, dtype: str | None = None, kv_dtype: str | None = None) -> Load:
    """Return what the model asks of a card; `dtype` of the weights and `kv_dtype` of the cache override the config.

    Raises:
        ConfigError: an unknown data type, or a quantisation whose bytes are not known here.
    """
    own = resolve_dtype(shape.dtype or DEFAULT_DTYPE)
    weights_dtype = own if dtype is None else resolve_dtype(dtype)
    quantization = shape.quantization if dtype is None else None
    cache_dtype = own if kv_dtype is None else resolve_dtype(kv_dtype)

    def count(tensors: list[Tensor]) -> StoredWeights:
        return count_tensor_bytes(tensors, quantization, weights_dtype)

    tensors = list(list_tensors(shape))
    stored = count(tensors)
    if stored.num_bytes is None:
        raise ConfigError(f"{shape.model_type}: the weights are {stored.assumption}; give --dtype, e.g. --dtype bf16.")
    groups: dict[tuple[int, int], list[Tensor]] = {}
    fixed = []
    for tensor in tensors:
        if tensor.copies > tensor.used:
            groups.setdefault((tensor.copies, tensor.used), []).append(tensor)
        elif tensor.role != "embedding" or shape.tied:
            fixed.append(tensor)
    return Load(
        shape=shape,
        num_params=sum(tensor.num_params for tensor in tensors),
        stored_bytes=stored.num_bytes,
        fixed_bytes=count(fixed).num_bytes or 0,
        routed=tuple(RoutedWeights(*key, count(group).num_bytes or 0) for key, group in groups.items()),
        product_flops=count_forward_flops(shape, 0),
        attention=_group_layers(shape),
        weights=stored.assumption,
        cache_width=BYTES_PER_ELEMENT[cache_dtype],
        cache_dtype=cache_dtype,
        is_fp8=(quantization is not None and quantization.method == "fp8") or weights_dtype.startswith("float8"),
    )


def _group_layers(shape: Shape) -> tuple[AlikeLayers, ...]:
    absorbed = any(isinstance(layer.attention, LatentAttention) for layer in shape.layers)
    counted = Counter(
        (layer.reach, count_flops_per_pair(layer, absorbed=absorbed), count_cached_elements(layer))
        for layer in shape.layers
    )
    return tuple(AlikeLayers(num_layers, *costs) for costs, num_layers in counted.items())
