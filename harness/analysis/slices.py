"""Slices of equal training budget: does the best size of a family lie inside its ladder, or at an edge of it?

At one budget a family's loss over log parameters is roughly a parabola. With three sizes or more its minimum is the
family's frontier; where the smallest or largest size is best, a size beyond the ladder might be better still, and
whatever is read off there is *size-matched*, not a frontier's.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

import numpy as np

from harness.analysis.frontier import MIN_LADDER
from harness.analysis.results import FrontierPoint, Slice

# Budgets of different sizes are rounded to whole steps; nearer than this they are one budget.
SAME_BUDGET = 0.03


def cut_slices(points: Sequence[FrontierPoint], arms: Sequence[str]) -> tuple[Slice, ...]:
    """Return every budget of every arm that at least two of its sizes were trained with, smallest budget first."""
    slices = []
    for arm in arms:
        own = sorted((p for p in points if p.arm == arm), key=lambda p: (p.flops, p.run_id))
        slices += [_describe(arm, group) for group in _group_budgets(own) if len({p.size for p in group}) > 1]
    return tuple(slices)


def _group_budgets(points: Sequence[FrontierPoint]) -> list[list[FrontierPoint]]:
    groups: list[list[FrontierPoint]] = []
    for point in points:
        if groups and point.flops <= groups[-1][0].flops * (1 + SAME_BUDGET):
            groups[-1].append(point)
        else:
            groups.append([point])
    return groups


def _describe(arm: str, points: Sequence[FrontierPoint]) -> Slice:
    by_size: dict[str, list[FrontierPoint]] = {}
    for point in points:
        by_size.setdefault(point.size, []).append(point)
    known = [(size, _count_params(runs[0]), statistics.fmean(p.loss for p in runs)) for size, runs in by_size.items()]
    sizes = tuple(sorted(known, key=lambda entry: (math.inf if entry[1] is None else entry[1], entry[0])))
    losses = [loss for _, _, loss in sizes]
    best = losses.index(min(losses))
    optimum = _fit_parabola(sizes)
    place: Literal["interior", "lower edge", "upper edge", "too few sizes", "unknown order"]
    if len(sizes) < MIN_LADDER:
        place = "too few sizes"
    elif any(params is None for _, params, _ in sizes):
        place = "unknown order"
    elif best == 0:
        place = "lower edge"
    elif best == len(sizes) - 1:
        place = "upper edge"
    else:
        place = "interior"
    return Slice(
        arm=arm,
        budget_flops=statistics.fmean(point.flops for point in points),
        sizes=sizes,
        best_size=sizes[best][0],
        place=place,
        optimum_params=optimum[0] if optimum and place == "interior" else None,
        optimum_loss=optimum[1] if optimum and place == "interior" else None,
        run_ids=tuple(sorted(point.run_id for point in points)),
    )


def _count_params(point: FrontierPoint) -> float | None:
    """Return active (else total) parameters, ``None`` where the record names neither."""
    count = point.active_params if point.active_params is not None else point.total_params
    return float(count) if count else None


def _fit_parabola(sizes: Sequence[tuple[str, float | None, float]]) -> tuple[float, float] | None:
    """Return (parameters, loss) at the minimum of a parabola in log parameters, ``None`` where it has none inside."""
    known = [params for _, params, _ in sizes if params is not None]
    if len(sizes) < MIN_LADDER or len(known) < len(sizes):
        return None
    x = np.log(known)
    if len(np.unique(x)) < MIN_LADDER:
        return None
    curve, slope, level = (float(c) for c in np.polyfit(x - x[0], [loss for _, _, loss in sizes], 2))
    if curve <= 0:
        return None
    lowest = -slope / (2 * curve)
    if not 0 <= lowest <= x[-1] - x[0]:
        return None
    return math.exp(float(x[0]) + lowest), level + slope * lowest / 2
