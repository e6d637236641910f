"""A step in parts is the step in one: the same gradients, loads and biases; what does not fit is halved."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from harness.core.config import Budget, TrainConfig
from harness.core.errors import RunFailedError
from harness.core.model_config import ModelConfig, MoEConfig
from harness.models import build_model
from harness.train.checkpoint import load_checkpoint, save_checkpoint
from harness.train.evaluate import evaluate
from harness.train.loop import Plan, TrainState, train_steps
from harness.train.micro import MicroBatch, StepSums, accumulate
from harness.train.optim import build_optimizer

DENSE = ModelConfig(d_model=16, num_layers=2, num_heads=2, num_kv_heads=1, d_ff=24, vocab_size=32)
MOE = MoEConfig(
    d_model=16, num_layers=2, num_heads=2, num_kv_heads=1, d_ff=24, vocab_size=32, num_experts=4, top_k=2, d_expert=8,
    bias_update_rate=0.01, balance_loss_weight=0.1,
)  # fmt: skip
EXACT = {
    "dense": DENSE,
    "extra predictions": dataclasses.replace(DENSE, mtp_depth=2),
    "deepseek_v3": MOE,
    "deepseek_v3, latent, extra": dataclasses.replace(MOE, attention="mla", mtp_depth=1),
    "z-loss": dataclasses.replace(MOE, router="olmoe", balance_loss_weight=0.0, z_loss_weight=0.1),
}
TRAIN = TrainConfig(budget=Budget(tokens=40 * 128), batch_size=8, context_length=16, warmup_tokens=256)
TEXT = (np.arange(4000) * 7 % 29).astype(np.uint16)
TOKENS = torch.randint(0, 32, (8, 17), generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def one_step(config: ModelConfig, size: int) -> tuple[StepSums, dict[str, torch.Tensor]]:
    model = build_model(config, seed=3).train()
    with torch.no_grad():  # as built, outputs are zero and most gradients with them
        for parameter in model.parameters():
            parameter.add_(
                0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
    micro = MicroBatch(8, size, "test")
    sums = accumulate(model, model, TOKENS[:, :-1], TOKENS[:, 1:], None, micro)
    model.update_router_bias(sums.loads)
    found = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    return sums, found | dict(model.named_buffers())


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("name", EXACT)
def test_gradients_loads_and_biases_are_those_of_the_whole_batch(name: str, size: int) -> None:
    whole, expected = one_step(EXACT[name], 8)
    parted, found = one_step(EXACT[name], size)
    assert float(parted.loss) == pytest.approx(float(whole.loss), rel=1e-6)
    assert [load.tolist() for load in parted.loads] == [load.tolist() for load in whole.loads]
    assert (whole.rows is None) == (parted.rows is None) == (not isinstance(EXACT[name], MoEConfig))
    assert whole.rows is None or parted.rows is None or torch.equal(whole.rows, parted.rows)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        scale = float(value.abs().max())
        torch.testing.assert_close(found[key], value, rtol=1e-5, atol=1e-5 * scale, msg=key)


def test_a_balance_loss_over_the_batch_sees_the_parts_and_little_else_changes() -> None:
    """As the docstring of `harness.train.micro` says: only what balances differs."""
    config = dataclasses.replace(MOE, router="mixtral", balance_loss_weight=1.0)
    _, whole = one_step(config, 8)
    _, parted = one_step(config, 2)
    gap = float((parted["blocks.1.feed_forward.router.weight"] - whole["blocks.1.feed_forward.router.weight"]).norm())
    assert gap > 1e-4
    plain = dataclasses.replace(config, balance_loss_weight=0.0)
    torch.testing.assert_close(one_step(plain, 2)[1], one_step(plain, 8)[1], rtol=1e-4, atol=1e-6)


def begin(config: ModelConfig, micro: MicroBatch | None = None) -> tuple[TrainState, Plan]:
    model = build_model(config, seed=0)
    plan = Plan(
        train=TRAIN, tokens=TEXT, seed=0, device=torch.device("cpu"), autocast=None, decay_from=30, num_steps=40
    )
    return TrainState(model, build_optimizer(model, TRAIN), micro=micro), plan


@pytest.mark.parametrize("config", [DENSE, MOE], ids=["dense", "moe"])
def test_training_in_parts_learns_what_training_in_one_does(config: ModelConfig) -> None:
    whole, plan = begin(config)
    train_steps(whole, plan, 40)
    parted, _ = begin(config, MicroBatch(8, 2, "test"))
    train_steps(parted, plan, 40)
    assert [loss for _, loss in parted.losses] == pytest.approx([loss for _, loss in whole.losses], rel=1e-4)


def test_a_batch_in_one_part_is_the_same_to_the_last_digit() -> None:
    for config in (DENSE, MOE):
        plain, plan = begin(config)
        given, _ = begin(config, MicroBatch(8, 8, "test"))
        train_steps(plain, plan, 20)
        train_steps(given, plan, 20)
        assert plain.losses == given.losses
        pairs = zip(plain.model.state_dict().values(), given.model.state_dict().values(), strict=True)
        assert all(torch.equal(left, right) for left, right in pairs)


class Cramped:
    """A device on which more than `most` sequences do not fit; fails from the `since`-th pass on."""

    def __init__(self, model: Any, most: int, since: int = 0) -> None:
        self.model, self.most, self.since, self.passes = model, most, since, 0

    def __call__(self, inputs_BT: torch.Tensor) -> Any:
        self.passes += 1
        if len(inputs_BT) > self.most and self.passes > self.since:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.model(inputs_BT)


@pytest.mark.parametrize("config", [DENSE, MOE], ids=["dense", "moe"])
def test_a_part_that_does_not_fit_is_halved_and_the_step_is_the_same_step(config: ModelConfig) -> None:
    halved, plan = begin(config, MicroBatch(8, 8, "estimate"))
    halved.forward = Cramped(halved.model, most=2)
    train_steps(halved, plan, 10)
    micro = halved.micro
    assert micro is not None
    assert (micro.size, micro.too_large) == (2, [8, 4])
    assert "8, 4 did not fit" in micro.source
    expected, _ = begin(config, MicroBatch(8, 2, "test"))
    train_steps(expected, plan, 10)
    assert halved.losses == expected.losses
    assert halved.expert_rows is None or halved.expert_rows.tolist() == expected.expert_rows.tolist()


def test_memory_that_runs_out_later_loses_nothing_either() -> None:
    """The seventh pass fails in the middle of a step: gradients of its first parts are not counted twice."""
    late, plan = begin(MOE, MicroBatch(8, 4, "estimate"))
    late.forward = Cramped(late.model, most=2, since=6)
    train_steps(late, plan, 10)
    assert late.micro is not None
    assert late.micro.too_large == [4]
    expected, _ = begin(MOE, MicroBatch(8, 4, "test"))
    train_steps(expected, plan, 10)
    assert late.losses[-1][1] == pytest.approx(expected.losses[-1][1], rel=1e-5)


def test_what_cannot_be_made_smaller_is_said_in_one_line() -> None:
    fixed, plan = begin(DENSE, MicroBatch(8, 4, "train.micro_batch_size", fixed=True))
    fixed.forward = Cramped(fixed.model, most=2)
    with pytest.raises(RunFailedError, match=r"4 sequences at once .* smaller train.micro_batch_size, or 0"):
        train_steps(fixed, plan, 10)
    single, _ = begin(DENSE, MicroBatch(8, 8, "estimate"))
    single.forward = Cramped(single.model, most=0)
    with pytest.raises(RunFailedError, match=r"one sequence does not fit .* lower train.context_length"):
        train_steps(single, plan, 10)


def test_odd_batches_are_halved_to_divisors() -> None:
    micro = MicroBatch(12, 12, "estimate")
    sizes = []
    while micro.size > 1:
        micro.halve()
        sizes.append(micro.size)
    assert sizes == [6, 3, 1]
    assert [part.start for part in MicroBatch(12, 3, "test").parts()] == [0, 3, 6, 9]


@pytest.mark.parametrize(("saved", "now", "taken"), [(2, 8, 2), (8, 2, 2), (8, 8, 8)])
def test_training_goes_on_with_the_parts_it_had_unless_they_no_longer_fit(
    saved: int, now: int, taken: int, tmp_path: Any
) -> None:
    state, plan = begin(DENSE, MicroBatch(8, saved, "estimate"))
    train_steps(state, plan, 10)
    path = save_checkpoint(tmp_path, state, {})
    fresh, _ = begin(DENSE, MicroBatch(8, now, "estimate"))
    load_checkpoint(path, fresh)
    assert fresh.micro is not None
    assert fresh.micro.size == taken


def test_an_evaluation_that_does_not_fit_takes_fewer_windows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(MOE, seed=0)
    arguments = {"context_length": 16, "max_bytes": 800}
    expected = evaluate(model, TEXT, np.ones(32, dtype=int), batch_size=3, **arguments)
    forward = type(model).forward

    def cramped(self: Any, tokens_BT: torch.Tensor, *rest: Any, **named: Any) -> Any:
        if len(tokens_BT) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, tokens_BT, *rest, **named)

    monkeypatch.setattr(type(model), "forward", cramped)
    found = evaluate(model, TEXT, np.ones(32, dtype=int), batch_size=13, **arguments)
    assert found == expected
    assert found.batch_size == 3
    monkeypatch.setattr(type(model), "forward", lambda *_, **__: (_ for _ in ()).throw(torch.OutOfMemoryError("full")))
    with pytest.raises(RunFailedError, match="one window of evaluation"):
        evaluate(model, TEXT, np.ones(32, dtype=int), batch_size=2, **arguments)
