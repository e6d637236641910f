"""Both families: counts equal the module, dispatch equals the obvious loop, one expert is a dense FFN."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from harness.core.config import ModelConfig, MoEConfig
from harness.core.errors import ConfigError
from harness.models import build_model, count_params
from harness.models.experts import RoutedExperts, dispatch_grouped_mm, dispatch_loop
from harness.models.layers import SwiGLU
from harness.models.router import DeepSeekV3Router, Routing

DENSE = ModelConfig(d_model=32, num_layers=2, num_heads=4, num_kv_heads=2, d_ff=48, vocab_size=64)
MOE = MoEConfig(
    d_model=32, num_layers=3, num_heads=4, num_kv_heads=2, d_ff=48, vocab_size=64, num_experts=8, top_k=2, d_expert=16
)
CONFIGS = (
    DENSE,
    dataclasses.replace(DENSE, tie_embeddings=False, qk_norm=False),
    MOE,
    dataclasses.replace(MOE, num_shared_experts=0, num_dense_layers=0),
    dataclasses.replace(MOE, top_k=8, num_shared_experts=2, num_dense_layers=2),
)


@pytest.mark.parametrize("config", CONFIGS)
def test_counts_from_the_config_equal_the_module(config: ModelConfig) -> None:
    model = build_model(config, seed=0)
    counts = count_params(config)
    assert counts.total == sum(p.numel() for p in model.parameters())
    assert counts.active <= counts.total
    if isinstance(config, MoEConfig):
        inactive = (config.num_experts - config.top_k) * 3 * config.d_model * config.d_expert
        assert counts.total - counts.active == inactive * (config.num_layers - config.num_dense_layers)
    else:
        assert counts.active == counts.total


def test_deepseek_v3_sized_counts_match_the_published_total_of_its_feed_forward() -> None:
    """Routed, shared and dense feed-forward parts of DeepSeek-V3's published dimensions make about 656B parameters."""
    config = MoEConfig(
        d_model=7168, num_layers=61, num_heads=128, num_kv_heads=128, d_ff=18432, vocab_size=129280,
        num_experts=256, top_k=8, d_expert=2048, num_shared_experts=1, num_dense_layers=3,
    )  # fmt: skip
    counts = count_params(config)
    no_experts = count_params(dataclasses.replace(config, num_experts=8, num_shared_experts=1))
    routed = 58 * 248 * 3 * 7168 * 2048
    assert counts.total - no_experts.total == routed + 58 * 248 * 7168


def test_a_missing_vocabulary_is_the_users_mistake() -> None:
    with pytest.raises(ConfigError, match="vocab_size"):
        build_model(dataclasses.replace(DENSE, vocab_size=0), seed=0)


def _expert_case(num_tokens: int, num_experts: int, top_k: int, seed: int) -> tuple[RoutedExperts, Tensor, Routing]:
    config = dataclasses.replace(MOE, num_experts=num_experts, top_k=top_k)
    generator = torch.Generator().manual_seed(seed)
    experts = RoutedExperts(config)
    for weight in experts.parameters():
        torch.nn.init.normal_(weight, std=0.3, generator=generator)
    x = torch.randn(num_tokens, config.d_model, generator=generator)
    scores = torch.rand(num_tokens, num_experts, generator=generator)
    scores[:, num_experts // 2 :] *= 0.01 if num_experts > 2 * top_k else 1.0  # leaves experts empty
    gates, chosen = scores.topk(top_k, dim=-1)
    return experts, x, Routing(chosen, gates, torch.bincount(chosen.flatten(), minlength=num_experts), x.new_zeros(()))


@pytest.mark.parametrize(
    ("num_tokens", "num_experts", "top_k"), [(1, 8, 2), (37, 8, 2), (64, 8, 8), (5, 1, 1), (129, 16, 3)]
)
def test_grouped_dispatch_equals_the_loop_in_outputs_and_every_gradient(
    num_tokens: int, num_experts: int, top_k: int
) -> None:
    results = []
    for dispatch in (dispatch_loop, dispatch_grouped_mm):
        experts, x, routing = _expert_case(num_tokens, num_experts, top_k, seed=num_tokens)
        x = x.requires_grad_()
        gates = routing.gates_Nk.clone().requires_grad_()
        y = dispatch(x, dataclasses.replace(routing, gates_Nk=gates), experts.gate_up_EDF, experts.down_EFD)
        (y * torch.linspace(0.1, 1.0, y.numel()).view_as(y)).sum().backward()
        results.append((y, x.grad, gates.grad, experts.gate_up_EDF.grad, experts.down_EFD.grad))
    for slow, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)


def test_one_expert_with_gate_one_equals_the_dense_ffn() -> None:
    experts, x, routing = _expert_case(21, 1, 1, seed=3)
    dense = SwiGLU(MOE.d_model, MOE.d_expert)
    with torch.no_grad():
        dense.gate_up.weight.copy_(experts.gate_up_EDF[0].t())
        dense.down.weight.copy_(experts.down_EFD[0].t())
    routing = dataclasses.replace(routing, gates_Nk=torch.ones_like(routing.gates_Nk))
    torch.testing.assert_close(experts(x, routing), dense(x), rtol=1e-5, atol=1e-6)


def test_router_chooses_by_score_plus_bias_and_gates_by_score_alone() -> None:
    router = DeepSeekV3Router(dataclasses.replace(MOE, route_scale=2.5))
    torch.nn.init.normal_(router.weight, generator=torch.Generator().manual_seed(1))
    x = torch.randn(12, MOE.d_model, generator=torch.Generator().manual_seed(2))
    router.bias[5] = 10.0
    routing = router(x, 4)
    assert (routing.experts_Nk == 5).any(dim=1).all(), "a large bias makes every token choose that expert"
    torch.testing.assert_close(routing.gates_Nk.sum(dim=1), torch.full((12,), 2.5))
    scores = torch.sigmoid(x @ router.weight.t()).gather(1, routing.experts_Nk)
    torch.testing.assert_close(routing.gates_Nk, scores / scores.sum(1, keepdim=True) * 2.5)
    assert int(routing.load_E.sum()) == 24


def test_bias_update_moves_against_the_load() -> None:
    router = DeepSeekV3Router(MOE)
    router.update_bias(torch.tensor([10, 0, 5, 5, 5, 5, 5, 5]), rate=0.1)
    assert router.bias[0] == pytest.approx(-0.1)
    assert router.bias[1] == pytest.approx(0.1)
    assert router.bias[2] == 0


def test_balance_loss_is_one_when_scores_and_load_are_even_and_more_when_not() -> None:
    """f_i P_i sums to 1 for an even load (equations 17 to 20 of the DeepSeek-V3 paper, weight left out)."""
    router = DeepSeekV3Router(dataclasses.replace(MOE, num_experts=2, top_k=1))
    scores = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    even = router._balance_loss(scores, torch.tensor([[0], [1]]), 2)
    skewed = router._balance_loss(torch.tensor([[0.9, 0.1], [0.9, 0.1]]), torch.tensor([[0], [0]]), 2)
    assert even == pytest.approx(1.0)
    assert skewed == pytest.approx(1.8)


def test_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = (build_model(MOE, seed) for seed in (0, 0, 1))
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.embedding.weight, other.embedding.weight)


@pytest.mark.parametrize("config", [DENSE, MOE])
def test_a_position_never_sees_the_future(config: ModelConfig) -> None:
    model = _with_random_weights(config)
    tokens = torch.randint(0, 64, (1, 12), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[0, 8:] = (changed[0, 8:] + 1) % 64
    before, after = model(tokens).logits_BTV, model(changed).logits_BTV
    torch.testing.assert_close(before[:, :8], after[:, :8], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before[:, 8:], after[:, 8:])


def _with_random_weights(config: ModelConfig) -> torch.nn.Module:
    model = build_model(config, seed=0).eval()
    generator = torch.Generator().manual_seed(5)
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.2, generator=generator)
    return model
