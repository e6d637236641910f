"""Bytes of inference against counts by hand and against the weights of built models."""

from __future__ import annotations

import pytest
import torch

from harness.core.model_config import ModelConfig, MoEConfig
from harness.flops.traffic import Traffic, estimate_distinct_experts
from harness.infer.kv_cache import build_caches, count_kv_numbers_per_token
from harness.models import build_model, count_params
from tests.unit.models.configs import CONFIGS


def _traffic(config: ModelConfig, bytes_per_number: int = 4) -> Traffic:
    return Traffic(config, count_params(config), count_kv_numbers_per_token(config), bytes_per_number)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_pass_that_touches_every_expert_reads_every_weight_but_looked_up_and_training_ones(
    config: ModelConfig,
) -> None:
    model = build_model(config, seed=0)
    unread = {id(parameter) for predictor in model.predictors for parameter in predictor.parameters()}
    if not config.tie_embeddings:
        unread.add(id(model.embedding.weight))
    expected = sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in unread)
    distinct = float(config.num_experts) if isinstance(config, MoEConfig) else None
    assert _traffic(config).weight_bytes(1, distinct) == 4 * expected


def test_decode_bytes_by_hand() -> None:
    """One expert layer after a dense one; 2 sequences, prompts of 3 tokens, 2 steps, bf16."""
    config = MoEConfig(
        d_model=4, num_layers=2, num_heads=2, num_kv_heads=1, d_ff=6, vocab_size=10, num_experts=4, top_k=1,
        d_expert=3, num_shared_experts=1, num_dense_layers=1, qk_norm=False,
    )  # fmt: skip
    attention = 4 * (2 + 1 + 1) * 2 + 4 * 4 + 2 * 4  # q, k, v of two query heads and one key/value head; out; two norms
    dense = 3 * 4 * 6
    expert = 3 * 4 * 3
    touched = 4 * (1 - (3 / 4) ** 2)  # two sequences, one of four experts each
    weights = 2 * attention + dense + (1 + touched) * expert + 4 * 4 + 4 + 4 * 10  # shared, router, last norm, head
    positions = 2 * ((3 + 1) + (3 + 2))  # each step reads the prompt's and all new positions up to its own
    cache = positions * 2 * (2 * 1 * 2)  # two layers, a key and a value of width 2
    assert _traffic(config, 2).decode_bytes(2, 3, 2) == pytest.approx(2 * (2 * weights + cache))
    assert _traffic(config, 2).decode_bytes(2, 3, 2, 1.5) == pytest.approx(
        2 * (2 * (weights + (1.5 - touched) * expert) + cache)
    )


@pytest.mark.parametrize("config", CONFIGS)
def test_cached_numbers_are_what_the_buffers_hold(config: ModelConfig) -> None:
    caches = build_caches(config, 3, 7, torch.device("cpu"))
    assert sum(cache.num_bytes for cache in caches) == 3 * 7 * 4 * count_kv_numbers_per_token(config)


def test_prefill_reads_weights_once_and_no_cache() -> None:
    traffic = _traffic(CONFIGS[0])
    assert traffic.prefill_bytes(1, 5) == traffic.prefill_bytes(8, 100) == traffic.weight_bytes(1)


def test_an_even_router_touches_k_experts_with_one_token_and_all_with_many() -> None:
    assert estimate_distinct_experts(16, 2, 1) == pytest.approx(2)
    assert estimate_distinct_experts(16, 2, 1000) == pytest.approx(16)
    assert estimate_distinct_experts(16, 16, 1) == 16
    assert estimate_distinct_experts(4, 1, 2) == pytest.approx(1.75)  # by hand: 1/4 same expert, 3/4 two
