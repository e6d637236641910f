"""Fitted multipliers held against simulated studies: does the bootstrap interval cover the true ratio of laws?"""

from __future__ import annotations

import dataclasses
import math
import os
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from bench.stats.fits import Design, draw_points
from harness.analysis.laws.fit import fit_apart
from harness.analysis.laws.multiplier import estimate_law_multiplier
from harness.analysis.laws.points import LawPoints

MULTIPLIER = 2.0
CHUNK = 10


def simulate_law_multipliers(num_studies: int, design: Design, resamples: int = 300, seed: int = 0) -> dict[str, Any]:
    """Return how often the interval of a fitted multiplier covers the truth, at the lowest loss that both reached.

    The sparse family's law is the dense one's with parameters and tokens each divided by sqrt(`MULTIPLIER`): each loss
    then takes 1/`MULTIPLIER` of the compute, at the optimum too.
    """
    jobs = [(first, min(CHUNK, num_studies - first), design, resamples, seed) for first in range(0, num_studies, CHUNK)]
    with ProcessPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        rows = [row for chunk in pool.map(_simulate_chunk, jobs) for row in chunk]
    known = np.array([row for row in rows if row is not None])
    covered = float(known[:, 0].mean())
    return {
        "design": design.name,
        "multiplier": MULTIPLIER,
        "num_studies": num_studies,
        "num_known": len(known),
        "resamples": resamples,
        "coverage": covered,
        "coverage_stderr": math.sqrt(covered * (1 - covered) / len(known)),
        "median_error": float(np.median(known[:, 1])),
        "half_width": float(np.median(known[:, 2])),
    }


def _simulate_chunk(job: tuple[int, int, Design, int, int]) -> list[tuple[float, float, float] | None]:
    first, count, design, resamples, seed = job
    rng = np.random.default_rng([seed, first])
    return [_simulate_one(rng, design, resamples, seed + first + i) for i in range(count)]


def _simulate_one(
    rng: np.random.Generator, design: Design, resamples: int, seed: int
) -> tuple[float, float, float] | None:
    dense, moe = dataclasses.replace(draw_points(design, rng), family="dense"), _stretch(draw_points(design, rng))
    fits = fit_apart([dense, moe], resamples=resamples, seed=seed)
    loss = max(float(dense.loss.min()), float(moe.loss.min()))
    found = estimate_law_multiplier(fits[0], fits[1], loss=loss)
    if found.estimate is None or found.interval is None:
        return None
    half = (math.log(found.interval.high) - math.log(found.interval.low)) / 2
    return float(found.interval.low <= MULTIPLIER <= found.interval.high), found.estimate / MULTIPLIER - 1, half


def _stretch(points: LawPoints) -> LawPoints:
    """Return the family that reaches the same losses with 1/m of the parameters times tokens, optima staying optima."""
    each = math.sqrt(MULTIPLIER)
    return dataclasses.replace(
        points,
        family="moe",
        params=np.asarray(points.params) / each,
        tokens=np.asarray(points.tokens) / each,
    )
