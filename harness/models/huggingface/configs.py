"""A published ``config.json`` as a `ModelConfig`, and back; what our transformer cannot express is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.core.errors import ConfigError, did_you_mean
from harness.core.model_config import ModelConfig, MoEConfig, RopeScaling, head_dims, validate_model

FAMILIES = ("llama", "qwen2", "qwen3", "mixtral", "qwen3_moe", "olmoe", "deepseek_v3")
_CLASSES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "olmoe": "OlmoeForCausalLM",
    "deepseek_v3": "DeepseekV3ForCausalLM",
}
# Fields that must have one of these values (absent is fine): anything else is a model that ours is not.
_MUST: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
    "clip_qkv": (None,),
    "use_sliding_window": (False, None),
    "attention_dropout": (0, 0.0, None),
    "partial_rotary_factor": (1, 1.0, None),
    "scoring_func": ("sigmoid", None),
    "topk_method": ("noaux_tc", None),
    "decoder_sparse_step": (1, None),
    "mlp_only_layers": ([], None),
    "moe_layer_freq": (1, None),
}


def to_model_config(source: Mapping[str, Any]) -> ModelConfig:
    """Return the configuration of our model for a published one; `names` says how the weights fit it.

    Raises:
        ConfigError: an unknown family, or a field that our transformer cannot express.
    """
    family = str(source.get("model_type"))
    if family not in FAMILIES:
        raise ConfigError(f"model_type '{family}' cannot be imported; known: {', '.join(FAMILIES)}."
                          f"{did_you_mean(family, FAMILIES)}")  # fmt: skip
    for name, allowed in _MUST.items():
        if name in source and source[name] not in allowed:
            raise ConfigError(f"{name} is {source[name]!r} in config.json; our model has only {allowed[0]!r}.")
    if source.get("quantization_config"):
        raise ConfigError("the checkpoint is quantised (quantization_config); import one in bf16, fp16 or fp32.")
    if family == "mixtral" and source.get("sliding_window") is not None:
        raise ConfigError(f"sliding_window is {source['sliding_window']}; our attention sees everything.")
    theta, scaling = _read_rope(source)
    heads = _need(source, "num_attention_heads")
    common: dict[str, Any] = {
        "size": family,
        "d_model": _need(source, "hidden_size"),
        "num_layers": _need(source, "num_hidden_layers"),
        "num_heads": heads,
        "num_kv_heads": source.get("num_key_value_heads") or heads,
        "d_head": source.get("head_dim") or 0,
        "d_ff": _need(source, "intermediate_size"),
        "vocab_size": _need(source, "vocab_size"),
        "rope_theta": theta,
        "rope_scaling": scaling,
        "qk_norm": family in ("qwen3", "qwen3_moe", "olmoe"),
        "qk_norm_width": "all" if family == "olmoe" else "head",
        "qkv_bias": family == "qwen2",
        "tie_embeddings": bool(source.get("tie_word_embeddings", False)),
        "norm_eps": source.get("rms_norm_eps", 1e-6),
    }
    config = ModelConfig(**common) if family in ("llama", "qwen2", "qwen3") else _read_sparse(family, source, common)
    validate_model(config)
    return config


def to_published(config: ModelConfig, family: str, extra: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """Return the ``config.json`` of a model of ours; `extra` are published fields that ours does not have (token ids).

    Raises:
        ConfigError: the family cannot express the model.
    """
    dims = head_dims(config)
    result: dict[str, Any] = {
        "max_position_embeddings": 4096,
        **extra,
        "model_type": family,
        "architectures": [_CLASSES[family]],
        "hidden_size": config.d_model,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_heads if config.attention == "mla" else config.num_kv_heads,
        "intermediate_size": config.d_ff,
        "vocab_size": config.vocab_size,
        "rms_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tie_embeddings,
        "hidden_act": "silu",
        "dtype": dtype,
        "rope_parameters": _write_rope(config),
    }
    if config.attention == "gqa":
        result["head_dim"] = dims.d_qk
    if isinstance(config, MoEConfig):
        result |= _write_sparse(config, family)
    if family == "qwen2":
        result["use_sliding_window"] = False
    differs = _find_difference(config, to_model_config(result))
    if differs:
        raise ConfigError(f"model.{differs} is not what a {family} checkpoint can say; give another --family.")
    return result


# Fields of ours that change nothing in a forward pass of evaluation.
_TRAINING_ONLY = frozenset({
    "family", "size", "embedding_std", "mtp_depth", "mtp_weight", "mtp_normed", "bias_update_rate",
    "balance_loss_weight", "z_loss_weight", "capacity_factor", "dispatch",
})  # fmt: skip
_WIDTHS = frozenset({"d_head", "d_rope", "d_value", "kv_lora_rank", "q_lora_rank"})


def _find_difference(config: ModelConfig, again: ModelConfig) -> str | None:
    """Return the first field by which a model differs from what its published configuration says."""
    skipped = {*_TRAINING_ONLY, *_WIDTHS, "rope_scaling"}
    if config.attention == "mla":
        skipped |= {"qk_norm", "qk_norm_width", "num_kv_heads"}
    elif not config.qk_norm:
        skipped.add("qk_norm_width")
    if isinstance(config, MoEConfig) and config.num_dense_layers == 0:
        skipped.add("d_ff")
    if type(config) is not type(again):
        return "family"
    for name, value in vars(config).items():
        if name not in skipped and getattr(again, name) != value:
            return name
    if head_dims(config) != head_dims(again):
        return "d_head"
    return None if _write_rope(config) == _write_rope(again) else "rope_scaling"


def guess_family(config: ModelConfig) -> str:
    """Return the published family that expresses a model of ours."""
    if isinstance(config, MoEConfig):
        if config.attention == "mla" or config.router == "deepseek_v3":
            return "deepseek_v3"
        if config.qk_norm:
            return "olmoe" if config.qk_norm_width == "all" else "qwen3_moe"
        return "mixtral"
    if config.qkv_bias:
        return "qwen2"
    return "qwen3" if config.qk_norm else "llama"


def _read_sparse(family: str, source: Mapping[str, Any], common: dict[str, Any]) -> MoEConfig:
    normalised = bool(source.get("norm_topk_prob", family in ("mixtral", "deepseek_v3")))
    common |= {"num_shared_experts": 0, "num_dense_layers": 0, "top_k": _need(source, "num_experts_per_tok")}
    if family == "deepseek_v3":
        if not normalised:
            raise ConfigError("norm_topk_prob is false; our deepseek_v3 router normalises its gates.")
        return MoEConfig(
            **common | {
                "attention": "mla", "router": "deepseek_v3", "d_head": _need(source, "qk_nope_head_dim"),
                "d_rope": _need(source, "qk_rope_head_dim"), "d_value": _need(source, "v_head_dim"),
                "kv_lora_rank": _need(source, "kv_lora_rank"), "q_lora_rank": source.get("q_lora_rank") or 0,
                "num_experts": _need(source, "n_routed_experts"), "d_expert": _need(source, "moe_intermediate_size"),
                "num_shared_experts": _need(source, "n_shared_experts"),
                "num_dense_layers": source.get("first_k_dense_replace", 0), "num_groups": source.get("n_group") or 1,
                "top_groups": source.get("topk_group") or 1,
                "route_scale": float(source.get("routed_scaling_factor", 1.0)),
            }
        )  # fmt: skip
    experts = source.get("num_local_experts") or source.get("num_experts")
    if experts is None:
        raise ConfigError("num_experts is missing in config.json.")
    width = source.get("moe_intermediate_size") if family == "qwen3_moe" else source["intermediate_size"]
    return MoEConfig(
        router="mixtral" if normalised or family == "mixtral" else "olmoe",
        num_experts=experts,
        d_expert=width,
        **common,
    )


def _write_sparse(config: MoEConfig, family: str) -> dict[str, Any]:
    dims = head_dims(config)
    if family == "deepseek_v3":
        return {
            "qk_nope_head_dim": dims.d_plain, "qk_rope_head_dim": dims.d_rope, "v_head_dim": dims.d_value,
            "kv_lora_rank": dims.kv_lora_rank, "q_lora_rank": dims.q_lora_rank or None, "rope_interleave": True,
            "n_routed_experts": config.num_experts, "moe_intermediate_size": config.d_expert,
            "n_shared_experts": config.num_shared_experts, "num_experts_per_tok": config.top_k,
            "first_k_dense_replace": config.num_dense_layers, "n_group": config.num_groups,
            "topk_group": config.top_groups, "routed_scaling_factor": config.route_scale, "norm_topk_prob": True,
            "num_nextn_predict_layers": config.mtp_depth,
        }  # fmt: skip
    name = "num_local_experts" if family == "mixtral" else "num_experts"
    result: dict[str, Any] = {name: config.num_experts, "num_experts_per_tok": config.top_k}
    if family == "qwen3_moe":
        result |= {"moe_intermediate_size": config.d_expert, "decoder_sparse_step": 1, "mlp_only_layers": []}
    else:
        result["intermediate_size"] = config.d_expert
    if family == "mixtral":
        return result | {"sliding_window": None}
    return result | {"norm_topk_prob": config.router == "mixtral"}


def _read_rope(source: Mapping[str, Any]) -> tuple[float, RopeScaling]:
    found = dict(source.get("rope_parameters") or source.get("rope_scaling") or {})
    theta = float(found.get("rope_theta") or source.get("rope_theta") or 10000.0)
    kind = found.get("rope_type") or found.get("type") or "default"
    if kind == "default":
        return theta, RopeScaling()
    if kind not in ("linear", "llama3", "yarn"):
        raise ConfigError(f"rope_type '{kind}' cannot be imported; known: default, linear, llama3, yarn.")
    if found.get("truncate") is False:
        raise ConfigError("rope_scaling.truncate is false; our YaRN rounds its range.")
    length = found.get("original_max_position_embeddings") or source.get("max_position_embeddings") or 4096
    return theta, RopeScaling(
        kind=kind, factor=float(found["factor"]), original_length=int(length),
        low_frequency_factor=float(found.get("low_freq_factor", 1.0)),
        high_frequency_factor=float(found.get("high_freq_factor", 4.0)),
        beta_fast=float(found.get("beta_fast") or 32), beta_slow=float(found.get("beta_slow") or 1),
        mscale=float(found.get("mscale") or 0), mscale_all_dim=float(found.get("mscale_all_dim") or 0),
        attention_factor=float(found.get("attention_factor") or 0),
    )  # fmt: skip


def _write_rope(config: ModelConfig) -> dict[str, Any]:
    scaling = config.rope_scaling
    result: dict[str, Any] = {"rope_theta": config.rope_theta, "rope_type": "default"}
    if scaling.kind == "none":
        return result
    result |= {"rope_type": scaling.kind, "factor": scaling.factor}
    if scaling.kind != "linear":
        result["original_max_position_embeddings"] = scaling.original_length
    if scaling.kind == "llama3":
        result |= {"low_freq_factor": scaling.low_frequency_factor, "high_freq_factor": scaling.high_frequency_factor}
    if scaling.kind == "yarn":
        result |= {"beta_fast": scaling.beta_fast, "beta_slow": scaling.beta_slow}
        optional = {"mscale": scaling.mscale, "mscale_all_dim": scaling.mscale_all_dim}
        optional["attention_factor"] = scaling.attention_factor
        result |= {name: value for name, value in optional.items() if value}
    return result


def _need(source: Mapping[str, Any], name: str) -> int:
    value = source.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{name} is {'missing' if value is None else repr(value)} in config.json.")
    return value
