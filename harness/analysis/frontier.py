"""From records to frontier points, and from points to the cost of a loss: interpolated, never extrapolated.

For one arm and seed the cost of reaching a loss is a lower envelope: per size the points that no cheaper point beats,
log cost linear in loss between adjacent budgets of the same size; then the cheapest size at that loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.analysis.results import FrontierPoint, Resource
from harness.core.records import EnergyReading, Grade, RunRecord, worst_grade

LOSS_METRIC = "validation_bits_per_byte"
MIN_SIZES_OF_A_FRONTIER = 3
_FIELDS = {
    "flops": "flops",
    "energy": "energy_j",
    "net_energy": "net_energy_j",
    "seconds": "seconds",
    "tokens": "tokens",
    "peak_memory": "peak_memory_bytes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergySum:
    """Energy inside the headline boundary in joules: the accelerator where there is one, else CPU and DRAM.

    ``None`` where a part is unknown; `grade` is the worst of the parts.
    """

    gross_j: float | None
    net_j: float | None
    grade: Grade | None
    domains: tuple[str, ...]
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LossCost:
    """What it cost one arm and seed to reach a loss: the size that was cheapest and the runs it was read from."""

    cost: float
    size: str
    run_ids: tuple[str, ...]


def sum_headline_energy(readings: Iterable[EnergyReading]) -> EnergySum:
    """Add up `readings` over the headline boundary; of two sensors of one domain the better grade counts."""
    readings = list(readings)
    domains = ("gpu",) if any(r.domain == "gpu" for r in readings) else ("cpu", "dram")
    inside: list[EnergyReading] = []
    for domain in domains:
        of_domain = [r for r in readings if r.domain == domain]
        if of_domain:
            best = min(of_domain, key=lambda r: (r.simulated, r.grade, r.sensor))
            inside.extend(r for r in of_domain if r.sensor == best.sensor)
    return EnergySum(
        gross_j=_sum_known([r.energy_j for r in inside]),
        net_j=_sum_known([r.net_energy_j for r in inside]),
        grade=worst_grade(*(r.grade for r in inside)) if inside else None,
        domains=tuple(sorted({r.domain for r in inside})),
        simulated=any(r.simulated for r in inside),
    )


def collect_points(records: Iterable[RunRecord]) -> tuple[tuple[FrontierPoint, ...], tuple[tuple[str, str], ...]]:
    """Return the points of all finished runs, and (run id, reason) of every run that gives none.

    Finished trunks are neither: they are no candidates, their cost is inside the paths of their branches.
    """
    points, excluded = [], []
    for record in records:
        reason = _why_excluded(record)
        if reason is not None:
            excluded.append((record.run_id, reason))
        elif record.role != "trunk":
            points.append(_to_point(record))
    return tuple(points), tuple(excluded)


def cost_of(point: FrontierPoint, resource: Resource) -> float | None:
    """Return what the whole path of `point` cost, or ``None`` where unknown or not above 0 (net of idle power)."""
    value: float | None = getattr(point, _FIELDS[resource])
    return value if value is not None and value > 0 else None


def estimate_cost(points: Sequence[FrontierPoint], resource: Resource, loss: float) -> LossCost | None:
    """Return the least cost at which one arm and seed reaches `loss`, or ``None`` where no size brackets it.

    A size whose smallest budget is already better than `loss` competes with the cost of that budget. Peak memory is
    that of the size cheapest in FLOPs. ``None`` also where the resource of one of the points is unknown.
    """
    if resource == "peak_memory":
        cheapest = estimate_cost(points, "flops", loss)
        if cheapest is None:
            return None
        of_size = [p for p in points if p.size == cheapest.size]
        peaks = {p.run_id: p.peak_memory_bytes for p in of_size}
        return _interpolate(_pareto(of_size, "flops"), loss, peaks)
    if any(cost_of(p, resource) is None for p in points):
        return None
    bracketed: list[LossCost] = []
    better_already: list[LossCost] = []
    for size in sorted({p.size for p in points}):
        kept = _pareto([p for p in points if p.size == size], resource)
        costs = {p.run_id: cost_of(p, resource) for p in kept}
        found = _interpolate(kept, loss, costs)
        first = costs[kept[0].run_id]
        if found is not None:
            bracketed.append(found)
        elif kept[0].loss < loss and first is not None:
            better_already.append(LossCost(cost=first, size=size, run_ids=(kept[0].run_id,)))
    if not bracketed:
        return None
    return min([*bracketed, *better_already], key=lambda found: (found.cost, found.size))


def bracket_loss(points: Sequence[FrontierPoint], loss: float) -> tuple[FrontierPoint, ...]:
    """Return the points of one size whose losses bracket `loss` (one if exact), else the nearest point."""
    if not points:
        return ()
    kept = _pareto(points, "flops")
    found = _interpolate(kept, loss, {p.run_id: p.flops for p in kept})
    if found is None:
        return (min(points, key=lambda p: (abs(p.loss - loss), p.run_id)),)
    return tuple(p for p in kept if p.run_id in found.run_ids)


def reached_losses(points: Sequence[FrontierPoint]) -> tuple[float, float] | None:
    """Return (lowest, highest) loss between which one arm and seed can be interpolated, ``None`` without points."""
    if not points:
        return None
    highest = max(_pareto([p for p in points if p.size == size], "flops")[0].loss for size in {p.size for p in points})
    return min(p.loss for p in points), highest


def order_sizes(points: Iterable[FrontierPoint]) -> tuple[str, ...]:
    """Return the sizes of an arm as a ladder, by active parameters."""
    ladder = {p.size: (p.active_params or 0, p.total_params or 0, p.size) for p in points}
    return tuple(sorted(ladder, key=lambda size: ladder[size]))


def stands_at_edge(ladder: Sequence[str], cheapest: Iterable[str]) -> bool:
    """Return whether the cheapest size of any seed is an end of the ladder, or the ladder is too short to tell."""
    return len(ladder) < MIN_SIZES_OF_A_FRONTIER or any(size in (ladder[0], ladder[-1]) for size in cheapest)


def _pareto(points: Sequence[FrontierPoint], resource: Resource) -> list[FrontierPoint]:
    """Keep what no cheaper point beats, cheapest first: costs rise and losses fall strictly."""
    kept: list[FrontierPoint] = []
    for point in sorted(points, key=lambda p: (cost_of(p, resource) or 0.0, p.loss, p.run_id)):
        if not kept or point.loss < kept[-1].loss:
            kept.append(point)
    return kept


def _interpolate(kept: Sequence[FrontierPoint], loss: float, costs: dict[str, float | None]) -> LossCost | None:
    for point in kept:
        cost = costs[point.run_id]
        if point.loss == loss and cost is not None:
            return LossCost(cost=cost, size=point.size, run_ids=(point.run_id,))
    for worse, better in zip(kept, kept[1:], strict=False):
        low, high = costs[worse.run_id], costs[better.run_id]
        if worse.loss > loss > better.loss and low and high:
            share = (worse.loss - loss) / (worse.loss - better.loss)
            cost = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
            return LossCost(cost=cost, size=worse.size, run_ids=(worse.run_id, better.run_id))
    return None


def _why_excluded(record: RunRecord) -> str | None:
    if record.status == "failed":
        return f"failed: {record.error or 'no error was recorded'}"
    if record.role == "trunk":
        return None
    if record.path is None:
        return "the record has no cost of its path"
    loss = record.quality_value(LOSS_METRIC)
    if loss is None or not math.isfinite(loss):
        reason = next((q.reason for q in record.quality if q.metric == LOSS_METRIC and q.reason), "it is missing")
        return f"no finite {LOSS_METRIC}: {reason}"
    if not (record.path.flops > 0 and record.path.duration_s > 0 and record.path.tokens > 0):
        return "its path has no tokens, FLOPs or time"
    return None


def _to_point(record: RunRecord) -> FrontierPoint:
    path, loss = record.path, record.quality_value(LOSS_METRIC)
    assert path is not None  # noqa: S101  # _why_excluded has looked
    assert loss is not None  # noqa: S101
    energy = sum_headline_energy(path.energy)
    return FrontierPoint(
        run_id=record.run_id,
        arm=record.arm,
        size=record.size,
        seed=record.seed,
        tokens=path.tokens,
        loss=loss,
        flops=path.flops,
        seconds=path.duration_s,
        energy_j=energy.gross_j,
        net_energy_j=energy.net_j,
        peak_memory_bytes=path.peak_memory_bytes,
        energy_grade=energy.grade,
        energy_domains=energy.domains,
        active_params=record.params.active if record.params else None,
        total_params=record.params.total if record.params else None,
        simulated=energy.simulated,
    )


def _sum_known(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None
