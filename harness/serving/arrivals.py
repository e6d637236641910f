"""When requests arrive in an open loop: drawn beforehand, so that every server of a pair sees the same arrivals."""

from __future__ import annotations

import numpy as np


def draw_arrivals(num_requests: int, rate_per_s: float, burstiness: float, seed: int) -> list[float]:
    """Return the arrival of each request in seconds from the start, ascending.

    Gaps are gamma-distributed with shape `burstiness` and mean 1 / `rate_per_s`: 1 is a Poisson process, below 1 is
    burstier, above 1 more even. As in vLLM's benchmark the times are then stretched so that the last request arrives at
    `num_requests` / `rate_per_s`: short runs of different seeds have the same load.
    """
    if num_requests == 0:
        return []
    gaps = np.random.default_rng(seed).gamma(burstiness, 1 / (rate_per_s * burstiness), num_requests)
    times = np.cumsum(gaps)
    if times[-1] <= 0:  # a shape so small that every gap is below the smallest number
        return [num_requests / rate_per_s] * num_requests
    return [float(time) for time in times * (num_requests / rate_per_s / times[-1])]
