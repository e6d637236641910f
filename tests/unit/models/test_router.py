"""Routers: whom they choose, how they weigh, how they keep the load even, what capacity drops."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from harness.core.model_config import MoEConfig
from harness.models.router import ROUTERS, Router, Routing
from tests.unit.models.configs import MOE

NUM_TOKENS, LENGTH = 12, 4


def make_router(name: str, **changes: object) -> Router:
    config = dataclasses.replace(MOE, router=name, top_k=1 if name == "switch" else 2, **changes)  # type: ignore[arg-type]
    router: Router = ROUTERS.get(name)(config)
    torch.nn.init.normal_(router.weight, generator=torch.Generator().manual_seed(1))
    return router


def route(router: Router, num_tokens: int = NUM_TOKENS) -> tuple[Routing, Tensor]:
    """Return the routing of random tokens and their logits."""
    x = torch.randn(num_tokens, MOE.d_model, generator=torch.Generator().manual_seed(2))
    return router(x, LENGTH), x @ router.weight.t()


@pytest.mark.parametrize("name", list(ROUTERS))
def test_every_router_chooses_distinct_experts_and_counts_them(name: str) -> None:
    routing, logits = route(make_router(name).eval())
    assert routing.gates_Nk.shape == routing.experts_Nk.shape
    assert all(len(set(row)) == len(row) for row in routing.experts_Nk.tolist())
    assert routing.load_E.tolist() == torch.bincount(routing.experts_Nk.flatten(), minlength=8).tolist()
    best = set(map(tuple, logits.topk(routing.experts_Nk.shape[1]).indices.sort().values.tolist()))
    assert set(map(tuple, routing.experts_Nk.sort().values.tolist())) == best
    assert routing.auxiliary_loss == 0
    assert routing.dropped is None


def test_mixtral_weighs_by_the_softmax_over_the_chosen() -> None:
    routing, logits = route(make_router("mixtral"))
    torch.testing.assert_close(routing.gates_Nk, logits.gather(1, routing.experts_Nk).softmax(-1))


@pytest.mark.parametrize("name", ["olmoe", "switch"])
def test_olmoe_and_switch_weigh_by_the_softmax_over_all(name: str) -> None:
    routing, logits = route(make_router(name).eval())
    torch.testing.assert_close(routing.gates_Nk, logits.softmax(-1).gather(1, routing.experts_Nk))


def test_deepseek_chooses_by_score_plus_bias_and_weighs_by_score_alone() -> None:
    router = make_router("deepseek_v3", route_scale=2.5)
    router.bias[5] = 10.0
    routing, logits = route(router)
    assert (routing.experts_Nk == 5).any(dim=1).all(), "a large bias makes every token choose that expert"
    torch.testing.assert_close(routing.gates_Nk.sum(dim=1), torch.full((NUM_TOKENS,), 2.5))
    scores = torch.sigmoid(logits).gather(1, routing.experts_Nk)
    torch.testing.assert_close(routing.gates_Nk, scores / scores.sum(1, keepdim=True) * 2.5)
    assert int(routing.load_E.sum()) == 2 * NUM_TOKENS


def test_deepseek_stays_within_the_groups_whose_two_best_add_up_highest() -> None:
    routing, logits = route(make_router("deepseek_v3", num_groups=4, top_groups=1))
    pairs = torch.sigmoid(logits).view(NUM_TOKENS, 4, 2).sum(-1)
    assert (routing.experts_Nk // 2 == pairs.argmax(-1, keepdim=True)).all()


def test_bias_update_moves_against_the_load() -> None:
    router = make_router("deepseek_v3")
    router.update_bias(torch.tensor([10, 0, 5, 5, 5, 5, 5, 5]), rate=0.1)
    assert router.bias.tolist() == pytest.approx([-0.1, 0.1, *[0.0] * 6])


@pytest.mark.parametrize("name", list(ROUTERS))
def test_balance_loss_is_one_when_scores_and_load_are_even_and_more_when_not(name: str) -> None:
    """f_i P_i adds up to 1 for an even load, whatever k (the weight left out)."""
    router: Router = ROUTERS.get(name)(dataclasses.replace(MOE, num_experts=2, top_k=1))
    even = router.balance_loss(torch.tensor([[0.5, 0.5], [0.5, 0.5]]), torch.tensor([[0], [1]]), 2)
    skewed = router.balance_loss(torch.tensor([[0.9, 0.1], [0.9, 0.1]]), torch.tensor([[0], [0]]), 2)
    assert even == pytest.approx(1.0)
    assert skewed == pytest.approx(1.8)


def test_deepseeks_balance_loss_looks_at_each_sequence_and_the_others_at_the_batch() -> None:
    """Each of two sequences uses one expert only; over both the load is even."""
    scores = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]])
    chosen = torch.tensor([[0], [0], [1], [1]])
    config = dataclasses.replace(MOE, num_experts=2, top_k=1)
    assert ROUTERS.get("deepseek_v3")(config).balance_loss(scores, chosen, 2) == pytest.approx(1.8)
    assert ROUTERS.get("mixtral")(config).balance_loss(scores, chosen, 2) == pytest.approx(1.0)


def test_the_z_loss_is_the_mean_square_of_the_logsumexp() -> None:
    router = make_router("olmoe", balance_loss_weight=0.0, z_loss_weight=0.5)
    routing, logits = route(router)
    torch.testing.assert_close(routing.auxiliary_loss, 0.5 * torch.logsumexp(logits, -1).square().mean())
    assert routing.auxiliary_loss.requires_grad


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.25, 8.0])
def test_capacity_drops_the_last_tokens_of_a_full_expert_in_training_only(factor: float) -> None:
    router = make_router("switch", capacity_factor=factor)
    kept, _ = route(router, 64)
    free, _ = route(router.eval(), 64)
    capacity = -(-int(factor * 64) // 8)
    assert kept.load_E.tolist() == free.load_E.clamp(max=capacity).tolist()
    assert free.dropped is None
    assert kept.dropped is not None
    assert int(kept.dropped) == 64 - int(kept.load_E.sum())
    for expert in range(8):
        wanted = torch.where(free.experts_Nk[:, 0] == expert)[0]
        assert torch.where(kept.experts_Nk[:, 0] == expert)[0].tolist() == wanted[:capacity].tolist()
    lost = kept.experts_Nk == 8
    assert (kept.gates_Nk[lost] == 0).all()
    torch.testing.assert_close(kept.gates_Nk[~lost], free.gates_Nk[~lost])


def test_of_several_choices_the_first_are_served_before_the_second() -> None:
    router = make_router("mixtral", num_experts=2, capacity_factor=0.5)
    routing, _ = route(router, 8)
    assert routing.load_E.tolist() == [4, 4]
    assert (routing.experts_Nk[:, 0] < 2).sum() >= (routing.experts_Nk[:, 1] < 2).sum()


def test_no_capacity_means_dropless() -> None:
    config = MoEConfig(d_model=32, num_experts=8, top_k=2, router="mixtral")
    assert ROUTERS.get("mixtral")(config).capacity_factor is None
    assert ROUTERS.get("switch")(dataclasses.replace(config, top_k=1)).capacity_factor == 1.25
