"""A model spread over ranks: what is wrapped or sharded, how gradients meet, and the whole model out of its parts.

Every rank takes an equal part of a step's sequences, so a mean over the step is the mean of the ranks' means: what
`harness.train.micro` says of the parts of a batch (exact, or per part) holds for ranks as well. Gradients are averaged
over ranks before they are clipped by their norm over the whole model; loads and rows of experts are added up, and a
router's bias moves by the step's loads, alike on all ranks.

- ``ddp``: torch's DistributedDataParallel around the model; only the last part of a step averages.
- ``fsdp``: torch's `fully_shard` (FSDP2) on every block, and on what is left as one group; each part of a step
  averages.
- ``ep``: routed experts are parts (`harness.models.expert_parallel`); their gradients already cover the rows of all
  ranks of their group and are added up over the groups, those of all other weights over all ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from harness.models.expert_parallel import shard_experts
from harness.models.transformer import Transformer
from harness.train.ranks import Ranks


@dataclass(slots=True)
class Spread:
    """How `spread_model` has spread one model; as it is made here it is not spread at all."""

    ranks: Ranks = field(default_factory=Ranks)
    wrapped: DistributedDataParallel | None = None
    parts: list[nn.Parameter] = field(default_factory=list)

    @property
    def is_sharded(self) -> bool:
        """Whether no rank has all of the model."""
        return self.ranks.strategy in ("fsdp", "ep") and not self.ranks.is_alone

    def entry(self, model: Transformer) -> nn.Module:
        """Return what a training step calls: the wrapper around `model`, or itself."""
        return model if self.wrapped is None else self.wrapped

    def part_of_step(self, *, is_last: bool) -> AbstractContextManager[Any]:
        """Return the context of a part's passes: under DDP gradients meet in the last part only."""
        return nullcontext() if self.wrapped is None or is_last else self.wrapped.no_sync()

    def finish_gradients(self, model: nn.Module) -> None:
        """Let gradients meet that no wrapper has averaged; afterwards they are those of the whole step."""
        if self.ranks.strategy != "ep" or self.ranks.is_alone or self.ranks.expert_mesh is None:
            return
        parts = {id(parameter) for parameter in self.parts}
        for parameter in self.parts:
            if parameter.grad is None:  # none of this step's rows came here
                parameter.grad = torch.zeros_like(parameter)
        whole = [p.grad for p in model.parameters() if p.grad is not None and id(p) not in parts]
        _sum_together(whole, self.ranks.size, None)
        own = [parameter.grad for parameter in self.parts if parameter.grad is not None]
        _sum_together(own, self.ranks.size, self.ranks.expert_mesh.get_group("replicate"))

    def clip_gradients(self, model: nn.Module, max_norm: float) -> None:
        """Scale gradients so that their norm over the whole model is at most `max_norm`."""
        if not self.parts:
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
            return
        parts = {id(parameter) for parameter in self.parts}
        whole = [p.grad for p in model.parameters() if p.grad is not None and id(p) not in parts]
        own = torch.nn.utils.get_total_norm([p.grad for p in self.parts if p.grad is not None])
        squares = own.square()
        if self.ranks.expert_mesh is not None:
            dist.all_reduce(squares, group=self.ranks.expert_mesh.get_group("expert"))
        norm = (torch.nn.utils.get_total_norm(whole).square() + squares).sqrt()
        torch.nn.utils.clip_grads_with_norm_(model.parameters(), max_norm, norm)

    def sum_counts(self, counts: Sequence[Tensor]) -> list[Tensor]:
        """Return whole numbers of each rank, such as loads of experts, added up over ranks."""
        if self.ranks.is_alone or not counts:
            return list(counts)
        flat = self.ranks.sum_(torch.cat([count.flatten() for count in counts]))
        pieces = flat.split([count.numel() for count in counts])
        return [piece.view(count.shape) for piece, count in zip(pieces, counts, strict=True)]

    def mean_loss(self, loss: Tensor) -> Tensor:
        """Return the mean over ranks of their mean losses."""
        return loss if self.ranks.is_alone else self.ranks.sum_(loss.clone()) / self.ranks.size

    def as_global(self, tensor: Tensor, parameter: Tensor) -> Tensor:
        """Return `tensor`, which has the layout of `parameter`, in the shape of the whole; a view of the same memory.

        Where a rank has a part this is a DTensor, which knows where it belongs.
        """
        if isinstance(tensor, DTensor) or not any(parameter is part for part in self.parts):
            return tensor
        mesh = self.ranks.expert_mesh
        return DTensor.from_local(tensor, mesh, [Replicate(), Shard(0)], run_check=False)


def spread_model(model: Transformer, ranks: Ranks) -> Spread:
    """Spread `model`, which is the same on all ranks, in place; the result says how."""
    if ranks.is_alone:
        return Spread(ranks)
    if ranks.strategy == "fsdp":
        # What is called from outside a module's own forward (the predictors' last norm) stays in the root's group.
        for block in (*model.blocks, *(predictor.block for predictor in model.predictors)):
            fully_shard(block, mesh=ranks.mesh)
        fully_shard(model, mesh=ranks.mesh)
        return Spread(ranks)
    if ranks.strategy == "ep" and ranks.expert_mesh is not None:
        return Spread(ranks, parts=shard_experts(model, ranks.expert_mesh.get_group("expert")))
    device = model.embedding.weight.device
    wrapped = DistributedDataParallel(
        model,
        device_ids=[device.index] if device.type == "cuda" else None,
        broadcast_buffers=False,  # biases of routers move alike on all ranks
        gradient_as_bucket_view=True,
    )
    return Spread(ranks, wrapped)


def walk_tensors(model: Transformer, optimizer: torch.optim.Optimizer, spread: Spread) -> Iterator[tuple[str, Tensor]]:
    """Yield weights, buffers and the optimiser's moments by the names that checkpoints give them, parts as DTensors."""
    parameters = dict(model.named_parameters())
    for name, value in model.state_dict().items():
        yield f"model.{name}", spread.as_global(value, parameters.get(name, value))
    for name, parameter in parameters.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            whole = spread.as_global(value, parameter) if value.shape == parameter.shape else value
            yield f"optimizer.{name}.{key}", whole


def copy_whole(target: Tensor, whole: Tensor) -> None:
    """Write a whole tensor into `target`, of which a rank may have a part."""
    whole = whole.to(target.device, target.dtype)
    if isinstance(target, DTensor):
        whole = distribute_tensor(whole, target.device_mesh, target.placements, src_data_rank=None)
    with torch.no_grad():
        target.copy_(whole)


def gather_weights(model: Transformer, spread: Spread) -> Iterator[tuple[str, Tensor]]:
    """Yield each weight and buffer as a whole, on all ranks, which must all go through to the end."""
    parameters = dict(model.named_parameters())
    for name, value in model.state_dict().items():
        whole = spread.as_global(value, parameters.get(name, value))
        yield name, whole.full_tensor() if isinstance(whole, DTensor) else whole


def _sum_together(gradients: list[Tensor], size: int, group: Any) -> None:
    """Add up gradients over `group` in one call for each type, and divide by `size`."""
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for gradient in gradients:
        by_type.setdefault(gradient.dtype, []).append(gradient)
    for alike in by_type.values():
        flat = torch.cat([gradient.flatten() for gradient in alike])
        dist.all_reduce(flat, group=group)
        flat /= size
        for gradient, piece in zip(alike, flat.split([g.numel() for g in alike]), strict=True):
            gradient.copy_(piece.view_as(gradient))
