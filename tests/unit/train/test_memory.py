"""The estimate of a step's memory agrees with what autograd keeps, and chooses a divisor of the batch."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from harness.core.model_config import ModelConfig, MoEConfig
from harness.models import build_model
from harness.train.memory import USABLE_SHARE, Footprint, count_fitting, largest_divisor

DENSE = ModelConfig(d_model=64, num_layers=3, num_heads=4, num_kv_heads=2, d_ff=192, vocab_size=64)
MOE = MoEConfig(
    d_model=64, num_layers=3, num_heads=4, num_kv_heads=2, d_ff=192, vocab_size=64, num_experts=8, d_expert=64,
    dispatch="grouped_mm",
)  # fmt: skip
SEQUENCES, CONTEXT = 2, 128


def kept_bytes(config: ModelConfig, autocast: torch.dtype | None) -> int:
    """Bytes of distinct storages that autograd keeps of one forward pass, parameters and their copies left out."""
    model = build_model(config, seed=0).train()
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    kept: dict[int, tuple[int, Tensor]] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    tokens = torch.zeros(SEQUENCES, CONTEXT, dtype=torch.long).random_(0, config.vocab_size)
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", dtype=autocast, enabled=autocast is not None),
    ):
        output = model(tokens)
    copies = 0 if autocast is None else 2 * sum(parameter.numel() for parameter in model.parameters())
    assert output.logits_BTV.requires_grad
    return sum(size for size, _ in kept.values()) - copies


@pytest.mark.parametrize("autocast", [None, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize(
    "config",
    [
        DENSE,
        dataclasses.replace(DENSE, qk_norm=False),
        dataclasses.replace(DENSE, attention="mla", q_lora_rank=32),
        MOE,
        dataclasses.replace(MOE, top_k=4, num_shared_experts=0, router="olmoe"),
        dataclasses.replace(MOE, dispatch="blocked"),
    ],
    ids=["dense", "no norm", "latent", "experts", "olmoe", "blocked"],
)
def test_the_estimate_of_a_layer_agrees_with_what_autograd_keeps(
    config: ModelConfig, autocast: torch.dtype | None
) -> None:
    """By the difference between a deep and a shallow model, so that nothing but layers counts."""
    deep = dataclasses.replace(config, num_layers=6)
    kept = kept_bytes(deep, autocast) - kept_bytes(config, autocast)
    footprint = Footprint(config, CONTEXT, 4 if autocast is None else 2, keeps_scores=config.attention == "mla")
    estimated = 3 * SEQUENCES * CONTEXT * footprint.layer_bytes()[-1]
    assert 0.9 < estimated / kept < 1.2


def test_logits_extra_predictions_and_longer_contexts_cost_what_they_should() -> None:
    base = Footprint(DENSE, CONTEXT, 2)
    wide = dataclasses.replace(base, config=dataclasses.replace(DENSE, vocab_size=1064))
    assert wide.sequence_bytes() - base.sequence_bytes() == CONTEXT * 1000 * (2 + 3 * 4)
    twice = dataclasses.replace(base, context_length=2 * CONTEXT)
    assert twice.sequence_bytes() == 2 * base.sequence_bytes(), "a fused kernel keeps no scores"
    extra = dataclasses.replace(base, config=dataclasses.replace(DENSE, mtp_depth=1))
    assert extra.sequence_bytes() > base.sequence_bytes() + CONTEXT * base.layer_bytes()[-1]
    assert base.window_bytes() < base.sequence_bytes()
    assert base.state_bytes(1000) == 14_000
    assert dataclasses.replace(base, number_bytes=4).state_bytes(1000) == 12_000


@pytest.mark.parametrize(("limit", "size"), [(0, 1), (1, 1), (5, 4), (6, 6), (11, 6), (12, 12), (99, 12)])
def test_the_largest_divisor_of_the_batch_that_fits(limit: int, size: int) -> None:
    assert largest_divisor(12, limit) == size


def test_what_fits_leaves_room_for_the_state_and_for_others() -> None:
    assert count_fitting(100, 0, 1000) == int(1000 * USABLE_SHARE) // 100
    assert count_fitting(100, 300, 1000) == int(1000 * USABLE_SHARE - 300) // 100
    assert count_fitting(100, 5000, 1000) == 0
