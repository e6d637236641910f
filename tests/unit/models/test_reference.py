"""Our transformer gives the logits of transformers' models, with the same small random weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, DeepseekV3Config, LlamaConfig, MixtralConfig, OlmoeConfig

from harness.core.config import ModelConfig, MoEConfig
from harness.core.model_config import RopeScaling
from harness.models import build_model
from harness.models.transformer import Transformer

COMMON: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "mscale": 1.0,
    "mscale_all_dim": 0.8,
    "beta_fast": 32,
    "beta_slow": 1,
    "original_max_position_embeddings": 64,
}
OURS: dict[str, Any] = {
    "d_model": 32,
    "num_layers": 3,
    "num_heads": 4,
    "num_kv_heads": 2,
    "vocab_size": 64,
    "qk_norm": False,
    "tie_embeddings": False,
}


def llama() -> tuple[Any, ModelConfig]:
    theirs = LlamaConfig(intermediate_size=48, rms_norm_eps=1e-6, rope_parameters=LLAMA3, **COMMON)
    scaling = RopeScaling(kind="llama3", factor=8.0, original_length=32)
    return theirs, ModelConfig(d_ff=48, rope_theta=5000.0, rope_scaling=scaling, **OURS)


def mixtral() -> tuple[Any, ModelConfig]:
    theirs = MixtralConfig(
        intermediate_size=24, num_local_experts=8, num_experts_per_tok=2, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, **COMMON,
    )  # fmt: skip
    return theirs, MoEConfig(
        router="mixtral", num_experts=8, top_k=2, d_expert=24, num_shared_experts=0, num_dense_layers=0, **OURS
    )


def olmoe() -> tuple[Any, ModelConfig]:
    theirs = OlmoeConfig(
        intermediate_size=24, num_experts=8, num_experts_per_tok=3, norm_topk_prob=False, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, **COMMON,
    )  # fmt: skip
    ours = OURS | {"qk_norm": True, "qk_norm_width": "all"}
    return theirs, MoEConfig(
        router="olmoe", num_experts=8, top_k=3, d_expert=24, num_shared_experts=0, num_dense_layers=0, **ours
    )


def deepseek_v3() -> tuple[Any, ModelConfig]:
    common = COMMON | {"num_key_value_heads": 4}
    theirs = DeepseekV3Config(
        intermediate_size=48, moe_intermediate_size=24, n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=2,
        first_k_dense_replace=1, n_group=4, topk_group=2, routed_scaling_factor=2.5, norm_topk_prob=True,
        q_lora_rank=20, kv_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=12, v_head_dim=10, rms_norm_eps=1e-6,
        rope_parameters=YARN, rope_interleave=False, **common,
    )  # fmt: skip
    scaling = RopeScaling(kind="yarn", factor=4.0, original_length=64, mscale=1.0, mscale_all_dim=0.8)
    ours = OURS | {"num_kv_heads": 4}
    return theirs, MoEConfig(
        attention="mla", q_lora_rank=20, kv_lora_rank=16, d_rope=8, d_head=12, d_value=10, rope_scaling=scaling,
        d_ff=48, num_experts=8, top_k=3, d_expert=24, num_shared_experts=2, num_dense_layers=1, num_groups=4,
        top_groups=2, route_scale=2.5, **ours,
    )  # fmt: skip


@pytest.mark.parametrize("family", [llama, mixtral, olmoe, deepseek_v3])
def test_logits_equal_those_of_transformers(family: Any) -> None:
    theirs_config, ours_config = family()
    torch.manual_seed(0)
    theirs = AutoModelForCausalLM.from_config(theirs_config, attn_implementation="eager").eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, 1.0 if parameter.dim() == 1 else 0.0, 0.2)
    for name, buffer in theirs.named_buffers():
        if name.endswith("e_score_correction_bias"):
            torch.nn.init.normal_(buffer, 0.0, 0.2)
    ours = build_model(ours_config, seed=0).eval()
    carry_over(theirs, ours)
    tokens = torch.randint(0, 64, (2, 100), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = theirs(tokens).logits, ours(tokens).logits_BTV
    assert float((found - expected).norm() / expected.norm()) < 1e-5
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def carry_over(theirs: Any, ours: Transformer) -> None:
    """Copy every weight of `theirs`; all of ours must be set."""
    given = {**dict(theirs.named_parameters()), **dict(theirs.named_buffers())}
    state: dict[str, Tensor] = {
        "embedding.weight": given["model.embed_tokens.weight"],
        "norm.weight": given["model.norm.weight"],
        "head.weight": given["lm_head.weight"],
    }
    for layer in range(ours.config.num_layers):
        source, target = f"model.layers.{layer}.", f"blocks.{layer}."
        part = {name.removeprefix(source): tensor for name, tensor in given.items() if name.startswith(source)}
        state[f"{target}attention_norm.weight"] = part["input_layernorm.weight"]
        state[f"{target}ffn_norm.weight"] = part["post_attention_layernorm.weight"]
        state |= {f"{target}attention.{name}": tensor for name, tensor in _attention(part).items()}
        state |= {f"{target}feed_forward.{name}": tensor for name, tensor in _feed_forward(part).items()}
    ours.load_state_dict({name: tensor.detach().contiguous() for name, tensor in state.items()})


def _attention(part: dict[str, Tensor]) -> dict[str, Tensor]:
    attention = {name.removeprefix("self_attn."): tensor for name, tensor in part.items() if "self_attn." in name}
    if "kv_b_proj.weight" in attention:
        names = {
            "q_down": "q_a_proj", "q_norm": "q_a_layernorm", "q_up": "q_b_proj", "kv_down": "kv_a_proj_with_mqa",
            "kv_norm": "kv_a_layernorm", "kv_up": "kv_b_proj", "out": "o_proj",
        }  # fmt: skip
        return {f"{ours}.weight": attention[f"{theirs}.weight"] for ours, theirs in names.items()}
    found = {
        "qkv.weight": torch.cat([attention[f"{name}_proj.weight"] for name in "qkv"]),
        "out.weight": attention["o_proj.weight"],
    }
    return found | {
        f"{name}.weight": attention[f"{name}.weight"] for name in ("q_norm", "k_norm") if f"{name}.weight" in attention
    }


def _feed_forward(part: dict[str, Tensor]) -> dict[str, Tensor]:
    mlp = {name.removeprefix("mlp."): tensor for name, tensor in part.items() if name.startswith("mlp.")}

    def dense(prefix: str, target: str) -> dict[str, Tensor]:
        return {
            f"{target}.gate_up.weight": torch.cat((mlp[f"{prefix}gate_proj.weight"], mlp[f"{prefix}up_proj.weight"])),
            f"{target}.down.weight": mlp[f"{prefix}down_proj.weight"],
        }

    if "gate_proj.weight" in mlp:
        return dense("", "ffn")
    found = {
        "router.weight": mlp["gate.weight"],
        "experts.gate_up_EDF": mlp["experts.gate_up_proj"].transpose(1, 2),
        "experts.down_EFD": mlp["experts.down_proj"].transpose(1, 2),
    }
    if "gate.e_score_correction_bias" in mlp:
        found["router.bias"] = mlp["gate.e_score_correction_bias"]
    if "shared_experts.gate_proj.weight" in mlp:
        found |= dense("shared_experts.", "shared")
    return found
