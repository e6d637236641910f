"""Packed copies serve decoding and are never older than the weights."""

from __future__ import annotations

import copy

import pytest
import torch

from harness.core.model_config import ModelConfig
from harness.infer import packing
from harness.infer.engine import decode, prefill
from harness.models import few_tokens, linear, packed
from harness.models.linear import Linear
from harness.models.packed import has_onednn
from harness.models.transformer import Transformer
from tests.unit.models.configs import CONFIGS, DENSE, MOE, with_random_weights

pytestmark = pytest.mark.skipif(not has_onednn(), reason="this torch has no oneDNN")


@pytest.fixture(autouse=True)
def _pack_small_weights_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (packing, few_tokens, linear, packed):
        monkeypatch.setattr(module, "SMALL_WEIGHT", 0)


def answer(model: Transformer) -> torch.Tensor:
    prompts = torch.randint(0, 64, (5, 7), generator=torch.Generator().manual_seed(3))
    return decode(model, prefill(model, prompts, 6), 6)


def packed_copies(model: Transformer) -> list[object]:
    return [module for module in model.modules() if getattr(module, "packed", None) is not None]


@pytest.mark.parametrize("config", CONFIGS)
def test_packed_decoding_equals_the_full_forward(config: ModelConfig) -> None:
    model = with_random_weights(config)
    answers = answer(model)
    assert packed_copies(model)
    prompts = torch.randint(0, 64, (5, 7), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        for step in range(6):
            expected = model(prompts).logits_BTV[:, -1].argmax(-1)
            assert torch.equal(answers[:, step], expected), step
            prompts = torch.cat((prompts, expected[:, None]), dim=1)


@pytest.mark.parametrize("config", [DENSE, MOE])
def test_after_a_fused_optimiser_step_decoding_reads_the_new_weights(config: ModelConfig) -> None:
    model = with_random_weights(config)
    answer(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5, fused=True)
    model(torch.randint(0, 64, (2, 9))).logits_BTV.square().mean().backward()
    assert not packed_copies(model)
    optimizer.step()
    fresh = copy.deepcopy(model)
    assert torch.equal(answer(model), answer(fresh))


def test_where_memory_is_short_nothing_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LARGEST_SHARE", 0.0)
    model = with_random_weights(DENSE)
    answer(model)
    assert not packed_copies(model)
    assert not any(layer.packed for layer in model.modules() if isinstance(layer, Linear))
