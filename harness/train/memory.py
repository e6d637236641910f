"""Memory that a training step needs, by formula: how many sequences fit a device at once.

Activations after Korthikanti et al. (arXiv 2205.05198, section 4.1), who count what a layer keeps for its backward
pass. Adapted to this model: nothing is recomputed and there is no dropout; attention keeps no scores, where its kernel
is fused; the residual stream and the inputs of its norms are fp32, everything else has the width of the products;
SwiGLU keeps three widths, and each chosen expert its own rows. Logits are counted in the width of the products and
three times in fp32: log-probabilities and two gradients. What autograd keeps on a CPU agrees within a fifth (tests).

Symbols: D model width, F feed-forward width, E experts, k chosen, V vocabulary. Bytes are of one token.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.model_config import ModelConfig, MoEConfig, head_dims, is_sparse

# Share of the free memory that a step may fill: the rest is for fragments, workspaces and other processes.
USABLE_SHARE = 0.8
_FP32, _INDEX = 4, 8
# Padding to the fullest expert takes about twice the rows while a router is young.
_PADDED = 2


@dataclass(frozen=True, slots=True)
class Footprint:
    """What is estimated for: a model at a context, `number_bytes` of a number in a product, scores kept or not."""

    config: ModelConfig
    context_length: int
    number_bytes: int
    keeps_scores: bool = False

    def sequence_bytes(self) -> int:
        """Return what one sequence needs between its forward and its backward pass.

        One layer is counted twice: the backward pass works beside what is kept.
        """
        layers = self.layer_bytes()
        head = self.head_bytes()
        join = 2 * self.config.d_model * (2 * _FP32 + self.number_bytes)
        extra = self.config.mtp_depth * (join + layers[-1] + head)
        return round(self.context_length * (sum(layers) + max(layers) + head + extra))

    def window_bytes(self) -> int:
        """Return what one window of evaluation needs: nothing is kept but the layer that is at work."""
        logits = self.config.vocab_size * (self.number_bytes + 2 * _FP32)
        return round(self.context_length * (max(self.layer_bytes()) + logits))

    def state_bytes(self, num_params: int) -> int:
        """Return gradients and Adam moments (fp32) and, below fp32, the weights' copies for products."""
        return num_params * (3 * _FP32 + (self.number_bytes if self.number_bytes < _FP32 else 0))

    def layer_bytes(self) -> list[float]:
        """Return what each block keeps: both norms with their inputs, attention, and the feed-forward part."""
        config, width = self.config, self.number_bytes
        common = 2 * config.d_model * (_FP32 + width) + self._attention()
        dense = 3 * config.d_ff * width
        sparse = self._experts(config) if isinstance(config, MoEConfig) else 0.0
        return [common + (sparse if is_sparse(config, layer) else dense) for layer in range(config.num_layers)]

    def head_bytes(self) -> float:
        """Return what the final norm and the logits need at the height of the backward pass."""
        config, width = self.config, self.number_bytes
        return config.d_model * (_FP32 + width) + config.vocab_size * (width + 3 * _FP32)

    def _attention(self) -> float:
        """Return what the projections give, what the kernel reads and writes, and its sums of scores or all of them."""
        config, width = self.config, self.number_bytes
        dims, heads = head_dims(config), config.num_heads
        kernel = heads * (2 * dims.d_qk + 2 * dims.d_value) * width + heads * _FP32
        if self.keeps_scores:
            kernel += heads * self.context_length * _FP32
        if config.attention == "mla":
            normed = dims.kv_lora_rank + dims.q_lora_rank
            projected = dims.d_rope + heads * (dims.d_qk + dims.d_plain + dims.d_value) + 2 * normed
        else:
            normed = (heads + config.num_kv_heads) * dims.d_qk if config.qk_norm else 0
            projected = (heads + 2 * config.num_kv_heads) * dims.d_qk if config.qk_norm else 0
        # a norm of narrow numbers works in fp32 and keeps what it read and what it gave
        return kernel + projected * width + (2 * _FP32 * normed if width < _FP32 else 0)

    def _experts(self, config: MoEConfig) -> float:
        """Return the router in fp32, k gathered and k returned rows, and the three widths of each expert.

        The blocked dispatch keeps two widths and no rows; ``auto``, which may choose it, is counted as the others.
        """
        router = config.d_model * _FP32 + 5 * config.num_experts * _FP32 + 4 * config.top_k * _INDEX
        rows = config.top_k * (2 * config.d_model + 3 * config.d_expert)
        if config.dispatch == "blocked":
            rows = config.top_k * 2 * config.d_expert
        elif config.dispatch == "bmm":
            rows *= _PADDED
        return router + (rows + 3 * config.num_shared_experts * config.d_expert) * self.number_bytes


def count_fitting(unit_bytes: int, state_bytes: int, free_bytes: int) -> int:
    """Return how many sequences or windows fit beside the state, 0 where not even one does."""
    return max(0, int(USABLE_SHARE * free_bytes - state_bytes) // max(1, unit_bytes))


def largest_divisor(batch_size: int, limit: int) -> int:
    """Return the largest divisor of `batch_size` up to `limit`, at least 1."""
    return max((size for size in range(1, batch_size + 1) if batch_size % size == 0 and size <= limit), default=1)
