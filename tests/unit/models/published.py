"""Small models of transformers with random weights, one for each family and for what differs inside one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    DeepseekV3Config,
    LlamaConfig,
    MixtralConfig,
    OlmoeConfig,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
)

COMMON: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
    "rms_norm_eps": 1e-5,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
}
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 5000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}  # fmt: skip
YARN = {
    "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "mscale": 1.0, "mscale_all_dim": 0.8, "beta_fast": 32,
    "beta_slow": 1, "original_max_position_embeddings": 64,
}  # fmt: skip
PLAIN = {"rope_type": "default", "rope_theta": 20000.0}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 3.0}


def deepseek(**changes: Any) -> Any:
    """Return DeepSeek-V3 with grouped experts, two of them shared, and compressed queries."""
    values = COMMON | {
        "num_key_value_heads": 4, "intermediate_size": 48, "moe_intermediate_size": 24, "n_routed_experts": 8,
        "num_experts_per_tok": 3, "n_shared_experts": 2, "first_k_dense_replace": 1, "n_group": 4, "topk_group": 2,
        "routed_scaling_factor": 2.5, "norm_topk_prob": True, "q_lora_rank": 20, "kv_lora_rank": 16,
        "qk_rope_head_dim": 8, "qk_nope_head_dim": 12, "v_head_dim": 10, "rope_parameters": YARN,
    }  # fmt: skip
    return DeepseekV3Config(**values | changes)


FAMILIES: dict[str, Callable[[], Any]] = {
    "llama 2": lambda: LlamaConfig(intermediate_size=48, rope_parameters=PLAIN, **COMMON),
    "llama 3.1": lambda: LlamaConfig(intermediate_size=48, rope_parameters=LLAMA3, **COMMON),
    "llama tied, stretched": lambda: LlamaConfig(
        intermediate_size=48, rope_parameters=LINEAR, **COMMON | {"tie_word_embeddings": True}
    ),
    "qwen2": lambda: Qwen2Config(intermediate_size=48, rope_parameters=PLAIN, **COMMON),
    "qwen3": lambda: Qwen3Config(intermediate_size=48, head_dim=12, rope_parameters=PLAIN, **COMMON),
    "qwen3 moe": lambda: Qwen3MoeConfig(
        intermediate_size=48, moe_intermediate_size=24, num_experts=8, num_experts_per_tok=2, head_dim=12,
        norm_topk_prob=True, rope_parameters=PLAIN, **COMMON,
    ),
    "mixtral": lambda: MixtralConfig(
        intermediate_size=24, num_local_experts=8, num_experts_per_tok=2, rope_parameters=PLAIN, **COMMON
    ),
    "olmoe": lambda: OlmoeConfig(
        intermediate_size=24, num_experts=8, num_experts_per_tok=3, rope_parameters=PLAIN, **COMMON
    ),
    "deepseek v3": deepseek,
    "deepseek v3, whole queries, halves": lambda: deepseek(
        q_lora_rank=None, rope_interleave=False, n_group=1, topk_group=1
    ),
}  # fmt: skip


def build(name: str) -> Any:
    """Return a model of transformers whose weights, gains and biases are all random."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(FAMILIES[name](), attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(1.0 if parameter.dim() == 1 else 0.0, 0.2)
        for key, buffer in model.named_buffers():
            if key.endswith("e_score_correction_bias"):
                buffer.normal_(0.0, 0.2)
    return model
