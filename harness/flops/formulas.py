"""FLOPs per token from the configuration alone, by component (1 multiply-add = 2 FLOPs).

Convention: matrix products only; attention over the full context length (not halved for causality), as the operands'
shapes say; an embedding lookup is 0; the backward pass is twice the forward pass (recomputation inside attention
kernels is not counted). ``causal=True`` halves attention instead: position t attends over t + 1 of T positions. Source:
PaLM (arXiv 2204.02311) appendix B, with router, chosen experts, latent attention and extra predictions added.

These are nominal FLOPs: the chosen experts of every token. What padding adds and dropped tokens save is counted by
`harness.flops.executed`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, fields

from harness.core.model_config import ModelConfig, MoEConfig, head_dims, is_sparse

FORMULA_VERSION = 1
CONVENTION = "matmul FLOPs, full (not causally halved) attention, backward = 2 x forward"
TRAIN_FACTOR = 3


@dataclass(frozen=True, slots=True)
class ForwardFlops:
    """Forward FLOPs of one token by component: projections of attention, its scores and mixing, and so on."""

    projections: float = 0.0
    attention: float = 0.0
    dense_ffn: float = 0.0
    routers: float = 0.0
    routed_experts: float = 0.0
    shared_experts: float = 0.0
    head: float = 0.0

    @property
    def total(self) -> float:
        """Return the sum over the components."""
        return float(sum(getattr(self, field.name) for field in fields(self)))


def count_forward_flops_per_token(config: ModelConfig, context_length: float, *, with_head: bool = True) -> float:
    """Return forward FLOPs of one token that attends over `context_length` positions, extra predictions left out."""
    return forward_flops(config, context_length, with_head=with_head).total


def forward_flops(
    config: ModelConfig, context_length: float, *, with_head: bool = True, causal: bool = False, decode: bool = False
) -> ForwardFlops:
    """Return forward FLOPs of one token by component, extra predictions left out.

    ``decode`` is a single token before a cache: with ``mla`` it attends in the latent space.
    """
    attended = (context_length + 1) / 2 if causal else context_length
    projections, per_position = _attention_flops(config, decode=decode)
    sparse = sum(is_sparse(config, layer) for layer in range(config.num_layers))
    router = expert = shared = 0.0
    if isinstance(config, MoEConfig):
        router = sparse * 2 * config.d_model * config.num_experts
        expert = sparse * config.top_k * swiglu_flops(config.d_model, config.d_expert)
        shared = sparse * config.num_shared_experts * swiglu_flops(config.d_model, config.d_expert)
    return ForwardFlops(
        projections=config.num_layers * projections,
        attention=config.num_layers * per_position * attended,
        dense_ffn=(config.num_layers - sparse) * swiglu_flops(config.d_model, config.d_ff),
        routers=router,
        routed_experts=expert,
        shared_experts=shared,
        head=count_head_flops(config) if with_head else 0.0,
    )


def count_train_flops_per_token(config: ModelConfig, context_length: int) -> float:
    """Return forward and backward FLOPs of one training token, extra predictions included."""
    forward = count_forward_flops_per_token(config, context_length)
    extra = sum(_predictor_flops(config, context_length, depth) for depth in range(1, config.mtp_depth + 1))
    return TRAIN_FACTOR * (forward + extra)


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
    return num_steps * forward_flops(config, mean_context, decode=True).total


def swiglu_flops(d_model: int, d_ff: int) -> float:
    """Return forward FLOPs of one token through a SwiGLU."""
    return 6 * d_model * d_ff


def _attention_flops(config: ModelConfig, *, decode: bool) -> tuple[float, float]:
    """Return FLOPs of a layer's projections, and of its attention for each position attended."""
    dims, heads, d_model = head_dims(config), config.num_heads, config.d_model
    if config.attention != "mla":
        rows = (2 * heads + 2 * config.num_kv_heads) * dims.d_qk
        return 2 * d_model * rows, 4 * heads * dims.d_qk
    rank = dims.q_lora_rank
    query = d_model * rank + rank * heads * dims.d_qk if rank else d_model * heads * dims.d_qk
    # decoding folds the up-projection into query and output: as many products, once a token instead of once a key
    up = dims.kv_lora_rank * heads * (dims.d_plain + dims.d_value)
    projections = 2 * (query + d_model * (dims.kv_lora_rank + dims.d_rope) + up + heads * dims.d_value * d_model)
    if decode:
        return projections, 2 * heads * (2 * dims.kv_lora_rank + dims.d_rope)
    return projections, 2 * heads * (dims.d_qk + dims.d_value)


def _predictor_flops(config: ModelConfig, context_length: int, depth: int) -> float:
    """Return forward FLOPs of the module for token `depth` ahead, per training token: it sees that many fewer."""
    length = context_length - depth
    join = 4 * config.d_model * config.d_model
    one = forward_flops(_last_layer(config), length).total
    return (one + join) * length / context_length


def _last_layer(config: ModelConfig) -> ModelConfig:
    """Return the configuration of a model of one layer like the last one."""
    if not isinstance(config, MoEConfig):
        return dataclasses.replace(config, num_layers=1, mtp_depth=0)
    num_dense_layers = 0 if is_sparse(config, config.num_layers - 1) else 1
    return dataclasses.replace(config, num_layers=1, mtp_depth=0, num_dense_layers=num_dense_layers)
