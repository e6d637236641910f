"""The device of a run: which one, how it is synchronised, what repeats exactly on it, what memory it peaked at."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import torch

from harness.core.config import RunConfig
from harness.core.errors import ConfigError
from harness.core.model_config import HuggingFaceConfig
from harness.core.parallel import is_parallel
from harness.run.device_lock import CPU, name_gpu
from harness.train.ranks import ALONE, Ranks

DETERMINISM_CPU = (
    "cpu: fixed seeds, stateless data order, deterministic kernels, fixed number of threads; "
    "same machine and seed give the same loss to the last digit"
)
DETERMINISM_CUDA = (
    "cuda: fixed seeds, stateless data order; atomic additions in some kernels may change the last digits"
)


def resolve_device(name: str) -> torch.device:
    """Return the device for ``auto`` (the GPU where there is one), ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        ConfigError: the name is not a device, or there is no such GPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device '{name}' is not known; use auto, cpu, cuda or cuda:<index>.") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device '{name}' is not supported; use auto, cpu, cuda or cuda:<index>.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device '{name}' is not there ({torch.cuda.device_count()} GPUs seen); use device=auto.")
    return device


def lock_names(config: RunConfig) -> list[str]:
    """Return the names of the device locks that a run holds: the CPU's, or those of its GPUs.

    Raises:
        ConfigError: the device is not there.
    """
    device = torch.device("cpu") if config.task.mode == "server" else resolve_device(config.device)
    if device.type == "cpu":
        return [CPU]
    is_spread = isinstance(config.model, HuggingFaceConfig) and bool(config.model.device_map)
    one = torch.cuda.current_device() if device.index is None else device.index
    indices = range(torch.cuda.device_count()) if is_spread else (one,)
    if is_parallel(config.parallel):
        indices = range(min(config.parallel.num_processes, torch.cuda.device_count()))
    return [name_gpu(str(torch.cuda.get_device_properties(index).uuid)) for index in indices]


def prepare_device(config: RunConfig, ranks: Ranks = ALONE) -> torch.device:
    """Set threads and the determinism policy for this process; return the device.

    Of several ranks each takes the GPU of its own number on its machine, or its part of the machine's CPUs.

    Raises:
        ConfigError: there is no such device, or more ranks than GPUs.
    """
    torch.set_num_threads(config.num_threads or max(1, (os.cpu_count() or 1) // ranks.local_size))
    torch.manual_seed(config.seed)
    device = resolve_device(config.device)
    if device.type == "cuda" and not ranks.is_alone:
        device = device_of_rank(device, ranks)
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
    else:
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")
        torch.cuda.reset_peak_memory_stats(device)
    return device


def device_of_rank(device: torch.device, ranks: Ranks) -> torch.device:
    """Return the GPU of this rank.

    Raises:
        ConfigError: one GPU was named for all, or there are more ranks on this machine than GPUs.
    """
    if device.index is not None:
        raise ConfigError(
            f"device '{device}' is one GPU, and each of {ranks.size} processes takes its own; set device=cuda."
        )
    num_gpus = torch.cuda.device_count()
    if ranks.local_size > num_gpus:
        raise ConfigError(
            f"{ranks.local_size} processes on a machine with {num_gpus} GPUs; lower parallel.num_processes, or start "
            "processes on more machines (torchrun)."
        )
    return torch.device("cuda", ranks.local_rank)


def determinism_policy(device: torch.device) -> str:
    """Return what repeats exactly on `device`, in words for the record."""
    return DETERMINISM_CPU if device.type == "cpu" else DETERMINISM_CUDA


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the autocast dtype, or ``None`` for fp32.

    ``auto``: bf16 on a GPU; fp32 on a CPU, where grouped products of narrow experts run slower in bf16 (LOG.md).
    """
    if precision == "bf16" or (precision == "auto" and device.type == "cuda"):
        return torch.bfloat16
    return None


def describe_precision(precision: str, device: torch.device) -> str:
    """Return what training's products are computed in: ``bf16``, ``fp32``, or ``tf32`` for fp32 on a GPU."""
    if autocast_dtype(precision, device) is not None:
        return "bf16"
    return "tf32" if device.type == "cuda" else "fp32"


def free_memory_bytes(device: torch.device) -> int:
    """Return what can be allocated: on a GPU what is free or held back by torch, on a CPU what is left of the limit."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    available = int(psutil.virtual_memory().available)
    try:
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text().strip() for name in ("max", "current"))
        return min(available, max(0, int(limit) - int(used)))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return available


def synchroniser(device: torch.device) -> Callable[[], None] | None:
    """Return what waits for all work on `device`, or ``None`` on a CPU, where a call returns when it is done."""
    return None if device.type == "cpu" else lambda: torch.cuda.synchronize(device)


def reset_peak_memory(device: torch.device) -> None:
    """Let the peak begin anew from what is held now; where an operating system has no such thing it stays."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak of the resident size alone, see proc(5)


def peak_memory_bytes(device: torch.device) -> int:
    """Return the peak since the start or the last reset: allocated GPU memory, or a CPU process's resident size."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        text = Path("/proc/self/status").read_text()
        # not getrusage: what it tells includes the peak of the process that started this one, and cannot be reset
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
