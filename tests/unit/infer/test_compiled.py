"""A compiled decode step gives the tokens of the plain one: ``torch.compile`` without its slow code generator."""

from __future__ import annotations

import pytest
import torch

from harness.core.model_config import ModelConfig
from harness.infer import compiled
from harness.infer.engine import decode, prefill
from tests.unit.models.configs import CONFIGS, with_random_weights


@pytest.mark.parametrize("config", CONFIGS)
def test_compiled_decoding_equals_plain_decoding(monkeypatch: pytest.MonkeyPatch, config: ModelConfig) -> None:
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
    model = with_random_weights(config)
    for batch in (1, 5):
        prompts = torch.randint(0, 64, (batch, 7), generator=torch.Generator().manual_seed(batch))
        plain = decode(model, prefill(model, prompts, 6), 6)
        filled = prefill(model, prompts, 6)
        assert torch.equal(decode(model, filled, 6, compiled=True), plain)
        assert isinstance(filled.recorded, compiled.CompiledStep)
        assert torch.equal(decode(model, filled, 6), plain)


def test_more_shapes_than_the_compiler_keeps_for_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
    model = with_random_weights(CONFIGS[0])
    for batch in range(1, 12):
        prompts = torch.randint(0, 64, (batch, 4), generator=torch.Generator().manual_seed(batch))
        plain = decode(model, prefill(model, prompts, 3), 3)
        assert torch.equal(decode(model, prefill(model, prompts, 3), 3, compiled=True), plain)
