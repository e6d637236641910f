"""Small configs of every family with the switches that change what is built; the models that transformers builds."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

CONFIGS = Path(__file__).resolve().parents[4] / "conf" / "published"
PUBLISHED = sorted(path.stem for path in CONFIGS.glob("*.json"))

_BASE = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
_MLA = {
    "num_key_value_heads": 4,
    "kv_lora_rank": 20,
    "q_lora_rank": 12,
    "qk_nope_head_dim": 10,
    "qk_rope_head_dim": 6,
    "v_head_dim": 14,
    "n_routed_experts": 8,
    "n_shared_experts": 2,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 24,
    "first_k_dense_replace": 1,
    "n_group": 2,
    "topk_group": 1,
}
_EXPERTS = {"num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 24}
_GPT_OSS = {
    **_BASE,
    "model_type": "gpt_oss",
    "head_dim": 10,
    "num_local_experts": 6,
    "num_experts_per_tok": 2,
    "sliding_window": 64,
}
_LLAMA4 = {
    **_BASE,
    "model_type": "llama4_text",
    "head_dim": 10,
    "intermediate_size_mlp": 72,
    "num_local_experts": 4,
    "num_experts_per_tok": 1,
    "interleave_moe_layer_step": 2,
    "attention_chunk_size": 64,
}
_QWEN2_MOE = {**_BASE, **_EXPERTS, "model_type": "qwen2_moe", "shared_expert_intermediate_size": 40}
_QWEN3_MOE = {**_BASE, **_EXPERTS, "model_type": "qwen3_moe", "head_dim": 10}
_MIXTRAL = {**_BASE, "model_type": "mixtral", "num_local_experts": 6, "num_experts_per_tok": 2}
_OLMOE = {**_BASE, "model_type": "olmoe", "num_experts": 6, "num_experts_per_tok": 3}

SMALL: dict[str, dict[str, Any]] = {
    "llama": {**_BASE, "model_type": "llama"},
    "llama_tied_biased": {
        **_BASE,
        "model_type": "llama",
        "tie_word_embeddings": True,
        "attention_bias": True,
        "mlp_bias": True,
        "head_dim": 10,
    },
    "llama_multi_head": {**_BASE, "model_type": "llama", "num_key_value_heads": None},
    "qwen2": {**_BASE, "model_type": "qwen2"},
    "qwen2_tied_sliding": {
        **_BASE,
        "model_type": "qwen2",
        "tie_word_embeddings": True,
        "use_sliding_window": True,
        "sliding_window": 64,
        "max_window_layers": 1,
    },
    "qwen3": {**_BASE, "model_type": "qwen3", "head_dim": 10},
    "qwen3_tied_biased": {
        **_BASE,
        "model_type": "qwen3",
        "head_dim": 10,
        "tie_word_embeddings": True,
        "attention_bias": True,
    },
    "mixtral": _MIXTRAL,
    "mixtral_sliding_tied": {**_MIXTRAL, "head_dim": 10, "sliding_window": 64, "tie_word_embeddings": True},
    "qwen2_moe": _QWEN2_MOE,
    "qwen2_moe_mixed": {**_QWEN2_MOE, "decoder_sparse_step": 2, "qkv_bias": False, "tie_word_embeddings": True},
    "qwen2_moe_without_experts": {**_QWEN2_MOE, "num_experts": 0, "num_experts_per_tok": 1},
    "qwen3_moe": _QWEN3_MOE,
    "qwen3_moe_mixed": {**_QWEN3_MOE, "mlp_only_layers": [0, 2], "attention_bias": True},
    "qwen3_moe_stepped": {**_QWEN3_MOE, "decoder_sparse_step": 2, "mlp_only_layers": [3], "tie_word_embeddings": True},
    "olmoe": _OLMOE,
    "olmoe_biased_tied": {**_OLMOE, "attention_bias": True, "tie_word_embeddings": True, "num_key_value_heads": None},
    "deepseek_v2": {**_BASE, **_MLA, "model_type": "deepseek_v2"},
    "deepseek_v2_direct_biased": {
        **_BASE,
        **_MLA,
        "model_type": "deepseek_v2",
        "q_lora_rank": None,
        "attention_bias": True,
        "mlp_bias": True,
        "tie_word_embeddings": True,
        "first_k_dense_replace": 2,
    },
    "deepseek_v3": {**_BASE, **_MLA, "model_type": "deepseek_v3"},
    "deepseek_v3_direct_biased": {
        **_BASE,
        **_MLA,
        "model_type": "deepseek_v3",
        "q_lora_rank": None,
        "attention_bias": True,
        "tie_word_embeddings": True,
        "first_k_dense_replace": 0,
    },
    "deepseek_v3_dense": {**_BASE, **_MLA, "model_type": "deepseek_v3", "first_k_dense_replace": 4},
    "gpt_oss": _GPT_OSS,
    "gpt_oss_unbiased_tied": {**_GPT_OSS, "attention_bias": False, "tie_word_embeddings": True},
    "gpt_oss_all_full": {**_GPT_OSS, "layer_types": ["full_attention"] * 4},
    "llama4": _LLAMA4,
    "llama4_all_sparse": {**_LLAMA4, "interleave_moe_layer_step": 1, "attention_bias": True, "use_qk_norm": False},
    "llama4_listed": {**_LLAMA4, "moe_layers": [0, 3], "no_rope_layers": [0, 1, 0, 1], "tie_word_embeddings": True},
}


def load_published(name: str) -> dict[str, Any]:
    """Return a published config."""
    content: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text())
    return content


def build_config(config: dict[str, Any], **settings: Any) -> Any:
    """Return transformers' configuration of the language model, without quantisation."""
    keys = copy.deepcopy(config.get("text_config", config))
    keys.pop("quantization_config", None)
    return AutoConfig.for_model(keys.pop("model_type"), **keys, **settings)


def build_module(config: dict[str, Any], device: str = "meta", **settings: Any) -> torch.nn.Module:
    """Return transformers' causal language model of a config."""
    with torch.device(device):
        module: torch.nn.Module = AutoModelForCausalLM.from_config(build_config(config), **settings).eval()
    return module


def count_module_params(module: torch.nn.Module) -> int:
    """Return the parameters of a module, a tied one once."""
    return sum(parameter.numel() for parameter in module.parameters())
