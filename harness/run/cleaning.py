"""What a warm worker does between two runs, so that the second is what it would be in a process of its own."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import random
import sys

import numpy as np
import torch

from harness.run.device import reset_peak_memory

_SEED = 0


def clean_up() -> None:
    """Free what the last run left, forget compiled graphs, random states and modes, and let peaks begin anew."""
    if "torch._dynamo" in sys.modules:
        torch._dynamo.reset()  # noqa: SLF001 - torch documents it
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(False)
    torch.set_float32_matmul_precision("highest")
    torch.manual_seed(_SEED)
    np.random.seed(_SEED)  # noqa: NPY002 - the global state, which a library may have moved
    random.seed(_SEED)
    trim_memory()
    reset_peak_memory(torch.device("cpu"))


def trim_memory() -> None:
    """Give freed memory back to the system where the C library can: else it counts in the next run's peak."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
