"""Baseline cost over candidate cost at one loss, seed by seed, and the losses at which that can be asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.frontier import LOSS_TOLERANCE, Frontier, Reached, is_at_edge, order_ladder
from harness.analysis.interpolation import estimate_decay
from harness.analysis.points import ENERGY_RESOURCES
from harness.analysis.results import FrontierPoint, Multiplier, Resource
from harness.analysis.stats import LEVEL, Pairing, estimate_ratio_of
from harness.core.readings import Grade, worst_grade
from harness.core.study import MatchRule

# A cost is read off between two noisy losses, so its logarithm has heavier tails than the normal, and the arm whose
# last budget sets the loss has a larger variance than the other. Unwidened, intervals of 3 seeds covered 93.7 to 95.2%
# of 3,000 simulated studies at the committed studies' typical noise, and a claim exactly on its boundary was supported
# in up to 3.7%; with 1.08 it is 94.9 to 96.2% and at most 2.9% (`make bench-stats`).
INTERPOLATION_WIDENING = 1.08


@dataclass(frozen=True, slots=True)
class Pair:
    """Both arms' frontiers by seed; `seeds` are those that both arms have, `pairing` how they make an interval.

    `decay` is the curvature that all brackets are interpolated with (`harness.analysis.interpolation`).
    """

    baseline: str
    candidate: str
    seeds: tuple[int, ...]
    frontiers: dict[tuple[str, int], Frontier]
    ladders: dict[str, tuple[str, ...]]
    pairing: Pairing = "paired"
    decay: float = 0.0

    @property
    def arms(self) -> tuple[str, str]:
        """Baseline and candidate, in this order."""
        return self.baseline, self.candidate


def build_pair(
    points: Sequence[FrontierPoint],
    baseline: str,
    candidate: str,
    pairing: Pairing = "paired",
    *,
    decay: float | None = None,
) -> Pair:
    """Group points by arm and seed, and fit the curvature of loss that both arms share, unless `decay` gives it."""
    if decay is None:
        decay = estimate_decay(points, (baseline, candidate))
    groups: dict[tuple[str, int], list[FrontierPoint]] = {}
    for point in points:
        groups.setdefault((point.arm, point.seed), []).append(point)
    seeds = [{seed for arm, seed in groups if arm == wanted} for wanted in (baseline, candidate)]
    return Pair(
        baseline,
        candidate,
        tuple(sorted(seeds[0] & seeds[1])),
        {key: Frontier(group, decay) for key, group in groups.items()},
        {arm: order_ladder(points, arm) for arm in (baseline, candidate)},
        pairing,
        decay,
    )


def find_common_losses(pair: Pair) -> tuple[float, float] | None:
    """Return the lowest and highest loss (bits per byte) that both arms reached in every seed, if there is any."""
    ranges = [pair.frontiers[arm, seed].loss_range() for arm in pair.arms for seed in pair.seeds]
    known = [span for span in ranges if span is not None]
    if not known or len(known) < len(ranges):
        return None
    low, high = max(span[0] for span in known), min(span[1] for span in known)
    return (low, high) if low <= high else None


def choose_loss(rule: MatchRule, common: tuple[float, float] | None) -> tuple[float | None, str | None]:
    """Return the loss at which the verdict is given under `rule`, or ``None`` and the reason."""
    if rule.rule == "fixed":
        if rule.loss is None:
            return None, "the rule is a fixed loss, and the study gives none"
        if common is None or not common[0] - LOSS_TOLERANCE <= rule.loss <= common[1] + LOSS_TOLERANCE:
            reached = "no loss" if common is None else f"{common[0]:.4g} to {common[1]:.4g}"
            return (
                None,
                f"the fixed loss {rule.loss:.4g} was not reached by both arms in every seed (common: {reached})",
            )
        return rule.loss, None
    if common is None:
        return None, "the two arms have no loss in common that both reached in every seed"
    return (common[0] if rule.rule == "lowest_common" else (common[0] + common[1]) / 2), None


def spread_losses(common: tuple[float, float], num_losses: int) -> tuple[float, ...]:
    """Return `num_losses` losses spread evenly over the common range, lowest first."""
    low, high = common
    if num_losses <= 1 or high - low <= LOSS_TOLERANCE:
        return (low,)
    step = (high - low) / (num_losses - 1)
    return (*(low + step * i for i in range(num_losses - 1)), high)


def match_at(pair: Pair, resource: Resource, loss: float, *, num_losses: int = 1) -> Multiplier:
    """Return the multiplier of `resource` at `loss`; every seed must have both costs.

    With `num_losses` above 1 it is one point of a curve and gets a `band` as well: the interval at 1 - 5%/num_losses
    (Bonferroni), so that the bands of all points hold at once with 95%.
    """
    reached: dict[tuple[str, int], Reached] = {}
    missing: list[str] = []
    for seed in pair.seeds:
        for arm in pair.arms:
            found = pair.frontiers[arm, seed].cost_at(loss, resource)
            if found is None:
                missing.append(f"{arm} seed {seed}")
            else:
                reached[arm, seed] = found
    per_seed = tuple(
        (seed, reached[pair.baseline, seed].cost / reached[pair.candidate, seed].cost)
        for seed in pair.seeds
        if all((arm, seed) in reached for arm in pair.arms)
    )
    sizes = {arm: tuple(reached[arm, seed].size for seed in pair.seeds if (arm, seed) in reached) for arm in pair.arms}
    edges = tuple(arm for arm in pair.arms if sizes[arm] and is_at_edge(pair.ladders[arm], sizes[arm]))
    runs = [point for found in reached.values() for point, _ in found.runs]
    bound, beyond = _bound_below(pair, resource, loss) if missing else (None, [])
    runs += beyond
    grades: list[Grade] = [point.energy_grade for point in runs if point.energy_grade is not None]
    reason: str | None = None
    if not pair.seeds:
        reason = "no seed has both arms"
    elif resource in ENERGY_RESOURCES and len({point.energy_domains for point in runs}) > 1:
        reason, bound = "the runs differ in which domains their energy covers, so it does not compare", None
    elif missing:
        what = "is unknown" if _is_reached(pair, loss) else "at this loss is not bracketed by runs of one size"
        reason = f"{resource} {what} for {', '.join(missing)}"
    costs = [[reached[arm, seed].cost for seed in pair.seeds] for arm in pair.arms] if reason is None else []
    widening = INTERPOLATION_WIDENING
    estimate = estimate_ratio_of(costs[0], costs[1], pair.pairing, widening=widening) if reason is None else None
    band = None
    if reason is None and num_losses > 1:
        level = 1 - (1 - LEVEL) / num_losses
        band = estimate_ratio_of(costs[0], costs[1], pair.pairing, level=level, widening=widening).interval
    return Multiplier(
        resource=resource,
        loss=loss,
        estimate=estimate.value if estimate else None,
        interval=estimate.interval if estimate else None,
        n=estimate.n if estimate else 0,
        grade=worst_grade(*grades) if resource in ENERGY_RESOURCES and grades else None,
        per_seed=per_seed,
        sizes=sizes,
        edge_arms=edges,
        run_ids=tuple(sorted({point.run_id for point in runs})),
        lower_bound=bound,
        reason=reason or (estimate.reason if estimate else None),
        simulated=resource in ENERGY_RESOURCES and any(point.simulated for point in runs),
        band=band,
    )


def bound_beyond(pair: Pair, resource: Resource) -> Multiplier | None:
    """Return the lower bound at the candidate's lowest loss of every seed where the baseline never gets that far.

    ``None`` when the baseline does in some seed, or a cost is unknown.
    """
    ranges = [pair.frontiers[pair.candidate, seed].loss_range() for seed in pair.seeds]
    lows = [span[0] for span in ranges if span is not None]
    if not lows or len(lows) < len(ranges):
        return None
    multiplier = match_at(pair, resource, max(lows))
    return multiplier if multiplier.lower_bound is not None else None


def _bound_below(pair: Pair, resource: Resource, loss: float) -> tuple[float | None, list[FrontierPoint]]:
    """Return k and the baseline's costliest runs: at k times the candidate's cost for `loss` it is worse in every seed.

    ``None`` and no run where that cannot be said.
    """
    if resource == "peak_memory":
        return None, []  # memory is not spent, so more of it need not bring a lower loss
    ratios: list[float] = []
    runs: list[FrontierPoint] = []
    for seed in pair.seeds:
        baseline, candidate = pair.frontiers[pair.baseline, seed], pair.frontiers[pair.candidate, seed]
        span, costliest, needed = (
            baseline.loss_range(),
            baseline.find_costliest(resource),
            candidate.cost_at(loss, resource),
        )
        if span is None or span[0] <= loss + LOSS_TOLERANCE or costliest is None or needed is None:
            return None, []
        spent, run = costliest
        ratios.append(spent / needed.cost)
        runs.append(run)
    return min(ratios, default=None), runs


def _is_reached(pair: Pair, loss: float) -> bool:
    """Return whether both arms bracket `loss` in FLOPs in every seed, so that only the resource can be missing."""
    return all(pair.frontiers[arm, seed].cost_at(loss, "flops") for arm in pair.arms for seed in pair.seeds)
