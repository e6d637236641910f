"""Load of the experts: every step of training is counted, also across checkpoints, and a dead expert is seen."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.core.config import Budget, TrainConfig
from harness.core.model_config import MoEConfig
from harness.models import build_model
from harness.train.checkpoint import load_checkpoint, save_checkpoint
from harness.train.load import LoadCount, summarise_routing
from harness.train.loop import Plan, TrainState, train_steps
from harness.train.micro import MicroBatch
from harness.train.optim import build_optimizer

MOE = MoEConfig(
    d_model=16, num_layers=3, num_heads=2, num_kv_heads=1, d_ff=24, vocab_size=32, num_experts=4, top_k=2, d_expert=8,
    mtp_depth=1,
)  # fmt: skip
TRAIN = TrainConfig(budget=Budget(tokens=20 * 64), batch_size=4, context_length=16)
TEXT = (np.arange(4000) * 7 % 29).astype(np.uint16)


def begin(config: MoEConfig = MOE, size: int = 4) -> tuple[TrainState, Plan]:
    torch.set_num_threads(1)
    model = build_model(config, seed=0)
    plan = Plan(
        train=TRAIN, tokens=TEXT, seed=0, device=torch.device("cpu"), autocast=None, decay_from=None, num_steps=20
    )
    return TrainState(model, build_optimizer(model, TRAIN), micro=MicroBatch(4, size, "test")), plan


def test_layers_are_summed_up_one_by_one_and_the_worst_and_the_mean_are_of_them() -> None:
    stats = summarise_routing(torch.tensor([[25, 25, 25, 25], [0, 1, 0, 399]]), num_tokens=50)
    assert stats.layer_max_violation == pytest.approx((0.0, 4 * 399 / 400 - 1))
    assert stats.layer_entropy is not None
    assert stats.layer_entropy[0] == pytest.approx(1.0)
    assert stats.layer_dead_experts == (0, 2 + 0), "1 of 400 is 1% of the mean load, and not below"
    assert stats.max_violation == pytest.approx(stats.layer_max_violation[1])
    assert stats.mean_entropy == pytest.approx(sum(stats.layer_entropy) / 2)
    assert (stats.num_dead_experts, stats.num_tokens) == (2, 50)


def test_loads_that_swing_are_even_over_all_and_uneven_step_by_step() -> None:
    loads = [torch.tensor([8, 0]), torch.tensor([0, 8])]
    count = LoadCount.begin([loads[0]])
    for load in loads:
        count.add([load])
    stats = count.summarise(num_tokens=16)
    assert (stats.max_violation, stats.mean_step_violation) == (0.0, 1.0)


@pytest.mark.parametrize("size", [4, 2])
def test_every_choice_of_training_is_counted_extra_predictions_last(size: int) -> None:
    state, plan = begin(size=size)
    train_steps(state, plan, 20)
    assert state.load is not None
    assert state.load.num_steps == 20
    assert state.load.load_LE.sum(dim=1).tolist() == [2 * 20 * 64, 2 * 20 * 64, 2 * 20 * 4 * 15]
    stats = state.load.summarise(20 * 64)
    assert [len(row) for row in stats.load] == [4, 4, 4]
    assert stats.mean_step_violation is not None
    assert stats.mean_step_violation >= sum(stats.layer_max_violation or ()) / 3 - 1e-12


def test_the_count_goes_through_a_checkpoint(tmp_path: Path) -> None:
    whole, plan = begin()
    train_steps(whole, plan, 20)
    first, _ = begin()
    train_steps(first, plan, 10)
    path = save_checkpoint(tmp_path, first, {})
    second, _ = begin()
    load_checkpoint(path, second)
    train_steps(second, plan, 20)
    assert whole.load is not None
    assert second.load is not None
    assert second.load.summarise(1280) == whole.load.summarise(1280)
    saved = json.loads((path / "state.json").read_text())
    del saved["load"], saved["state_sha256"], saved["tensors_sha256"]
    (path / "state.json").write_text(json.dumps(saved))
    third, _ = begin()
    load_checkpoint(path, third)
    train_steps(third, plan, 20)
    assert third.load is not None
    assert third.load.num_steps == 10, "of 20: what came before was not counted"


def test_an_expert_that_nobody_chooses_is_dead() -> None:
    config = dataclasses.replace(MOE, router="mixtral", mtp_depth=0, balance_loss_weight=0.0)
    state, plan = begin(config)
    with torch.no_grad():
        for router in state.model.routers():
            router.weight.zero_()  # all logits are equal, so the same experts win every time
    state.optimizer = torch.optim.SGD(state.model.parameters(), lr=0.0)
    train_steps(state, plan, 10)
    assert state.load is not None
    assert state.load.summarise(640).layer_dead_experts == (2, 2)
