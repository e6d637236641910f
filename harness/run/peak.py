"""The peak rate that a run's training is held against: the data sheet's, or that of a large matrix product here."""

from __future__ import annotations

import statistics
import time

import torch

from harness.flops.peaks import Peak, find_peak

_SIZE, _REPEATS = 1536, 9


def peak_of(device: torch.device, autocast: torch.dtype | None) -> Peak:
    """Return the peak for the numbers that training multiplies; measured where no data sheet names the device."""
    if device.type == "cuda":
        kind = "bf16" if autocast == torch.bfloat16 else "tf32"
        published = find_peak(torch.cuda.get_device_name(device), kind)
        if published is not None:
            return published
    return measure_peak(device, autocast or torch.float32)


def measure_peak(device: torch.device, dtype: torch.dtype) -> Peak:
    """Return the rate of a square matrix product, in FLOP/s: the median of several (about 0.5 s on two CPU cores)."""
    a, b = (torch.randn(_SIZE, _SIZE, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        torch.mm(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - began)
    rate = 2 * _SIZE**3 / statistics.median(seconds[2:])
    kind = str(dtype).removeprefix("torch.")
    return Peak(rate, f"measured: {kind} product of two {_SIZE} x {_SIZE} matrices on this device", measured=True)
