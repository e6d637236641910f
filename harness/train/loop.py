"""The training loop: from one step to another, or until `should_stop` says so.

Nothing is random but the data order, which is a pure function of (seed, step): stopping anywhere and going on from a
checkpoint gives the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.core.config import TrainConfig
from harness.core.errors import RunFailedError
from harness.data.batches import sample_batch
from harness.data.shards import Tokens
from harness.models.transformer import Transformer
from harness.train.load import LoadCount
from harness.train.micro import Forward, MicroBatch, accumulate, whole_batch
from harness.train.optim import set_learning_rate
from harness.train.schedule import learning_rate_at, tokens_per_step
from harness.train.spread import Spread

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
    first step and for dense models. `forward` is what a step calls in place of the model, if it was compiled; `micro`
    is how a step is parted, ``None``: not at all. `load` counts tokens per expert; it covers all steps unless training
    went on from a checkpoint that had none. `pending` holds the losses of steps since the last one of `losses`, of this
    rank alone. `spread` says how the model lies over ranks; all else that is counted here is of all ranks together, and
    the same on each.
    """

    model: Transformer
    optimizer: torch.optim.Optimizer
    step: int = 0
    losses: list[tuple[int, float]] = field(default_factory=list)
    expert_rows: Tensor | None = None
    forward: Forward | None = None
    micro: MicroBatch | None = None
    load: LoadCount | None = None
    pending: list[Tensor] = field(default_factory=list)
    spread: Spread = field(default_factory=Spread)


@dataclass(frozen=True, slots=True)
class Plan:
    """What does not: data, seed, precision (`autocast` dtype or None), the schedule's ends in steps."""

    train: TrainConfig
    tokens: Tokens
    seed: int
    device: torch.device
    autocast: torch.dtype | None
    decay_from: int | None
    num_steps: int


def train_steps(
    state: TrainState,
    plan: Plan,
    until_step: int,
    should_stop: ShouldStop | None = None,
    is_interrupted: Callable[[], bool] = lambda: False,
) -> bool:
    """Train until `until_step`; return whether `should_stop`, or `is_interrupted` after any step, ended it before.

    Raises:
        RunFailedError: the loss is not finite.
    """
    state.model.train()
    per_step = tokens_per_step(plan.train)
    while state.step < until_step:
        set_learning_rate(state.optimizer, learning_rate_at(plan.train, state.step, plan.decay_from, plan.num_steps))
        state.pending.append(_train_step(state, plan))
        state.step += 1
        if state.step % LOSS_INTERVAL_STEPS == 0 or state.step == until_step:
            loss = float(state.spread.mean_loss(torch.stack(state.pending).mean()))
            state.pending.clear()
            if not math.isfinite(loss):
                raise RunFailedError(f"the training loss is {loss} at step {state.step}; lower train.learning_rate.")
            state.losses.append((state.step * per_step, loss))
            if should_stop is not None and should_stop(Progress(state.step, state.step * per_step, loss)):
                return state.step < until_step
        if is_interrupted():
            return state.step < until_step
    return False


def _train_step(state: TrainState, plan: Plan) -> Tensor:
    """Do one optimiser step; return this rank's language-model loss (nats per token), no auxiliary and extra losses.

    The step's batch does not depend on the number of ranks; each takes its share of the rows.
    """
    train, ranks = plan.train, state.spread.ranks
    inputs, targets = sample_batch(
        plan.tokens,
        seed=plan.seed,
        step=state.step,
        batch_size=train.batch_size,
        context_length=train.context_length,
    )
    inputs_BT = torch.from_numpy(ranks.share(inputs)).to(plan.device)
    targets_BT = torch.from_numpy(ranks.share(targets)).to(plan.device)
    micro = state.micro or whole_batch(train, ranks.size)
    forward = state.spread.entry(state.model) if state.forward is None else state.forward
    sums = accumulate(state.model, forward, inputs_BT, targets_BT, plan.autocast, micro, state.spread)
    state.spread.clip_gradients(state.model, train.gradient_clip)
    state.optimizer.step()
    state.model.update_router_bias(sums.loads)
    if sums.loads:
        state.load = state.load or LoadCount.begin(sums.loads)
        state.load.add(sums.loads)
    if sums.rows is not None:
        state.expert_rows = sums.rows if state.expert_rows is None else state.expert_rows + sums.rows
    return sums.loss
