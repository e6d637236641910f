"""The dual of a multiplier: at an equal budget of FLOPs, joules, seconds, tokens or bytes, who reaches the better loss.

For those whose processors are limited the question is not what a loss costs but what a budget buys. Seed by seed each
arm's lowest loss at exactly that budget is read off its frontier, by the same interpolation and as unwilling to
extrapolate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.analysis.frontier import ReachedLoss, is_at_edge
from harness.analysis.multipliers import Pair
from harness.analysis.points import ENERGY_RESOURCES, cost_of
from harness.analysis.results import BudgetGap, FrontierPoint, Resource
from harness.analysis.stats import estimate_difference
from harness.core.readings import Grade, worst_grade

SPENT: tuple[Resource, ...] = ("flops", "energy", "net_energy", "seconds", "tokens")

Found = Mapping[tuple[str, int], ReachedLoss]


def compare_budgets(pair: Pair, num_budgets: int = 5) -> tuple[BudgetGap, ...]:
    """Return the gaps at `num_budgets` budgets of every resource, spread evenly in log over what both arms spent.

    The last one of each resource is the largest budget that both arms spent in every seed.
    """
    gaps: list[BudgetGap] = []
    if not pair.seeds:
        return ()
    for resource in SPENT:
        common = find_common_costs(pair, resource)
        if common is None:
            continue
        gaps += [compare_at_budget(pair, resource, budget) for budget in _spread(common, num_budgets)]
    return (*gaps, *compare_at_memories(pair))


def find_common_costs(pair: Pair, resource: Resource) -> tuple[float, float] | None:
    """Return the lowest and highest cost that the envelopes of both arms span in every seed, if there is any."""
    ranges = [pair.frontiers[arm, seed].cost_range(resource) for arm in pair.arms for seed in pair.seeds]
    known = [span for span in ranges if span is not None]
    if not known or len(known) < len(ranges):
        return None
    low, high = max(span[0] for span in known), min(span[1] for span in known)
    return (low, high) if low <= high else None


def compare_at_budget(pair: Pair, resource: Resource, budget: float) -> BudgetGap:
    """Return both arms' best loss at exactly `budget` of a resource that is spent, and the gap with its interval."""
    found = {
        (arm, seed): reached
        for arm in pair.arms
        for seed in pair.seeds
        if (reached := pair.frontiers[arm, seed].loss_at(budget, resource))
    }
    return _compare(pair, resource, budget, found)


def compare_at_memories(pair: Pair) -> tuple[BudgetGap, ...]:
    """Return the gaps at the peak memories of the baseline's sizes, among runs that spent no more FLOPs than both arms.

    Memory is not spent, so nothing is interpolated: at a budget each arm has the best run that fits. Where some run's
    memory is unknown there is no gap: that run might be the best.
    """
    runs = [point for arm in pair.arms for seed in pair.seeds for point in pair.frontiers[arm, seed].points]
    if any(cost_of(point, "peak_memory") is None for point in runs):
        return ()
    limit = min(pair.frontiers[arm, seed].max_cost("flops") or 0.0 for arm in pair.arms for seed in pair.seeds)
    # a hair above, since budgets of equal FLOPs differ by the rounding of whole steps
    affordable = limit * 1.03
    sizes: dict[str, float] = {}
    for seed in pair.seeds:
        for point in pair.frontiers[pair.baseline, seed].points:
            memory = cost_of(point, "peak_memory")
            if memory is not None and point.flops <= affordable:
                sizes[point.size] = max(sizes.get(point.size, 0.0), memory)
    gaps = []
    for budget in sorted(set(sizes.values())):
        found: dict[tuple[str, int], ReachedLoss] = {}
        for arm in pair.arms:
            for seed in pair.seeds:
                best = _best_that_fits(pair.frontiers[arm, seed].points, budget, affordable)
                if best is not None:
                    found[arm, seed] = ReachedLoss(loss=best.loss, size=best.size, runs=((best, 1.0),))
        gaps.append(_compare(pair, "peak_memory", budget, found, flops_limit=limit))
    return tuple(gaps)


def _best_that_fits(points: Sequence[FrontierPoint], memory: float, flops: float) -> FrontierPoint | None:
    fitting = [p for p in points if p.flops <= flops and p.peak_memory_bytes and p.peak_memory_bytes <= memory]
    return min(fitting, key=lambda point: (point.loss, point.run_id), default=None)


def _compare(
    pair: Pair, resource: Resource, budget: float, found: Found, flops_limit: float | None = None
) -> BudgetGap:
    missing = [f"{arm} seed {seed}" for arm in pair.arms for seed in pair.seeds if (arm, seed) not in found]
    runs = [point for reached in found.values() for point, _ in reached.runs]
    reason = None
    if missing:
        why = "no run fits in" if resource == "peak_memory" else "no size's budgets bracket"
        reason = f"{why} this budget for {', '.join(missing)}"
    elif resource in ENERGY_RESOURCES and len({point.energy_domains for point in runs}) > 1:
        reason = "the runs differ in which domains their energy covers, so it does not compare"
    by_arm = {arm: [found[arm, seed].loss for seed in pair.seeds if (arm, seed) in found] for arm in pair.arms}
    estimate = estimate_difference(by_arm[pair.baseline], by_arm[pair.candidate], pair.pairing) if not reason else None
    interval = estimate.interval if estimate else None
    better = None
    if interval is not None and (interval.low > 0 or interval.high < 0):
        better = pair.candidate if interval.low > 0 else pair.baseline
    sizes = {arm: tuple(found[arm, seed].size for seed in pair.seeds if (arm, seed) in found) for arm in pair.arms}
    grades: list[Grade] = [point.energy_grade for point in runs if point.energy_grade is not None]
    return BudgetGap(
        resource=resource,
        budget=budget,
        gap=estimate.value if estimate else None,
        interval=interval,
        n=estimate.n if estimate else 0,
        grade=worst_grade(*grades) if resource in ENERGY_RESOURCES and grades else None,
        better=better,
        losses={arm: math.fsum(losses) / len(losses) for arm, losses in by_arm.items() if losses},
        per_seed=tuple(
            (seed, found[pair.baseline, seed].loss - found[pair.candidate, seed].loss)
            for seed in pair.seeds
            if all((arm, seed) in found for arm in pair.arms)
        ),
        sizes=sizes,
        edge_arms=tuple(arm for arm in pair.arms if sizes[arm] and is_at_edge(pair.ladders[arm], sizes[arm])),
        run_ids=tuple(sorted({point.run_id for point in runs})),
        reason=reason or (estimate.reason if estimate else None),
        simulated=resource in ENERGY_RESOURCES and any(point.simulated for point in runs),
        flops_limit=flops_limit,
    )


def _spread(common: tuple[float, float], num_budgets: int) -> tuple[float, ...]:
    """Return budgets spread evenly in log, lowest first, both ends exactly as given."""
    low, high = common
    if num_budgets <= 1 or high <= low * (1 + 1e-9):
        return (high,)
    step = (math.log(high) - math.log(low)) / (num_budgets - 1)
    return (low, *(low * math.exp(step * i) for i in range(1, num_budgets - 1)), high)
