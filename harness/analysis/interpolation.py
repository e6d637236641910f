"""Loss between two budgets of one size: an exponential in log cost, whose decay all sizes of a study share.

At fixed size a loss falls as ``L = E_N + B_N C^-decay``, which is an exponential in ``x = ln C``. Between two budgets
(x1, L1) and (x2, L2) that is ``L = L1 - (L1 - L2) (1 - e^(-decay (x - x1))) / (1 - e^(-decay (x2 - x1)))``: both ends
and the decay are enough, the floor E_N drops out. A straight chord (decay 0) lies above the curve, so it asks for too
much cost inside a bracket: about 1.4% for budgets that double, which simulation shows as claims supported too often.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import optimize  # type: ignore[import-untyped, unused-ignore]

from harness.analysis.results import FrontierPoint

MAX_DECAY = 1.0
# Budgets beyond two a size, over all sizes, that the decay is fitted on; with fewer it would follow the noise.
MIN_SPARE_BUDGETS = 2
_CHORD = 1e-6


def invert_share(share: float, width: float, decay: float) -> float:
    """Return how far into a bracket of `width` (log cost) the given `share` of its fall in loss is reached.

    `share` runs from 0 (its cheap end) to 1 (its costly end); so does the result, times `width`.
    """
    if decay * width < _CHORD:
        return share * width
    return -math.log1p(-share * -math.expm1(-decay * width)) / decay


def share_at(position: float, width: float, decay: float) -> float:
    """Return the share of a bracket's fall in loss that is reached at `position` (log cost from its cheap end)."""
    if decay * width < _CHORD:
        return position / width
    return math.expm1(-decay * position) / math.expm1(-decay * width)


def estimate_decay(points: Iterable[FrontierPoint], arms: Sequence[str]) -> float:
    """Return the decay of loss with log FLOPs that fits all sizes of all `arms` best; 0 with too few budgets.

    One number for the whole study: it is fitted on the mean over seeds of each cell by least squares, with a floor and
    a scale of each arm and size of its own, and bounded to [0, 1]. Sharing it keeps what error it has the same on both
    sides of a ratio. 0 means that brackets are interpolated by chords.
    """
    # sorted, so that the sums do not depend on the order of the points
    chosen = sorted((p for p in points if p.arm in arms), key=lambda p: (p.arm, p.size, p.seed, p.flops, p.loss))
    ladders = _average_seeds(chosen)
    curves = [_sorted_arrays(ladder) for _, ladder in sorted(ladders.items()) if len(ladder) > 2]
    if sum(len(x) - 2 for x, _ in curves) < MIN_SPARE_BUDGETS:
        return 0.0

    def misfit(decay: float) -> float:
        return sum(_residual(x, loss, decay) for x, loss in curves)

    # The misfit is smooth with one minimum inside in practice; a grid first, so that a flat end cannot win by accident.
    grid = np.linspace(0.0, MAX_DECAY, 21)
    values = [misfit(float(decay)) for decay in grid]
    best = int(np.argmin(values))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
    found = optimize.minimize_scalar(misfit, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return float(found.x) if found.fun < values[best] else float(grid[best])


def _average_seeds(points: Iterable[FrontierPoint]) -> dict[tuple[str, str], dict[int, tuple[float, float]]]:
    """Return by arm and size, then by tokens, the mean log FLOPs and mean loss of the cells that every seed has."""
    cells: dict[tuple[str, str], dict[int, list[FrontierPoint]]] = {}
    for point in points:
        cells.setdefault((point.arm, point.size), {}).setdefault(point.tokens, []).append(point)
    means: dict[tuple[str, str], dict[int, tuple[float, float]]] = {}
    for key, ladder in cells.items():
        seeds = set.union(*({point.seed for point in runs} for runs in ladder.values()))
        means[key] = {
            tokens: (
                float(np.mean([math.log(point.flops) for point in runs])),
                float(np.mean([point.loss for point in runs])),
            )
            for tokens, runs in ladder.items()
            if {point.seed for point in runs} == seeds
        }
    return means


def _sorted_arrays(ladder: Mapping[int, tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    pairs = sorted(ladder.values())
    return np.array([x for x, _ in pairs]), np.array([loss for _, loss in pairs])


def _residual(x: np.ndarray, loss: np.ndarray, decay: float) -> float:
    """Return the sum of squares that a floor and a scale leave at this decay."""
    falling = -(x - x[0]) if decay < _CHORD else np.exp(-decay * (x - x[0]))
    centred, target = falling - falling.mean(), loss - loss.mean()
    power = float(centred @ centred)
    if power <= 0:
        return float(target @ target)
    left = target - centred * float(centred @ target) / power
    return float(left @ left)


def bracket(losses: Sequence[float], loss: float) -> int | None:
    """Return i where ``losses[i] > loss > losses[i + 1]`` on a falling envelope, ``None`` outside of it."""
    for index, (left, right) in enumerate(itertools.pairwise(losses)):
        if left > loss > right:
            return index
    return None
