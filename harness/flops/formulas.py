"""FLOPs per token from the configuration alone (1 multiply-add = 2 FLOPs).

Convention: matrix products only; attention over the full context length (not halved for causality), as the operands'
shapes say; an embedding lookup is 0; the backward pass is twice the forward pass (recomputation inside attention
kernels is not counted). Source: PaLM (arXiv 2204.02311) appendix B, with router and chosen experts added.
"""

from __future__ import annotations

from harness.core.config import ModelConfig, MoEConfig

FORMULA_VERSION = 1
CONVENTION = "matmul FLOPs, full (not causally halved) attention, backward = 2 x forward"
TRAIN_FACTOR = 3


def count_forward_flops_per_token(config: ModelConfig, context_length: float, *, with_head: bool = True) -> float:
    """Return forward FLOPs of one token that attends over `context_length` positions."""
    per_layer = _attention_flops(config, context_length)
    total = config.num_layers * per_layer
    if isinstance(config, MoEConfig):
        num_sparse = config.num_layers - config.num_dense_layers
        total += config.num_dense_layers * _swiglu_flops(config.d_model, config.d_ff)
        chosen = (config.top_k + config.num_shared_experts) * _swiglu_flops(config.d_model, config.d_expert)
        router = 2 * config.d_model * config.num_experts
        total += num_sparse * (chosen + router)
    else:
        total += config.num_layers * _swiglu_flops(config.d_model, config.d_ff)
    return total + (count_head_flops(config) if with_head else 0)


def count_train_flops_per_token(config: ModelConfig, context_length: int) -> float:
    """Return forward and backward FLOPs of one training token."""
    return TRAIN_FACTOR * count_forward_flops_per_token(config, context_length)


def count_head_flops(config: ModelConfig) -> float:
    """Return FLOPs of the output projection of one position, tied or not."""
    return 2 * config.d_model * config.vocab_size


def count_prefill_flops(config: ModelConfig, num_tokens: int) -> float:
    """Return FLOPs to prefill a prompt of `num_tokens`, with the head at its last position only."""
    body = num_tokens * count_forward_flops_per_token(config, num_tokens, with_head=False)
    return body + count_head_flops(config)


def count_decode_flops(config: ModelConfig, num_prompt_tokens: int, num_steps: int) -> float:
    """Return FLOPs of `num_steps` decoded tokens; step i attends over the prompt and i + 1 new tokens."""
    mean_context = num_prompt_tokens + (num_steps + 1) / 2
    return num_steps * count_forward_flops_per_token(config, mean_context)


def _attention_flops(config: ModelConfig, context_length: float) -> float:
    d_head = config.d_model // config.num_heads
    projections = 2 * config.d_model * d_head * (2 * config.num_heads + 2 * config.num_kv_heads)
    return projections + 4 * config.num_heads * d_head * context_length


def _swiglu_flops(d_model: int, d_ff: int) -> float:
    return 6 * d_model * d_ff
