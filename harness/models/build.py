"""From a configuration to a model, and to its parameter count without building it."""

from __future__ import annotations

import math

import torch
from torch import nn

from harness.core.config import ModelConfig, MoEConfig
from harness.core.errors import ConfigError
from harness.core.records import ParamCount
from harness.models.experts import RoutedExperts
from harness.models.layers import SwiGLU
from harness.models.router import DeepSeekV3Router
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

    The same rule for both families; zero outputs make each block start as the identity.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(weight: torch.Tensor, fan_in: int) -> None:
        with torch.no_grad():
            weight.normal_(0.0, 1.0 / math.sqrt(fan_in), generator=generator)

    with torch.no_grad():
        model.embedding.weight.normal_(0.0, config.embedding_std, generator=generator)
    for block in model.blocks:
        normal(block.attention.qkv.weight, config.d_model)
        nn.init.zeros_(block.attention.out.weight)
        for module in block.feed_forward.modules():
            if isinstance(module, SwiGLU):
                normal(module.gate_up.weight, config.d_model)
                nn.init.zeros_(module.down.weight)
            elif isinstance(module, RoutedExperts):
                normal(module.gate_up_EDF, config.d_model)
                nn.init.zeros_(module.down_EFD)
            elif isinstance(module, DeepSeekV3Router):
                normal(module.weight, config.d_model)
    if model.head is not None:
        normal(model.head.weight, config.d_model)


def count_params(config: ModelConfig) -> ParamCount:
    """Count parameters from the configuration alone; the router's bias is a buffer and not counted.

    `active` is what one token uses: all of a dense model; of the routed experts only the chosen ones.
    """
    d_model = config.d_model
    d_head = d_model // config.num_heads
    attention = d_model * (config.num_heads + 2 * config.num_kv_heads) * d_head + d_model * d_model
    attention += 2 * d_head if config.qk_norm else 0
    block = attention + 2 * d_model
    dense_ffn = 3 * d_model * config.d_ff
    num_sparse = config.num_layers - config.num_dense_layers if isinstance(config, MoEConfig) else 0
    total = config.num_layers * block + (config.num_layers - num_sparse) * dense_ffn + d_model
    active = total
    if isinstance(config, MoEConfig):
        expert = 3 * d_model * config.d_expert
        always = config.num_shared_experts * expert + config.num_experts * d_model
        total += num_sparse * (always + config.num_experts * expert)
        active += num_sparse * (always + config.top_k * expert)
    embedding = config.vocab_size * d_model
    tables = embedding if config.tie_embeddings else 2 * embedding
    return ParamCount(total=total + tables, active=active + tables, embedding=embedding, active_non_embedding=active)
