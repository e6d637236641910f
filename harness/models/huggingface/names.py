"""Which published tensors make which of ours, and back: names, and how parts are joined.

Rotation: ours turns pairs (i, i + K/2) of a head, DeepSeek's checkpoints turn neighbours; the rows of their weights are
permuted accordingly, which changes nothing else.

Shapes: E experts, D model width, F expert width, K rotated width of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.core.model_config import ModelConfig, MoEConfig, head_dims, is_sparse

Join = Callable[[Sequence[Tensor]], Tensor]
Split = Callable[[Tensor], list[Tensor]]


@dataclass(frozen=True, slots=True)
class Part:
    """One tensor of ours (`target`) and the published ones (`sources`) that it is made of."""

    target: str
    sources: tuple[str, ...]
    join: Join
    split: Split


def list_parts(config: ModelConfig, family: str, *, interleaved: bool) -> Iterator[Part]:
    """Yield every tensor of the model, layer by layer; `interleaved` says how DeepSeek's rotation lies on disk.

    Extra predictions are published as layers after the last one.
    """
    yield _same("embedding.weight", "model.embed_tokens.weight")
    for layer in range(config.num_layers):
        yield from _layer(config, layer, f"blocks.{layer}.", f"model.layers.{layer}.", family, interleaved=interleaved)
    yield _same("norm.weight", "model.norm.weight")
    if not config.tie_embeddings:
        yield _same("head.weight", "lm_head.weight")
    for depth in range(config.mtp_depth):
        ours, theirs = f"predictors.{depth}.", f"model.layers.{config.num_layers + depth}."
        yield _same(f"{ours}embedding_norm.weight", f"{theirs}enorm.weight")
        yield _same(f"{ours}stream_norm.weight", f"{theirs}hnorm.weight")
        yield Part(
            f"{ours}join.weight",
            (f"{theirs}eh_proj.weight",),
            lambda parts: _swap_halves(parts[0]),
            lambda whole: [_swap_halves(whole)],
        )
        block = f"{ours}block.", theirs
        yield from _layer(config, config.num_layers - 1, *block, family, interleaved=interleaved)
        yield _same(f"{ours}norm.weight", f"{theirs}shared_head.norm.weight")


def _layer(
    config: ModelConfig, layer: int, ours: str, theirs: str, family: str, *, interleaved: bool
) -> Iterator[Part]:
    """Yield the tensors of a block that is made as that of `layer`."""
    yield _same(f"{ours}attention_norm.weight", f"{theirs}input_layernorm.weight")
    yield _same(f"{ours}ffn_norm.weight", f"{theirs}post_attention_layernorm.weight")
    attention = f"{ours}attention.", f"{theirs}self_attn."
    yield from (
        _latent(config, *attention, interleaved=interleaved)
        if config.attention == "mla"
        else _grouped(config, *attention)
    )
    if is_sparse(config, layer) and isinstance(config, MoEConfig):
        yield from _experts(config, f"{ours}feed_forward.", theirs, family)
    else:
        yield from _swiglu(config.d_ff, f"{ours}feed_forward.ffn.", f"{theirs}mlp.")


def _grouped(config: ModelConfig, ours: str, theirs: str) -> Iterator[Part]:
    width = head_dims(config).d_qk
    rows = [heads * width for heads in (config.num_heads, config.num_kv_heads, config.num_kv_heads)]
    kinds = ("weight", "bias") if config.qkv_bias else ("weight",)
    for kind in kinds:
        yield _stacked(f"{ours}qkv.{kind}", [f"{theirs}{name}_proj.{kind}" for name in "qkv"], rows)
    yield _same(f"{ours}out.weight", f"{theirs}o_proj.weight")
    if config.qk_norm:
        yield _same(f"{ours}q_norm.weight", f"{theirs}q_norm.weight")
        yield _same(f"{ours}k_norm.weight", f"{theirs}k_norm.weight")


def _latent(config: ModelConfig, ours: str, theirs: str, *, interleaved: bool) -> Iterator[Part]:
    dims = head_dims(config)
    queries = [dims.d_plain, dims.d_rope] * config.num_heads
    if dims.q_lora_rank:
        yield _same(f"{ours}q_down.weight", f"{theirs}q_a_proj.weight")
        yield _same(f"{ours}q_norm.weight", f"{theirs}q_a_layernorm.weight")
    name = "q_b_proj" if dims.q_lora_rank else "q_proj"
    yield _rotated(f"{ours}q_up.weight", f"{theirs}{name}.weight", queries, interleaved=interleaved)
    down = [dims.kv_lora_rank, dims.d_rope]
    yield _rotated(f"{ours}kv_down.weight", f"{theirs}kv_a_proj_with_mqa.weight", down, interleaved=interleaved)
    yield _same(f"{ours}kv_norm.weight", f"{theirs}kv_a_layernorm.weight")
    yield _same(f"{ours}kv_up.weight", f"{theirs}kv_b_proj.weight")
    yield _same(f"{ours}out.weight", f"{theirs}o_proj.weight")


def _experts(config: MoEConfig, ours: str, theirs: str, family: str) -> Iterator[Part]:
    block = f"{theirs}block_sparse_moe." if family == "mixtral" else f"{theirs}mlp."
    gate, up, down = ("w1", "w3", "w2") if family == "mixtral" else ("gate_proj", "up_proj", "down_proj")
    yield _same(f"{ours}router.weight", f"{block}gate.weight")
    if config.router == "deepseek_v3":
        yield _same(f"{ours}router.bias", f"{block}gate.e_score_correction_bias")
    experts = [f"{block}experts.{expert}." for expert in range(config.num_experts)]
    yield Part(
        f"{ours}experts.gate_up_EDF",
        tuple(f"{expert}{name}.weight" for expert in experts for name in (gate, up)),
        _join_gate_up,
        _split_gate_up,
    )
    yield Part(
        f"{ours}experts.down_EFD",
        tuple(f"{expert}{down}.weight" for expert in experts),
        lambda parts: torch.stack([part.t() for part in parts]),
        lambda whole: [part.t().contiguous() for part in whole],
    )
    if config.num_shared_experts:
        yield from _swiglu(config.num_shared_experts * config.d_expert, f"{ours}shared.", f"{block}shared_experts.")


def _swiglu(width: int, ours: str, theirs: str) -> Iterator[Part]:
    names = [f"{theirs}gate_proj.weight", f"{theirs}up_proj.weight"]
    yield _stacked(f"{ours}gate_up.weight", names, [width, width])
    yield _same(f"{ours}down.weight", f"{theirs}down_proj.weight")


def _same(target: str, source: str) -> Part:
    return Part(target, (source,), lambda parts: parts[0], lambda whole: [whole])


def _stacked(target: str, sources: Sequence[str], rows: Sequence[int]) -> Part:
    return Part(
        target, tuple(sources), torch.cat, lambda whole: [part.contiguous() for part in whole.split(list(rows))]
    )


def _rotated(target: str, source: str, rows: Sequence[int], *, interleaved: bool) -> Part:
    """Every second block of `rows` is rotated; on disk its pairs are neighbours if `interleaved`."""
    if not interleaved:
        return _same(target, source)

    def permute(whole: Tensor, *, to_ours: bool) -> Tensor:
        parts = list(whole.split(list(rows)))
        for place in range(1, len(parts), 2):
            width = parts[place].shape[0]
            shape = (width // 2, 2, -1) if to_ours else (2, width // 2, -1)
            parts[place] = parts[place].reshape(*shape).transpose(0, 1).reshape(width, -1)
        return torch.cat(parts)

    return Part(
        target, (source,), lambda parts: permute(parts[0], to_ours=True), lambda whole: [permute(whole, to_ours=False)]
    )


def _join_gate_up(parts: Sequence[Tensor]) -> Tensor:
    """Join (F, D) gates and ups of each expert in turn to (E, D, 2F)."""
    return torch.stack([torch.cat((gate, up)).t() for gate, up in zip(parts[::2], parts[1::2], strict=True)])


def _split_gate_up(whole: Tensor) -> list[Tensor]:
    return [part.t().contiguous() for expert in whole for part in expert.chunk(2, dim=1)]


def _swap_halves(weight: Tensor) -> Tensor:
    """Swap the halves of the inputs: published modules take the embedding first, ours the stream."""
    return torch.cat(weight.chunk(2, dim=1)[::-1], dim=1)
