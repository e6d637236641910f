"""Models of the same dimensions, ours and those of transformers, with random weights."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig, OlmoeConfig

from harness.core.model_config import ModelConfig, MoEConfig
from harness.models.transformer import Transformer

IMPLEMENTATIONS = ("grouped_mm", "eager", "batched_mm")


def make_dense(d_model: int, num_layers: int, d_ff: int, vocab_size: int, num_heads: int = 8) -> ModelConfig:
    """Return a Llama-like model: no norm of queries and keys, a head of its own."""
    return ModelConfig(
        d_model=d_model,
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=num_heads // 2,
        d_ff=d_ff,
        vocab_size=vocab_size,
        qk_norm=False,
        tie_embeddings=False,
    )


def make_sparse(dense: ModelConfig, num_experts: int, top_k: int, d_expert: int) -> MoEConfig:
    """Return a Mixtral-like model with experts in every layer."""
    shared = {
        name: getattr(dense, name) for name in ("d_model", "num_layers", "num_heads", "num_kv_heads", "vocab_size")
    }
    return MoEConfig(
        **shared,
        d_ff=d_expert,
        qk_norm=False,
        tie_embeddings=False,
        router="mixtral",
        num_experts=num_experts,
        top_k=top_k,
        d_expert=d_expert,
        num_shared_experts=0,
        num_dense_layers=0,
    )


def build_ours(config: ModelConfig, device: str = "cpu") -> Transformer:
    """Return our model; output projections are random too, so that no product is with zeros."""
    with torch.device(device), torch.no_grad():
        model = Transformer(config)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.02)
    return model


def build_peer(config: ModelConfig, implementation: str = "grouped_mm", max_length: int = 4096) -> Any:
    """Return transformers' Llama or Mixtral of the same dimensions."""
    common: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "max_position_embeddings": max_length,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": 0,
    }
    if not isinstance(config, MoEConfig):
        peer = LlamaConfig(intermediate_size=config.d_ff, **common)
        return AutoModelForCausalLM.from_config(peer, attn_implementation="sdpa")
    peer = MixtralConfig(
        intermediate_size=config.d_expert,
        num_local_experts=config.num_experts,
        num_experts_per_tok=config.top_k,
        sliding_window=None,
        router_aux_loss_coef=0.01,
        **common,
    )
    return AutoModelForCausalLM.from_config(peer, attn_implementation="sdpa", experts_implementation=implementation)


def build_peer_block(num_experts: int, top_k: int, d_model: int, d_expert: int, implementation: str) -> Any:
    """Return one sparse block of transformers (OLMoE's, whose shapes are free), router included."""
    from transformers.models.olmoe.modeling_olmoe import OlmoeSparseMoeBlock

    config = OlmoeConfig(
        hidden_size=d_model,
        intermediate_size=d_expert,
        num_experts=num_experts,
        num_experts_per_tok=top_k,
        norm_topk_prob=True,
    )
    config._experts_implementation = implementation  # noqa: SLF001 - what from_config sets for a whole model
    block = OlmoeSparseMoeBlock(config)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_(0.0, 0.06)
    return block
