"""Bandwidth of the machine's memory as STREAM measures it (McCalpin, 1995): ``a = b + s * c`` over large arrays."""

from __future__ import annotations

import time

import torch

from harness.run.device import synchroniser

NUM_BYTES = 512 << 20


def measure_bandwidth(repeats: int = 10, device: str = "cpu", num_bytes: int = NUM_BYTES) -> float:
    """Return bytes per second of the best of several triads: two arrays read and one written, `num_bytes` each."""
    a, b, c = (torch.ones(num_bytes // 4, device=device) for _ in range(3))
    wait = synchroniser(torch.device(device)) or (lambda: None)
    best = float("inf")
    for _ in range(repeats):
        wait()
        began = time.perf_counter()
        torch.add(b, c, alpha=3.0, out=a)
        wait()
        best = min(best, time.perf_counter() - began)
    return 3 * num_bytes / best
