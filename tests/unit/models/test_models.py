"""Models of every kind: counts equal the module, seeds repeat, and no position sees the future."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harness.core.errors import ConfigError
from harness.core.model_config import ModelConfig, MoEConfig, validate_model
from harness.models import build_model, count_params
from tests.unit.models.configs import CONFIGS, DENSE, MOE, with_random_weights


@pytest.mark.parametrize("config", CONFIGS)
def test_counts_from_the_config_equal_the_module(config: ModelConfig) -> None:
    model = build_model(config, seed=0)
    counts = count_params(config)
    assert counts.total == sum(p.numel() for p in model.parameters())
    inactive = sum(p.numel() for p in model.predictors.parameters())
    if isinstance(config, MoEConfig):
        unchosen = (config.num_experts - config.top_k) * 3 * config.d_model * config.d_expert
        inactive += unchosen * (config.num_layers - config.num_dense_layers)
    assert counts.total - counts.active == inactive


def test_deepseek_v3_counts_what_was_published() -> None:
    """671.0B parameters in all and 37B active; the module for the extra prediction adds 11.5B of its own."""
    config = MoEConfig(
        d_model=7168, num_layers=61, num_heads=128, num_kv_heads=128, d_head=128, d_ff=18432, vocab_size=129280,
        attention="mla", q_lora_rank=1536, kv_lora_rank=512, d_rope=64, d_value=128, tie_embeddings=False,
        num_experts=256, top_k=8, d_expert=2048, num_shared_experts=1, num_dense_layers=3, num_groups=8, top_groups=4,
    )  # fmt: skip
    counts = count_params(config)
    assert counts.total == 671_026_404_352
    assert counts.active == pytest.approx(37.5e9, rel=0.01)
    extra = count_params(dataclasses.replace(config, mtp_depth=1)).total - counts.total
    assert extra == pytest.approx(11.5e9, rel=0.01)


def test_a_missing_vocabulary_is_the_users_mistake() -> None:
    with pytest.raises(ConfigError, match="vocab_size"):
        build_model(dataclasses.replace(DENSE, vocab_size=0), seed=0)


def test_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = (build_model(MOE, seed) for seed in (0, 0, 1))
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.embedding.weight, other.embedding.weight)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_position_never_sees_the_future(config: ModelConfig) -> None:
    model = with_random_weights(config)
    tokens = torch.randint(0, 64, (1, 12), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[0, 8:] = (changed[0, 8:] + 1) % 64
    before, after = model(tokens).logits_BTV, model(changed).logits_BTV
    torch.testing.assert_close(before[:, :8], after[:, :8], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before[:, 8:], after[:, 8:])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"attention": "mqa"}, "known: gqa, mla"),
        ({"router": "deepseekv3"}, "Did you mean 'deepseek_v3'"),
        ({"router": "switch"}, "set model.top_k=1"),
        ({"top_k": 9}, "between 1 and model.num_experts 8"),
        ({"num_groups": 3}, "a multiple of model.num_groups 3"),
        ({"num_groups": 4, "top_groups": 1, "top_k": 3}, "hold fewer experts than model.top_k 3"),
        ({"num_groups": 2, "router": "olmoe"}, "set model.num_groups=1"),
        ({"capacity_factor": 0.0}, "above 0, or null"),
        ({"num_heads": 3}, "even multiple of model.num_heads 3"),
        ({"attention": "mla", "d_rope": 3}, "so that they are even"),
        ({"mtp_depth": 4}, "0 (off) to 3"),
        ({"num_dense_layers": 3}, "leaves no expert layer"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_would_be_right(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate_model(dataclasses.replace(MOE, **changes))  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_models_of_these_tests_are_valid(config: ModelConfig) -> None:
    validate_model(config)
