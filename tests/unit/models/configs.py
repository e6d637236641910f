"""Small models of every kind for tests, with weights that are all used."""

from __future__ import annotations

import dataclasses
import itertools

import torch

from harness.core.model_config import ModelConfig, MoEConfig
from harness.models import build_model
from harness.models.transformer import Transformer

DENSE = ModelConfig(d_model=32, num_layers=2, num_heads=4, num_kv_heads=2, d_ff=48, vocab_size=64)
MOE = MoEConfig(
    d_model=32, num_layers=3, num_heads=4, num_kv_heads=2, d_ff=48, vocab_size=64, num_experts=8, top_k=2, d_expert=16
)
CONFIGS: tuple[ModelConfig, ...] = (
    DENSE,
    dataclasses.replace(DENSE, tie_embeddings=False, qk_norm=False, qkv_bias=True),
    dataclasses.replace(DENSE, d_head=12, qk_norm_width="all"),
    dataclasses.replace(DENSE, attention="mla"),
    dataclasses.replace(DENSE, attention="mla", q_lora_rank=20, kv_lora_rank=12, d_rope=6, d_value=10, mtp_depth=2),
    MOE,
    dataclasses.replace(MOE, num_shared_experts=0, num_dense_layers=0),
    dataclasses.replace(MOE, top_k=8, num_shared_experts=2, num_dense_layers=2, mtp_depth=1),
    dataclasses.replace(MOE, num_groups=4, top_groups=2),
    *(
        dataclasses.replace(MOE, router=router, attention=attention, top_k=1 if router == "switch" else 2)
        for router, attention in itertools.product(("mixtral", "olmoe", "switch"), ("gqa", "mla"))
    ),
)


def with_random_weights(config: ModelConfig, seed: int = 5) -> Transformer:
    """Return a model for evaluation whose matrices are all random (as built, output projections are zero)."""
    model = build_model(config, seed=0).eval()
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.2, generator=generator)
    return model
