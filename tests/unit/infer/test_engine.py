"""Cached decode equals the full forward, for both families, at any batch."""

from __future__ import annotations

import pytest
import torch

from harness.core.model_config import ModelConfig
from harness.infer.engine import decode, prefill
from tests.unit.models.configs import CONFIGS, MOE, with_random_weights


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("batch", [1, 5])
def test_cached_decode_equals_the_full_forward(config: ModelConfig, batch: int) -> None:
    model = with_random_weights(config)
    prompts = torch.randint(0, 64, (batch, 11), generator=torch.Generator().manual_seed(1))
    filled = prefill(model, prompts, 9)
    answers = decode(model, filled, 9)
    tokens = prompts
    with torch.no_grad():
        for step in range(9):
            expected = model(tokens).logits_BTV[:, -1].argmax(-1)
            assert torch.equal(answers[:, step], expected), step
            tokens = torch.cat((tokens, expected[:, None]), dim=1)


def test_decoding_again_from_the_same_prefill_gives_the_same_answer() -> None:
    model = with_random_weights(MOE)
    filled = prefill(model, torch.randint(0, 64, (2, 7)), 6)
    assert torch.equal(decode(model, filled, 6), decode(model, filled, 6))
