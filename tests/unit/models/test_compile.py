"""A compiled model is the same model: ``torch.compile`` without its code generator, which takes half a minute."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harness.core.model_config import ModelConfig
from harness.models import build_model
from tests.unit.models.configs import DENSE, MOE


@pytest.mark.parametrize(
    "config", [DENSE, MOE, dataclasses.replace(MOE, attention="mla", router="mixtral")], ids=["dense", "moe", "mla"]
)
def test_outputs_and_gradients_are_the_same_when_compiled(config: ModelConfig) -> None:
    model = build_model(config, seed=0)
    tokens = torch.randint(0, 64, (2, 16), generator=torch.Generator().manual_seed(0))
    found = []
    for forward in (model, torch.compile(model, backend="aot_eager")):
        model.zero_grad()
        logits = forward(tokens).logits_BTV
        logits.square().mean().backward()
        grads = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
        found.append([logits.detach(), *grads])
    for plain, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-5, atol=1e-6)
