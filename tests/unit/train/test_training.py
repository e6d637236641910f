"""Schedule, loop and checkpoints: a trunk with a branch is the run in one go; stopping and resuming changes nothing."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.core.config import Budget, TrainConfig
from harness.core.errors import RunFailedError
from harness.core.model_config import ModelConfig, MoEConfig
from harness.models import build_model
from harness.train.checkpoint import drop_checkpoints, latest_checkpoint, load_checkpoint, save_checkpoint
from harness.train.evaluate import evaluate
from harness.train.integrity import STATE, TENSORS, seal_state
from harness.train.loop import Plan, Progress, TrainState, train_steps
from harness.train.micro import MicroBatch
from harness.train.optim import build_optimizer
from harness.train.schedule import count_steps, fork_step, learning_rate_at

MODELS = (
    ModelConfig(d_model=16, num_layers=2, num_heads=2, num_kv_heads=1, d_ff=24, vocab_size=32),
    MoEConfig(
        d_model=16, num_layers=2, num_heads=2, num_kv_heads=1, d_ff=24, vocab_size=32,
        num_experts=4, top_k=2, d_expert=8, bias_update_rate=0.01,
    ),
)  # fmt: skip
TRAIN = TrainConfig(
    budget=Budget(tokens=40 * 64), batch_size=4, context_length=16, learning_rate=1e-2, warmup_tokens=256,
    decay_fraction=0.25,
)  # fmt: skip
TEXT = (np.arange(4000) * 7 % 29).astype(np.uint16)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def _begin(model: ModelConfig, *, decays: bool = True, seed: int = 0) -> tuple[TrainState, Plan]:
    built = build_model(model, seed)
    steps = count_steps(TRAIN, TRAIN.budget.tokens)
    plan = Plan(
        train=TRAIN, tokens=TEXT, seed=seed, device=torch.device("cpu"), autocast=None,
        decay_from=fork_step(TRAIN, TRAIN.budget.tokens) if decays else None, num_steps=steps,
    )  # fmt: skip
    return TrainState(built, build_optimizer(built, TRAIN)), plan


def _weights(state: TrainState) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in state.model.state_dict().items()}


def _assert_identical(left: TrainState, right: TrainState) -> None:
    assert left.losses == right.losses
    for name, value in _weights(left).items():
        assert torch.equal(value, _weights(right)[name]), name


def test_schedule_warms_up_stays_and_decays_to_nothing() -> None:
    rates = [learning_rate_at(TRAIN, step, 30, 40) for step in range(40)]
    assert rates[0] == pytest.approx(1e-2 / 4)
    assert rates[4:30] == pytest.approx([1e-2] * 26)
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[29:]))
    assert 0 < rates[-1] < 1e-3


@pytest.mark.parametrize("model", MODELS)
def test_trunk_and_branch_equal_one_go_to_the_last_digit(model: ModelConfig, tmp_path: Path) -> None:
    whole, plan = _begin(model)
    train_steps(whole, plan, plan.num_steps)
    trunk, trunk_plan = _begin(model, decays=False)
    train_steps(trunk, trunk_plan, fork_step(TRAIN, TRAIN.budget.tokens))
    path = save_checkpoint(tmp_path, trunk, {"note": 1})
    branch, branch_plan = _begin(model, seed=0)
    assert load_checkpoint(path, branch) == {"note": 1}
    train_steps(branch, branch_plan, branch_plan.num_steps)
    _assert_identical(whole, branch)


@pytest.mark.parametrize("model", MODELS)
def test_stopping_and_resuming_changes_nothing(model: ModelConfig, tmp_path: Path) -> None:
    whole, plan = _begin(model)
    train_steps(whole, plan, plan.num_steps)
    first, _ = _begin(model)
    assert train_steps(first, plan, plan.num_steps, lambda progress: progress.step >= 20)
    assert first.step == 20
    save_checkpoint(tmp_path, first, {})
    second, _ = _begin(model)
    load_checkpoint(latest_checkpoint(tmp_path) or tmp_path, second)
    assert not train_steps(second, plan, plan.num_steps)
    _assert_identical(whole, second)


def test_training_learns_and_another_seed_differs() -> None:
    state, plan = _begin(MODELS[0])
    train_steps(state, plan, plan.num_steps)
    assert state.losses[-1][1] < state.losses[0][1] - 0.5
    other, other_plan = _begin(MODELS[0], seed=1)
    train_steps(other, other_plan, other_plan.num_steps)
    assert other.losses != state.losses


def test_progress_counts_tokens_and_a_nan_stops_with_words() -> None:
    state, plan = _begin(MODELS[0])
    seen: list[Progress] = []
    train_steps(state, plan, 20, lambda progress: bool(seen.append(progress)))
    assert [progress.tokens for progress in seen] == [640, 1280]
    with torch.no_grad():
        state.model.embedding.weight.fill_(float("nan"))
    with pytest.raises(RunFailedError, match="learning_rate"):
        train_steps(state, plan, 40)


def test_router_bias_moves_and_is_kept_in_the_checkpoint(tmp_path: Path) -> None:
    state, plan = _begin(MODELS[1])
    train_steps(state, plan, 10)
    bias = state.model.blocks[1].feed_forward.router.bias.clone()
    assert bias.abs().max() > 0
    path = save_checkpoint(tmp_path, state, {})
    fresh, _ = _begin(MODELS[1])
    load_checkpoint(path, fresh)
    assert torch.equal(fresh.model.blocks[1].feed_forward.router.bias, bias)


def test_a_torn_checkpoint_is_not_taken(tmp_path: Path) -> None:
    state, plan = _begin(MODELS[0])
    train_steps(state, plan, 10)
    good = save_checkpoint(tmp_path, state, {})
    train_steps(state, plan, 20)
    torn = save_checkpoint(tmp_path, state, {})
    (torn / "state.json").unlink()
    assert latest_checkpoint(tmp_path) == good
    (good / "tensors.safetensors").write_bytes(b"cut short")
    with pytest.raises(RunFailedError, match="cannot be used"):
        load_checkpoint(good, state)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"step": None}, "something else than a state"),
        ({"losses": [[1]]}, "cannot be used"),
        ({"losses": 3}, "something else than a state"),
        ({"pending": {"a": 1}}, "something else than a state"),
        ({"load": {"load": []}}, "something else than a state"),
        ({"micro_batch_size": 0}, "something else than a state"),
        ({"expert_rows": "x"}, "cannot be used"),
    ],
)
def test_a_state_of_other_types_is_refused_in_one_line(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """Whoever can write a checkpoint can write its hash too."""
    state, plan = _begin(MODELS[0])
    state.micro = MicroBatch(4, 4, "test")
    train_steps(state, plan, 2)
    path = save_checkpoint(tmp_path, state, {})
    saved = {**json.loads((path / STATE).read_text()), **change}
    del saved["state_sha256"]
    if change.get("step", 1) is None:
        del saved["step"]
    (path / STATE).write_text(json.dumps(seal_state(saved, path / TENSORS)))
    with pytest.raises(RunFailedError, match=words) as refused:
        load_checkpoint(path, state)
    assert "\n" not in str(refused.value)


def test_checkpoints_hold_no_pickle_and_old_ones_go(tmp_path: Path) -> None:
    state, plan = _begin(MODELS[0])
    for until in (10, 20, 30):
        train_steps(state, plan, until)
        path = save_checkpoint(tmp_path, state, {})
    assert sorted(file.name for file in path.iterdir()) == ["state.json", "tensors.safetensors"]
    assert json.loads((path / "state.json").read_text())["step"] == 30
    drop_checkpoints(tmp_path, keep_steps={10, 30})
    assert sorted(int(folder.name[-8:]) for folder in tmp_path.iterdir()) == [10, 30]


def test_bits_per_byte_of_a_uniform_model_is_log2_of_the_vocabulary_over_bytes_per_token() -> None:
    model = build_model(dataclasses.replace(MODELS[0], embedding_std=0.0), seed=0)
    num_bytes = np.full(32, 2)
    result = evaluate(model, TEXT, num_bytes, context_length=16, batch_size=8, max_bytes=2 * 1600)
    assert result.bits_per_byte == pytest.approx(5 / 2, rel=1e-5)
    assert result.stderr == pytest.approx(0.0, abs=1e-6)
    assert result.num_bytes == 2 * result.num_tokens == 2 * 1600


def test_moe_evaluation_reports_the_load_of_every_expert() -> None:
    result = evaluate(
        build_model(MODELS[1], 0), TEXT, np.ones(32, dtype=int), context_length=16, batch_size=8, max_bytes=800
    )
    assert result.routing is not None
    assert len(result.routing.load) == 1
    assert sum(result.routing.load[0]) == pytest.approx(1.0)
    assert result.routing.num_tokens == result.num_tokens
    assert result.routing.mean_step_violation is None, "there are no steps"
    (violation,), (entropy,), (dead,) = (
        result.routing.layer_max_violation, result.routing.layer_entropy, result.routing.layer_dead_experts,
    )  # fmt: skip
    assert (violation, entropy, dead) == (
        result.routing.max_violation, result.routing.mean_entropy, result.routing.num_dead_experts
    )  # fmt: skip
    assert violation == pytest.approx(4 * max(result.routing.load[0]) - 1)
