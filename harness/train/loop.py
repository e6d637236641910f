"""The training loop: from one step to another, or until `should_stop` says so.

Nothing is random but the data order, which is a pure function of (seed, step): stopping anywhere and going on from a
checkpoint gives the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.core.config import TrainConfig
from harness.core.errors import RunFailedError
from harness.core.model_config import ModelConfig, MoEConfig
from harness.data.batches import sample_batch
from harness.models.dispatch import count_rows
from harness.models.transformer import Output, Transformer
from harness.train.optim import set_learning_rate
from harness.train.schedule import learning_rate_at, tokens_per_step

LOSS_INTERVAL_STEPS = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands: steps and tokens done, and the latest training loss in nats per token."""

    step: int
    tokens: int
    loss: float


ShouldStop = Callable[[Progress], bool]


@dataclass(slots=True)
class TrainState:
    """What changes during training: the model, the optimiser, steps done and (tokens, nats per token) so far.

    `expert_rows` counts choices of experts made, dropped, and rows multiplied for them, (3,) int64; ``None`` before the
    first step and for dense models. `forward` is what a step calls in place of the model, if it was compiled.
    """

    model: Transformer
    optimizer: torch.optim.Optimizer
    step: int = 0
    losses: list[tuple[int, float]] = field(default_factory=list)
    expert_rows: Tensor | None = None
    forward: Callable[[Tensor], Output] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What does not: data, seed, precision (`autocast` dtype or None), the schedule's ends in steps."""

    train: TrainConfig
    tokens: np.ndarray
    seed: int
    device: torch.device
    autocast: torch.dtype | None
    decay_from: int | None
    num_steps: int


def train_steps(state: TrainState, plan: Plan, until_step: int, should_stop: ShouldStop | None = None) -> bool:
    """Train until `until_step`; return whether `should_stop` ended it before.

    Raises:
        RunFailedError: the loss is not finite.
    """
    state.model.train()
    per_step = tokens_per_step(plan.train)
    pending: list[Tensor] = []
    while state.step < until_step:
        set_learning_rate(state.optimizer, learning_rate_at(plan.train, state.step, plan.decay_from, plan.num_steps))
        pending.append(_train_step(state, plan))
        state.step += 1
        if state.step % LOSS_INTERVAL_STEPS == 0 or state.step == until_step:
            loss = float(torch.stack(pending).mean())
            pending.clear()
            if not math.isfinite(loss):
                raise RunFailedError(f"the training loss is {loss} at step {state.step}; lower train.learning_rate.")
            state.losses.append((state.step * per_step, loss))
            if should_stop is not None and should_stop(Progress(state.step, state.step * per_step, loss)):
                return state.step < until_step
    return False


def training_loss(output: Output, targets_BT: Tensor, config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Return the language-model loss (nats per token), and what is trained: auxiliary and extra losses added."""
    loss = cross_entropy(output.logits_BTV, targets_BT)
    total = loss
    if output.auxiliary_loss is not None:
        total = total + output.auxiliary_loss
    for depth, logits in enumerate(output.mtp_logits, start=1):
        weight = config.mtp_weight / len(output.mtp_logits)
        total = total + weight * cross_entropy(logits, targets_BT[:, depth:])
    return loss, total


def cross_entropy(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats per token, in fp32."""
    return F.cross_entropy(logits_BTV.flatten(0, 1).float(), targets_BT.flatten())


def _train_step(state: TrainState, plan: Plan) -> Tensor:
    """Do one optimiser step; return the language-model loss (nats per token) without auxiliary and extra losses."""
    train = plan.train
    inputs, targets = sample_batch(
        plan.tokens,
        seed=plan.seed,
        step=state.step,
        batch_size=train.batch_size,
        context_length=train.context_length,
    )
    inputs_BT = torch.from_numpy(inputs).to(plan.device)
    targets_BT = torch.from_numpy(targets).to(plan.device)
    with torch.autocast(plan.device.type, dtype=plan.autocast, enabled=plan.autocast is not None):
        output = state.model(inputs_BT) if state.forward is None else state.forward(inputs_BT)
    loss, total = training_loss(output, targets_BT, state.model.config)
    state.optimizer.zero_grad(set_to_none=True)
    total.backward()
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), train.gradient_clip)
    state.optimizer.step()
    state.model.update_router_bias(output.loads)
    config = state.model.config
    if isinstance(config, MoEConfig):
        rows = count_rows(output.routings, config.dispatch)
        state.expert_rows = rows if state.expert_rows is None else state.expert_rows + rows
    return loss.detach()
