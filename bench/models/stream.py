"""Bandwidth of the machine's memory as STREAM measures it (McCalpin, 1995): ``a = b + s * c`` over large arrays."""

from __future__ import annotations

import time

import torch

NUM_BYTES = 512 << 20


def measure_bandwidth(repeats: int = 10) -> float:
    """Return bytes per second of the best of several triads: two arrays read and one written."""
    a, b, c = (torch.ones(NUM_BYTES // 4) for _ in range(3))
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        torch.add(b, c, alpha=3.0, out=a)
        best = min(best, time.perf_counter() - began)
    return 3 * NUM_BYTES / best
