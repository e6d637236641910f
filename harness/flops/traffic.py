"""Bytes that inference must read by formula: weights once a pass through the model, cached keys and values once a step.

What a step must read is the least that it can do with: no weight twice, nothing written, no activations, and of the
input embedding only as much as an output projection reads anyway (looked-up rows are left out). Bytes a second over the
memory's peak are the bandwidth utilisation (MBU). Of a layer's experts only those are read that a token of the pass
chose: so many as were counted, or as an even and independent router would touch, E (1 - (1 - k/E)^n) for n tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.model_config import ModelConfig, MoEConfig
from harness.core.records import ParamCount

DENSE_SOURCE = "formula"
EVEN_SOURCE = "formula, experts as an even router would touch them"
COUNTED_SOURCE = "formula, experts as decode steps of this batch size touched them"


def estimate_distinct_experts(num_experts: int, top_k: int, num_tokens: float) -> float:
    """Return how many of a layer's experts `num_tokens` touch under an even and independent router, on average."""
    untouched: float = (1.0 - top_k / num_experts) ** num_tokens
    return num_experts * (1.0 - untouched)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one model reads. `kv_numbers_per_token` is what one position takes in the caches of all layers.

    Weights and caches take `bytes_per_number` each.
    """

    config: ModelConfig
    params: ParamCount
    kv_numbers_per_token: int
    bytes_per_number: int

    def weight_bytes(self, num_tokens: float, distinct_experts: float | None = None) -> float:
        """Return the bytes of weights that a pass over `num_tokens` reads, the output projection among them.

        `distinct_experts` is the mean over expert layers of how many were touched; ``None``: as an even router would.
        """
        numbers = float(self.params.active_non_embedding + self.params.embedding)
        if isinstance(self.config, MoEConfig):
            config = self.config
            if distinct_experts is None:
                distinct_experts = estimate_distinct_experts(config.num_experts, config.top_k, num_tokens)
            num_sparse = config.num_layers - config.num_dense_layers
            numbers += num_sparse * (distinct_experts - config.top_k) * 3 * config.d_model * config.d_expert
        return numbers * self.bytes_per_number

    def prefill_bytes(self, batch_size: int, num_prompt_tokens: int) -> float:
        """Return what the prefill of a batch reads: weights alone, since its caches are still empty."""
        return self.weight_bytes(batch_size * num_prompt_tokens)

    def decode_bytes(
        self, batch_size: int, num_prompt_tokens: int, num_steps: int, distinct_experts: float | None = None
    ) -> float:
        """Return what `num_steps` decode steps of a batch read; step i reads the prompt's and i new positions."""
        positions = num_steps * num_prompt_tokens + num_steps * (num_steps + 1) / 2
        cache = batch_size * positions * self.kv_numbers_per_token * self.bytes_per_number
        return num_steps * self.weight_bytes(batch_size, distinct_experts) + cache
