"""From a configuration to a model, and to its parameter count without building it."""

from __future__ import annotations

import torch
from torch import nn

from harness.core.errors import ConfigError
from harness.core.model_config import ModelConfig, MoEConfig, head_dims
from harness.core.records import ParamCount
from harness.models.block import Block
from harness.models.experts import RoutedExperts
from harness.models.layers import SwiGLU
from harness.models.router import Router
from harness.models.transformer import Transformer


def build_model(config: ModelConfig, seed: int) -> Transformer:
    """Build and initialise a model on the CPU in fp32; the same seed gives the same weights.

    Raises:
        ConfigError: the module's parameters differ from `count_params`, or `vocab_size` is not set.
    """
    if config.vocab_size <= 0:
        raise ConfigError("model.vocab_size is not set; the runner takes it from the tokenizer (0 means that).")
    model = Transformer(config)
    init_weights(model, config, seed)
    counted = count_params(config).total
    built = sum(p.numel() for p in model.parameters())
    if counted != built:
        raise ConfigError(f"the parameter formula says {counted} and the module has {built}: a bug, please report it.")
    return model


def init_weights(model: Transformer, config: ModelConfig, seed: int) -> None:
    """Initialise: inputs of a product with std 1/sqrt(fan_in), outputs into the residual stream with zero.

    The same rule for all families; zero outputs make each block start as the identity. Gains and biases keep one and
    zero.
    """
    generator = torch.Generator().manual_seed(seed)
    outputs = {id(block.attention.out.weight) for block in model.modules() if isinstance(block, Block)}
    outputs |= {id(ffn.down.weight) for ffn in model.modules() if isinstance(ffn, SwiGLU)}
    with torch.no_grad():
        model.embedding.weight.normal_(0.0, config.embedding_std, generator=generator)
        for module in model.modules():
            if isinstance(module, nn.Linear):
                if id(module.weight) in outputs:
                    module.weight.zero_()
                else:
                    module.weight.normal_(0.0, module.in_features**-0.5, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, RoutedExperts):
                module.gate_up_EDF.normal_(0.0, config.d_model**-0.5, generator=generator)
                module.down_EFD.zero_()
            elif isinstance(module, Router):
                module.weight.normal_(0.0, config.d_model**-0.5, generator=generator)


def count_params(config: ModelConfig) -> ParamCount:
    """Count parameters from the configuration alone; a router's bias is a buffer and not counted.

    `active` is what one token uses at inference: all of a dense model; of the routed experts only the chosen ones;
    modules for extra predictions are in `total` alone, since only training uses them.
    """
    d_model = config.d_model
    attention = _count_attention(config) + 2 * d_model
    dense = attention + 3 * d_model * config.d_ff
    sparse = sparse_active = dense
    num_sparse = 0
    if isinstance(config, MoEConfig):
        num_sparse = config.num_layers - config.num_dense_layers
        expert = 3 * d_model * config.d_expert
        always = attention + config.num_shared_experts * expert + config.num_experts * d_model
        sparse, sparse_active = always + config.num_experts * expert, always + config.top_k * expert
    num_dense = config.num_layers - num_sparse
    body = num_dense * dense + num_sparse * sparse + d_model
    active = num_dense * dense + num_sparse * sparse_active + d_model
    predictor = 2 * d_model * d_model + 3 * d_model + (sparse if num_sparse else dense)
    embedding = config.vocab_size * d_model
    tables = embedding if config.tie_embeddings else 2 * embedding
    return ParamCount(
        total=body + config.mtp_depth * predictor + tables,
        active=active + tables,
        embedding=embedding,
        active_non_embedding=active,
    )


def _count_attention(config: ModelConfig) -> int:
    dims, heads, d_model = head_dims(config), config.num_heads, config.d_model
    if config.attention == "mla":
        queries = heads * dims.d_qk
        rank = dims.q_lora_rank
        query = d_model * rank + rank + rank * queries if rank else d_model * queries
        down = d_model * (dims.kv_lora_rank + dims.d_rope) + dims.kv_lora_rank
        up = dims.kv_lora_rank * heads * (dims.d_plain + dims.d_value)
        return query + down + up + heads * dims.d_value * d_model
    rows = (heads + 2 * config.num_kv_heads) * dims.d_qk
    norms = 2 * dims.d_qk if config.qk_norm_width == "head" else (heads + config.num_kv_heads) * dims.d_qk
    counted = d_model * rows + heads * dims.d_qk * d_model
    return counted + (rows if config.qkv_bias else 0) + (norms if config.qk_norm else 0)
