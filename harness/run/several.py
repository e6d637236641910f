"""What a run of several processes has that a run of one has not: its meter, its whole model, its part of the record."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import psutil
import torch

from harness.core.config import RunConfig
from harness.core.parallel import ParallelInfo, expert_group_size
from harness.core.provenance import Environment
from harness.core.readings import Finding
from harness.data import Dataset
from harness.models.transformer import Transformer
from harness.run.contention import CpuAccount, WatchedMeter, read_account
from harness.run.device import peak_memory_bytes
from harness.run.preparation import build
from harness.run.rank_energy import RankMeter
from harness.train.ranks import Ranks
from harness.train.spread import Spread, copy_whole, gather_weights


def open_meter(config: RunConfig, ranks: Ranks, device: torch.device, folder: Path) -> WatchedMeter | RankMeter:
    """Return the meter of a run, still to be entered: a plain one, or the one that all ranks share."""
    if ranks.is_alone:
        return WatchedMeter(config.measure, folder=folder)
    gpu = device.index if device.type == "cuda" else None
    return RankMeter(ranks, gpu, lambda: WatchedMeter(config.measure, folder=folder, read=_read_account))


def find_contention(meter: WatchedMeter | RankMeter, *, is_cpu: bool) -> tuple[Finding, ...]:
    """Return what others' use of the processors must be known for, of every machine."""
    if isinstance(meter, WatchedMeter):
        return meter.cpu_use.find_contention(is_cpu=is_cpu)
    own = meter.meter.cpu_use.find_contention(is_cpu=is_cpu) if isinstance(meter.meter, WatchedMeter) else ()
    return meter.merge_findings(own)


def _read_account() -> CpuAccount | None:
    """Return the processors' accounts; what all ranks of this machine's launcher use is the run's own."""
    launcher = psutil.Process().parent() or psutil.Process()
    try:
        own = (launcher.pid, *(child.pid for child in launcher.children(recursive=True)))
    except psutil.Error:
        own = (os.getpid(),)
    return read_account(own)


def whole_model(
    config: RunConfig, model: Transformer, data: Dataset, device: torch.device, spread: Spread
) -> Transformer:
    """Return the trained model as one process has it; of a sharded one only the main rank gets it.

    It must fit the main rank's device as a whole. All ranks call this.
    """
    if not spread.is_sharded:
        return model
    whole = build(config, data, device) if spread.ranks.is_main else None
    targets = {} if whole is None else whole.state_dict()
    for name, tensor in gather_weights(model, spread):
        if whole is not None:
            copy_whole(targets[name], tensor)
    return model if whole is None else whole


def describe_ranks(
    config: RunConfig, ranks: Ranks, meter: WatchedMeter | RankMeter, device: torch.device, micro_batch_size: int
) -> ParallelInfo | None:
    """Return what the record says of the ranks, ``None`` for one process. Called when training has just ended."""
    if ranks.is_alone or not isinstance(meter, RankMeter):
        return None
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return ParallelInfo(
        strategy=ranks.strategy,
        world_size=ranks.size,
        num_hosts=meter.num_hosts,
        expert_parallel=expert_group_size(config.parallel),
        backend=ranks.backend,
        devices=tuple(ranks.gather(name)),
        peak_memory_bytes=tuple(ranks.gather(peak_memory_bytes(device))),
        micro_batch_size=micro_batch_size,
    )


def name_devices(environment: Environment, parallel: ParallelInfo) -> Environment:
    """Return the environment with all devices of the run in its name, so that it is not pooled with other numbers.

    Processes that share the CPU of one machine are one device.
    """
    on_gpus = environment.device == "cuda"
    number = parallel.world_size if on_gpus else parallel.num_hosts
    if number == 1:
        return environment
    return dataclasses.replace(environment, device_name=f"{number} x {environment.device_name}", gpu_uuid=None)
