"""Typed configuration of a model: one readable transformer whose parts are chosen by name.

Inert like all of `harness.core`: no torch, no I/O. The choices repeat what is registered in `harness.models`, so that a
config is checked without torch (a contract test compares).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from harness.core.errors import ConfigError, did_you_mean

CHOICES: dict[str, tuple[str, ...]] = {
    "attention": ("gqa", "mla"),
    "qk_norm_width": ("head", "all"),
    "router": ("deepseek_v3", "mixtral", "switch", "olmoe"),
    "dispatch": ("auto", "blocked", "grouped_mm", "bmm", "fused", "loop"),
    "dtype": ("auto", "fp32", "bf16", "fp16"),
    "rope_scaling.kind": ("none", "linear", "llama3", "yarn"),
}


@dataclass(kw_only=True)
class RopeScaling:
    """How rotary frequencies are stretched beyond the length that a model was first trained on (imported models).

    `kind` is ``none``, ``linear``, ``llama3`` (Llama 3.1) or ``yarn`` (arXiv 2309.00071); `attention_factor` 0 means
    YaRN's own ``0.1 ln(factor) + 1``. The two `mscale` values are DeepSeek's.
    """

    kind: str = "none"
    factor: float = 1.0
    original_length: int = 4096
    low_frequency_factor: float = 1.0
    high_frequency_factor: float = 4.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    mscale: float = 0.0
    mscale_all_dim: float = 0.0
    attention_factor: float = 0.0


@dataclass(kw_only=True)
class ModelConfig:
    """A pre-norm decoder: RMSNorm, RoPE, attention by name, SwiGLU. `vocab_size` 0 means the tokenizer's.

    `d_head` 0 means ``d_model / num_heads``. With ``attention: mla`` keys and values are compressed to `kv_lora_rank`
    (0: four heads' width) and queries to `q_lora_rank` (0: not compressed); `d_rope` (0: half a head) dimensions carry
    the position and `d_value` (0: `d_head`) the value. `qk_norm` belongs to ``gqa`` and normalises each head or, with
    `qk_norm_width: all`, all heads as one; ``mla`` normalises its compressed vectors instead. `mtp_depth` adds so many
    multi-token-prediction modules, whose mean loss counts `mtp_weight`; with `mtp_normed` each takes what the output
    head sees at the depth before, after the final norm, as engines run the published DeepSeek-V3, not the bare stream.
    """

    family: str = "dense"
    size: str = "s"
    d_model: int = 128
    num_layers: int = 3
    num_heads: int = 4
    num_kv_heads: int = 4
    d_head: int = 0
    d_ff: int = 384
    vocab_size: int = 0
    attention: str = "gqa"
    kv_lora_rank: int = 0
    q_lora_rank: int = 0
    d_rope: int = 0
    d_value: int = 0
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling = field(default_factory=RopeScaling)
    qk_norm: bool = True
    qk_norm_width: str = "head"
    qkv_bias: bool = False
    tie_embeddings: bool = True
    norm_eps: float = 1e-6
    embedding_std: float = 0.02
    mtp_depth: int = 0
    mtp_weight: float = 0.3
    mtp_normed: bool = False


@dataclass(kw_only=True)
class MoEConfig(ModelConfig):
    """Sparse experts in every layer after the first `num_dense_layers`; `d_ff` is the width of the dense layers.

    Each router balances its load in its own way; weights and `capacity_factor` left at null are its own (see
    `harness.models.router`), and 0 leaves a loss out. `num_groups` and `top_groups` limit ``deepseek_v3`` to experts of
    the best groups. `capacity_factor` is how many times the mean load an expert takes; choices beyond it are dropped in
    training, never in evaluation.
    """

    family: str = "moe"
    num_experts: int = 16
    top_k: int = 2
    d_expert: int = 128
    num_shared_experts: int = 1
    num_dense_layers: int = 1
    router: str = "deepseek_v3"
    route_scale: float = 1.0
    num_groups: int = 1
    top_groups: int = 1
    bias_update_rate: float = 1e-3
    balance_loss_weight: float | None = None
    z_loss_weight: float | None = None
    capacity_factor: float | None = None
    dispatch: str = "auto"


@dataclass(kw_only=True)
class HuggingFaceConfig(ModelConfig):
    """A published causal language model in a folder (config.json, weights, tokenizer), run by `transformers` as it is.

    Nothing is trained; the fields that describe our own transformer are not used. `dtype` is ``auto`` (as stored),
    ``fp32``, ``bf16`` or ``fp16``. `experts_implementation` pins how experts are run, `attention_implementation` how
    attention is; empty: the library's default, which is recorded. `chat_template` wraps prompts as the tokenizer says.
    `dense` and `moe` are what ``experiment=pair_hf`` puts in place of `path`. Code that comes with a model
    is never run.
    """

    family: str = "hf"
    size: str = "hf"
    path: str = ""
    dense: str = ""
    moe: str = ""
    dtype: str = "auto"
    device_map: str = ""
    experts_implementation: str = ""
    attention_implementation: str = ""
    chat_template: bool = False


@dataclass(frozen=True, slots=True)
class HeadDims:
    """Widths of one attention head, zeros of the configuration resolved: query and key, of it rotated, value."""

    d_qk: int
    d_rope: int
    d_value: int
    kv_lora_rank: int
    q_lora_rank: int

    @property
    def d_plain(self) -> int:
        """Return the width of a query or key that carries no position."""
        return self.d_qk - self.d_rope


def head_dims(config: ModelConfig) -> HeadDims:
    """Return the widths of one attention head; for ``gqa`` all of a head is rotated and nothing is compressed."""
    d_head = config.d_head or config.d_model // config.num_heads
    if config.attention != "mla":
        return HeadDims(d_head, d_head, d_head, 0, 0)
    d_rope = config.d_rope or d_head // 2
    return HeadDims(
        d_head + d_rope, d_rope, config.d_value or d_head, config.kv_lora_rank or 4 * d_head, config.q_lora_rank
    )


def name_model(place: str) -> str:
    """Return the own name of a model from its folder's path or a repository's name, fit for file names.

    A snapshot in the cache of `huggingface_hub` (``models--org--name/snapshots/...``) has the repository's name.
    """
    parts = [part for part in place.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if len(parts) > 2 and parts[-2] == "snapshots" and parts[-3].startswith("models--"):
        parts = [parts[-3].rpartition("--")[2]]
    return re.sub(r"[^A-Za-z0-9._-]+", "_", parts[-1]).strip("._-") or "model" if parts else "model"


def is_sparse(config: ModelConfig, layer: int) -> bool:
    """Return whether a layer (from 0) has routed experts."""
    return isinstance(config, MoEConfig) and layer >= config.num_dense_layers


def validate_model(model: ModelConfig) -> None:
    """Check what spans fields.

    Raises:
        ConfigError: the first thing that is wrong, and what would be right.
    """
    if isinstance(model, HuggingFaceConfig):
        _validate_published(model)
        return
    _require_choice("attention", model.attention)
    _require_choice("qk_norm_width", model.qk_norm_width)
    _require_choice("rope_scaling.kind", model.rope_scaling.kind)
    for name in ("d_model", "num_layers", "num_heads", "num_kv_heads", "d_ff"):
        _require(getattr(model, name) > 0, f"model.{name} is {getattr(model, name)}; it must be above 0.")
    _require(
        model.d_head > 0 or (model.d_model % model.num_heads == 0),
        f"model.d_model {model.d_model} must be an even multiple of model.num_heads {model.num_heads}.",
    )
    dims = head_dims(model)
    _require(
        dims.d_rope > 0 and dims.d_rope % 2 == 0,
        f"model.d_model {model.d_model} must be an even multiple of model.num_heads {model.num_heads}."
        if model.attention == "gqa" and not model.d_head
        else f"{dims.d_rope} rotated dimensions of a head; set model.d_head or model.d_rope so that they are even.",
    )
    _require(
        model.num_heads % model.num_kv_heads == 0,
        f"model.num_heads {model.num_heads} must be a multiple of model.num_kv_heads {model.num_kv_heads}.",
    )
    _require(model.mtp_depth in (0, 1, 2, 3), f"model.mtp_depth is {model.mtp_depth}; it is 0 (off) to 3.")
    if isinstance(model, MoEConfig):
        _validate_experts(model)


def _validate_published(model: HuggingFaceConfig) -> None:
    _require(bool(model.path), "model.path is empty; give the folder of a model, e.g. model=hf model.path=models/olmoe")
    _require_choice("dtype", model.dtype)


def _validate_experts(model: MoEConfig) -> None:
    _require_choice("router", model.router)
    _require_choice("dispatch", model.dispatch)
    _require(
        0 < model.top_k <= model.num_experts,
        f"model.top_k {model.top_k} must be between 1 and model.num_experts {model.num_experts}.",
    )
    _require(
        model.router != "switch" or model.top_k == 1,
        f"model.top_k is {model.top_k}; model.router=switch sends each token to one expert: set model.top_k=1.",
    )
    _require(
        model.num_dense_layers < model.num_layers,
        f"model.num_dense_layers {model.num_dense_layers} leaves no expert layer among {model.num_layers}.",
    )
    _require(
        model.num_groups > 0 and model.num_experts % model.num_groups == 0,
        f"model.num_experts {model.num_experts} must be a multiple of model.num_groups {model.num_groups}.",
    )
    _require(
        0 < model.top_groups <= model.num_groups
        and model.top_k <= model.top_groups * (model.num_experts // max(1, model.num_groups)),
        f"model.top_groups {model.top_groups} of model.num_groups {model.num_groups} hold fewer experts than "
        f"model.top_k {model.top_k}.",
    )
    _require(
        model.num_groups == 1 or model.router == "deepseek_v3",
        f"model.num_groups is {model.num_groups}; only model.router=deepseek_v3 limits groups: set model.num_groups=1.",
    )
    factor = model.capacity_factor
    _require(factor is None or factor > 0, f"model.capacity_factor is {factor}; give a number above 0, or null.")


def _require_choice(name: str, chosen: str | None = None) -> None:
    known = CHOICES[name]
    _require(
        chosen in known,
        f"unknown model.{name} '{chosen}'; known: {', '.join(known)}.{did_you_mean(str(chosen), known)}",
    )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)
