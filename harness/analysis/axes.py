"""The axes on which two families can be called equal, side by side: each favours somebody, so all are shown.

Equal active parameters and tokens favour the sparse family, equal total parameters the dense one; equal FLOPs ignore
how fast the operations run, equal seconds and joules include it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.analysis.multipliers import Pair
from harness.analysis.results import Axis, BudgetGap, FrontierPoint, Resource
from harness.analysis.stats import estimate_difference

# Sizes and token counts nearer than this are called equal.
SAME_PARAMS = 0.1
SAME_TOKENS = 0.03

_BUDGETS: tuple[tuple[str, str, Resource], ...] = (
    ("flops", "Equal training FLOPs", "flops"),
    ("step_time", "Equal training seconds", "seconds"),
    ("energy", "Equal training energy", "energy"),
)


def compare_axes(pair: Pair, gaps: Sequence[BudgetGap]) -> tuple[Axis, ...]:
    """Return the gap in loss on each axis; the budgets are the largest that both arms spent in every seed."""
    axes = []
    for code, title, resource in _BUDGETS:
        gap = next((gap for gap in reversed(gaps) if gap.resource == resource), None)
        axes.append(_from_budget(code, title, gap))
    axes.append(_match_params("active_params", "Equal active parameters and tokens", pair, lambda p: p.active_params))
    axes.append(_match_params("total_params", "Equal total parameters and tokens", pair, lambda p: p.total_params))
    return tuple(axes)


def _from_budget(code: str, title: str, gap: BudgetGap | None) -> Axis:
    if gap is None:
        reason = "it is unknown in some run, or the arms have no such budget in common"
        return Axis(code=code, title=title, at="", gap=None, interval=None, n=0, run_ids=(), reason=reason)
    return Axis(
        code=code,
        title=title,
        at=f"{gap.budget:.3g} {'FLOPs' if gap.resource == 'flops' else 's' if gap.resource == 'seconds' else 'J'}",
        gap=gap.gap,
        interval=gap.interval,
        n=gap.n,
        run_ids=gap.run_ids,
        reason=gap.reason,
    )


def _match_params(code: str, title: str, pair: Pair, count: Callable[[FrontierPoint], int | None]) -> Axis:
    """Compare the largest cell of both arms that agrees in `count` and tokens and has a run in every seed."""
    cells = {
        arm: [(params, cell) for cell in list_cells(pair, arm) if (params := count(cell[0])) is not None]
        for arm in pair.arms
    }
    # the largest first: with thousands of cells most need no look at the other arm
    ordered = sorted(cells[pair.baseline], key=lambda own: -own[0] * own[1][0].tokens)
    best = next((found for own in ordered if (found := _find_equal(own, cells[pair.candidate])) is not None), None)
    if best is None:
        reason = (
            f"no size of {pair.baseline} and of {pair.candidate} agree within {SAME_PARAMS:.0%} with equal tokens in "
            "every seed"
        )
        return Axis(code=code, title=title, at="", gap=None, interval=None, n=0, run_ids=(), reason=reason)
    ours, theirs = best
    estimate = estimate_difference([p.loss for p in ours], [p.loss for p in theirs], pair.pairing)
    return Axis(
        code=code,
        title=title,
        at=f"{pair.baseline} {ours[0].size} and {pair.candidate} {theirs[0].size}, {ours[0].tokens:.3g} tokens",
        gap=estimate.value,
        interval=estimate.interval,
        n=estimate.n,
        run_ids=tuple(sorted(point.run_id for point in (*ours, *theirs))),
        reason=estimate.reason,
    )


def _find_equal(
    own: tuple[int, list[FrontierPoint]], others: Sequence[tuple[int, list[FrontierPoint]]]
) -> tuple[list[FrontierPoint], list[FrontierPoint]] | None:
    """Return the runs of a cell and of the first other with as many parameters and tokens; a cell is (params, runs)."""
    params, ours = own
    for other, theirs in others:
        if is_near(params, other, SAME_PARAMS) and is_near(ours[0].tokens, theirs[0].tokens, SAME_TOKENS):
            return ours, theirs
    return None


def list_cells(pair: Pair, arm: str) -> list[list[FrontierPoint]]:
    """Return the runs of each size and token count that has one in every seed, in the order of the seeds."""
    cells: dict[tuple[str, int], dict[int, FrontierPoint]] = {}
    for seed in pair.seeds:
        for point in pair.frontiers[arm, seed].points:
            cells.setdefault((point.size, point.tokens), {})[seed] = point
    return [
        [runs[seed] for seed in pair.seeds]
        for _, runs in sorted(cells.items())
        if pair.seeds and len(runs) == len(pair.seeds)
    ]


def is_near(first: float, second: float, tolerance: float) -> bool:
    """Return whether the larger of two values is within the relative `tolerance` of the smaller."""
    return max(first, second) <= min(first, second) * (1 + tolerance)
