"""Gradient accumulation: a step's sequences go through the model in parts that fit the device.

What a step learns from is `train.batch_size` sequences, whatever the device; how many go through at once changes the
rounding and nothing else, since all parts are equally large and every mean over a step is the mean of the parts' means:
- exact: cross-entropy, extra predictions, the router's z-loss (means over tokens) and DeepSeek-V3's sequence-wise
  balance loss (a mean over sequences); loads are summed, and a router's bias moves once a step by the step's loads;
- per part: the balance loss of the mixtral, olmoe and switch routers multiplies two means over the batch, and a
  capacity holds for the tokens that are routed together: there the parts are the small batches that they are.
A step in one part is computed as if there were no parts. Where several ranks train one model (`harness.train.spread`)
each rank's share of a step is parted so, and the same holds for the shares.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.core.config import TrainConfig
from harness.core.errors import RunFailedError
from harness.core.model_config import MoEConfig
from harness.models.dispatch import count_rows
from harness.models.transformer import Output, Transformer
from harness.train.loss import training_loss
from harness.train.memory import largest_divisor
from harness.train.spread import Spread

Forward = Callable[[Tensor], Output]


@dataclass(slots=True)
class MicroBatch:
    """How many of the `batch_size` sequences that a rank has of a step go through at once: `size`, a divisor.

    `source` says who chose it. Unless it is `fixed` it is halved where it does not fit after all; `too_large` holds the
    sizes that did not.
    """

    batch_size: int
    size: int
    source: str
    fixed: bool = False
    too_large: list[int] = field(default_factory=list)

    def parts(self) -> Iterator[slice]:
        """Yield the places of each part in the batch."""
        return (slice(start, start + self.size) for start in range(0, self.batch_size, self.size))

    def keep_to(self, size: int) -> None:
        """Take a size that training went on with before, unless it is larger than what fits now."""
        if size < self.size:
            self.size, self.source = size, "as before, in the checkpoint that training went on from"

    def halve(self) -> None:
        """Go on with at most half as many.

        Raises:
            RunFailedError: it is fixed, or one sequence alone does not fit.
        """
        if self.fixed:
            raise RunFailedError(
                f"{self.size} sequences at once do not fit the device's memory; give a smaller "
                "train.micro_batch_size, or 0 for one that fits."
            )
        if self.size == 1:
            raise RunFailedError(
                "one sequence does not fit the device's memory; lower train.context_length or choose a smaller model."
            )
        self.too_large.append(self.size)
        self.size = largest_divisor(self.batch_size, self.size // 2)
        self.source = f"halved after {', '.join(map(str, self.too_large))} did not fit"


def whole_batch(train: TrainConfig, num_ranks: int = 1) -> MicroBatch:
    """Return a step that is not parted but over ranks."""
    share = train.batch_size // num_ranks
    return MicroBatch(share, share, "the whole batch", fixed=True)


@dataclass(frozen=True, slots=True)
class StepSums:
    """One step's forward and backward passes: mean loss (nats per token), loads and rows summed over parts and ranks.

    The loss is this rank's own mean; whoever shows it takes the mean over ranks.

    `loads` has tokens per expert of each expert layer, (E,) each; `rows` counts choices made, dropped, and rows
    multiplied, (3,) int64, ``None`` for a dense model.
    """

    loss: Tensor
    loads: tuple[Tensor, ...]
    rows: Tensor | None


def accumulate(  # noqa: PLR0917 - a step's whole context
    model: Transformer,
    forward: Forward,
    inputs_BT: Tensor,
    targets_BT: Tensor,
    autocast: torch.dtype | None,
    micro: MicroBatch,
    spread: Spread | None = None,
) -> StepSums:
    """Leave the gradient of the step's mean loss in the parameters; a part that does not fit halves `micro`.

    The inputs are this rank's share of the step. With several ranks `micro` is fixed: one that began again would leave
    the others waiting.

    Nothing but gradients is touched before all parts are through, so a step that is begun again is the same step.

    Raises:
        RunFailedError: no part is small enough.
    """
    while True:
        try:
            return _pass_parts(model, forward, inputs_BT, targets_BT, autocast, micro, spread or Spread())
        except torch.OutOfMemoryError:
            pass  # the exception holds what the pass has kept: nothing can be freed before it is gone
        micro.halve()
        model.zero_grad(set_to_none=True)
        release_memory(inputs_BT.device)


def release_memory(device: torch.device) -> None:
    """Give back what an interrupted pass has left."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _pass_parts(  # noqa: PLR0917 - see `accumulate`
    model: Transformer,
    forward: Forward,
    inputs_BT: Tensor,
    targets_BT: Tensor,
    autocast: torch.dtype | None,
    micro: MicroBatch,
    spread: Spread,
) -> StepSums:
    config = model.config
    losses: list[Tensor] = []
    loads: list[Tensor] = []
    rows: Tensor | None = None
    num_parts = micro.batch_size // micro.size
    if spread.is_sharded:  # after the forward pass FSDP's root shows its whole weights, whose gradients are others
        model.zero_grad(set_to_none=True)
    for part in micro.parts():
        with spread.part_of_step(is_last=len(losses) == num_parts - 1):
            with torch.autocast(inputs_BT.device.type, dtype=autocast, enabled=autocast is not None):
                output = forward(inputs_BT[part])
            loss, total = training_loss(output, targets_BT[part], config)
            if not losses and not spread.is_sharded:
                model.zero_grad(set_to_none=True)
            (total if num_parts == 1 else total / num_parts).backward()
        losses.append(loss.detach())
        loads = [sum(pair) for pair in zip(loads, output.loads, strict=True)] if loads else list(output.loads)
        if isinstance(config, MoEConfig):
            part_rows = count_rows(output.routings, config.dispatch)
            rows = part_rows if rows is None else rows + part_rows
        del output, loss, total  # the next part needs their memory
    spread.finish_gradients(model)
    counts = spread.sum_counts(loads if rows is None else [*loads, rows])
    loads, rows = (counts, None) if rows is None else (counts[:-1], counts[-1])
    return StepSums(losses[0] if num_parts == 1 else torch.stack(losses).mean(), tuple(loads), rows)
