"""How much of a batch goes through the model at once on this device, by estimate; and what the record says of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch.distributed.tensor import DTensor

from harness.core.config import RunConfig, TrainConfig
from harness.core.model_config import ModelConfig, MoEConfig
from harness.core.provenance import BatchInfo
from harness.core.readings import Finding
from harness.models.transformer import Transformer
from harness.run.device import autocast_dtype, describe_precision, free_memory_bytes
from harness.train.memory import Footprint, count_fitting, largest_divisor
from harness.train.micro import MicroBatch
from harness.train.ranks import ALONE, Ranks


@dataclass(frozen=True, slots=True)
class Fit:
    """The parts of a step, what they were estimated to need, and what was free before (``None``: not asked)."""

    micro: MicroBatch
    footprint: Footprint
    estimated_bytes: int | None
    free_bytes: int | None


def fit_batch(config: RunConfig, model: Transformer, device: torch.device, ranks: Ranks = ALONE) -> Fit:
    """Choose the micro-batch: the configured one, else the largest divisor of the batch that fits by estimate.

    Asked for before gradients and optimiser state exist, so both are in the estimate. Several ranks part their shares
    of the batch alike: by the one with the least room, processes on one CPU having an equal part of its memory each.
    """
    train = config.train
    footprint = _footprint(train, model, device)
    share = train.batch_size // ranks.size
    if train.micro_batch_size:
        micro = MicroBatch(share, train.micro_batch_size, "train.micro_batch_size", fixed=True)
        return Fit(micro, footprint, None, None)
    state_bytes = footprint.state_bytes(sum(local(parameter).numel() for parameter in model.parameters()))
    sequence_bytes, free_bytes = footprint.sequence_bytes(), free_memory_bytes(device)
    if device.type == "cpu":
        free_bytes //= ranks.local_size
    fitting = min(ranks.gather(count_fitting(sequence_bytes, state_bytes, free_bytes)))
    size = largest_divisor(share, fitting)
    what = "the batch" if ranks.is_alone else "a process's share of the batch"
    if size == share:
        source = "the whole batch fits by estimate" if ranks.is_alone else f"{what} fits by estimate"
    elif fitting:
        source = f"the largest part of {what} that fits by estimate"
    else:
        source = "one sequence, though it does not fit by estimate"
    # several ranks cannot begin a step again in smaller parts: one of them alone would leave the others waiting
    micro = MicroBatch(share, size, source, fixed=not ranks.is_alone)
    return Fit(micro, footprint, state_bytes + size * sequence_bytes, free_bytes)


def local(tensor: torch.Tensor) -> torch.Tensor:
    """Return what this rank has of a tensor that may be in parts."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def fit_windows(fit: Fit, train: TrainConfig, device: torch.device) -> int:
    """Return how many windows an evaluation takes at once: the configured number, or fewer where they do not fit."""
    footprint = dataclasses.replace(fit.footprint, number_bytes=4)  # evaluation computes in fp32
    fitting = count_fitting(footprint.window_bytes(), 0, free_memory_bytes(device))
    return max(1, min(train.eval_batch_size, fitting))


def describe_batches(fit: Fit, precision: str, device: torch.device, eval_batch_size: int | None) -> BatchInfo:
    """Return what the record says; without an evaluation the run was a trunk."""
    return BatchInfo(
        precision=describe_precision(precision, device),
        micro_batch_size=fit.micro.size,
        micro_batch_source=fit.micro.source,
        estimated_bytes=fit.estimated_bytes,
        free_bytes=fit.free_bytes,
        eval_batch_size=eval_batch_size,
        reason=None if eval_batch_size is not None else "a trunk is not evaluated",
    )


def find_parts(micro: MicroBatch, config: ModelConfig, batch_size: int) -> list[Finding]:
    """Return what a reader must know of a step in parts: an estimate that was too small, routers that see parts.

    The shares of several ranks are parts of the step's `batch_size` sequences as well.
    """
    findings = []
    if micro.too_large:
        text = (
            "the device ran out of memory with more sequences at once; those passes were done again in smaller parts, "
            "and their time and energy stand in the windows they fell into"
        )
        limit = micro.too_large[0]
        findings.append(
            Finding(code="micro_batch_halved", severity="warning", text=text, value=micro.size, limit=limit)
        )
    routed = isinstance(config, MoEConfig) and (config.router != "deepseek_v3" or config.capacity_factor is not None)
    if routed and micro.size < batch_size:
        text = "the router balanced its load over parts of a batch: its loss and capacity are of so many sequences"
        findings.append(Finding(code="routed_in_parts", severity="warning", text=text, value=micro.size))
    return findings


def _footprint(train: TrainConfig, model: Transformer, device: torch.device) -> Footprint:
    number_bytes = 2 if autocast_dtype(train.precision, device) is not None else 4
    # torch's fused kernels of a CPU take one width of head for keys and values alike
    keeps_scores = device.type == "cpu" and model.config.attention == "mla"
    return Footprint(model.config, train.context_length, number_bytes, keeps_scores)
