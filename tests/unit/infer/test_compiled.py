"""A compiled decode step gives the tokens of the plain one: ``torch.compile`` without its slow code generator."""

from __future__ import annotations

import pytest
import torch

from harness.core.model_config import ModelConfig, MoEConfig
from harness.infer import compiled
from harness.infer.engine import decode, prefill
from harness.models import few_tokens
from tests.unit.models.configs import CONFIGS, with_random_weights

# Only experts go by the size of a weight: small ones and, where every weight counts as large, large ones.
CASES = [(config, few_tokens.SMALL_WEIGHT) for config in CONFIGS]
CASES += [(config, 0) for config in CONFIGS if isinstance(config, MoEConfig)]


@pytest.mark.parametrize(("config", "small_weight"), CASES)
def test_compiled_decoding_equals_plain_decoding(
    monkeypatch: pytest.MonkeyPatch, config: ModelConfig, small_weight: int
) -> None:
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")
    monkeypatch.setattr(few_tokens, "SMALL_WEIGHT", small_weight)
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
