"""What prefill and decode steps of a published model cost by its shape: FLOPs, and the bytes that must be read.

FLOPs count full (not causally halved) attention over a prompt, as kernels are shaped, and the head at the last position
of a prompt only. Bytes are the least that a pass can do with: every weight once, of the experts those that are touched,
and the cache; activations, writes and looked-up rows of an untied embedding are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from harness.flops.published.attention import count_cached_elements, count_flops_per_pair, count_seen
from harness.flops.published.count import count_coverage
from harness.flops.published.shape import ExpertFeedForward, LatentAttention, Layer, Shape
from harness.flops.published.storage import BYTES_PER_ELEMENT, count_tensor_bytes
from harness.flops.published.tensors import Tensor, list_layer_tensors, list_tensors

LATENT_REASON = "what decoding over cached latents multiplies depends on the library's version, so no formula holds"


@dataclass(frozen=True, slots=True)
class StepCounter:
    """Costs of `shape` with weights in `dtype` (its own quantisation kept with `quantized`) and a cache in `dtype`."""

    shape: Shape
    dtype: str
    quantized: bool = False

    @property
    def decode_flops_reason(self) -> str | None:
        """Return why decode FLOPs are unknown, or ``None`` where they are known."""
        is_latent = any(isinstance(layer.attention, LatentAttention) for layer in self.shape.layers)
        return LATENT_REASON if is_latent else None

    def prefill_flops(self, num_tokens: int) -> float:
        """Return FLOPs of one prompt of `num_tokens`."""
        pairs = sum(
            number * count_flops_per_pair(layer) * count_seen(layer.reach, num_tokens)
            for layer, number in self._layers().items()
        )
        head = 2 * self.shape.vocab_size * self.shape.d_model
        body = sum(tensor.flops for tensor in list_tensors(self.shape) if tensor.role != "head")
        return float(num_tokens * (body + pairs) + head)

    def decode_flops(self, num_prompt_tokens: int, num_steps: int) -> float | None:
        """Return FLOPs of `num_steps` steps of one sequence; step i attends over the prompt and i new tokens."""
        if self.decode_flops_reason is not None:
            return None
        head = 2 * self.shape.vocab_size * self.shape.d_model
        body = sum(tensor.flops for tensor in list_tensors(self.shape) if tensor.role != "head")
        pairs = sum(
            number * count_flops_per_pair(layer) * self._seen(layer, num_prompt_tokens, num_steps)
            for layer, number in self._layers().items()
        )
        return float(num_steps * (body + head) + pairs)

    def weight_bytes(self, num_tokens: int, distinct_experts: float | None = None) -> float | None:
        """Return bytes of the weights that a pass over `num_tokens` tokens reads.

        `distinct_experts` is the mean over layers of how many are touched; ``None``: as an even router would. The
        result is ``None`` where the checkpoint's storage is not known.
        """
        total = self._bytes(self._weights_beside_experts())
        for layer, number in self._layers().items():
            if not isinstance(layer.feed_forward, ExpertFeedForward):
                continue
            experts = layer.feed_forward
            even = count_coverage(experts.num_experts, experts.top_k, num_tokens)
            share = even if distinct_experts is None else distinct_experts / experts.num_experts
            part = self._bytes(
                [tensor for tensor in list_layer_tensors(layer, self.shape.d_model) if _is_routed(tensor)]
            )
            total = None if total is None or part is None else total + number * share * part
        return total

    def prefill_bytes(self, batch_size: int, num_tokens: int) -> float | None:
        """Return bytes that the prefill of a batch reads: weights alone, since its cache is still empty."""
        return self.weight_bytes(batch_size * num_tokens)

    def decode_bytes(
        self, batch_size: int, num_prompt_tokens: int, num_steps: int, distinct_experts: float | None = None
    ) -> float | None:
        """Return bytes that `num_steps` decode steps of a batch read: weights each step, and the cache so far."""
        weights = self.weight_bytes(batch_size, distinct_experts)
        if weights is None:
            return None
        cached = sum(
            number * count_cached_elements(layer) * self._seen(layer, num_prompt_tokens, num_steps)
            for layer, number in self._layers().items()
        )
        return num_steps * weights + batch_size * cached * BYTES_PER_ELEMENT[self.dtype]

    def _layers(self) -> Counter[Layer]:
        return Counter(self.shape.layers)

    def _seen(self, layer: Layer, num_prompt_tokens: int, num_steps: int) -> float:
        """Return the positions that `num_steps` steps attend over, together."""
        if layer.reach.size is None:
            return num_steps * num_prompt_tokens + num_steps * (num_steps + 1) / 2
        return sum(count_seen(layer.reach, num_prompt_tokens + step) for step in range(1, num_steps + 1))

    def _weights_beside_experts(self) -> Iterator[Tensor]:
        for tensor in list_tensors(self.shape):
            is_lookup = tensor.role == "embedding" and not self.shape.tied
            if not is_lookup and not _is_routed(tensor):
                yield tensor

    def _bytes(self, tensors: Iterator[Tensor] | list[Tensor]) -> float | None:
        quantization = self.shape.quantization if self.quantized else None
        return count_tensor_bytes(list(tensors), quantization, self.dtype).num_bytes


def _is_routed(tensor: Tensor) -> bool:
    """Return whether a weight belongs to routed experts, of which only those that are chosen are read."""
    return tensor.copies > 1 and tensor.used < tensor.copies
