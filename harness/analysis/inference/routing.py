"""Only the parts needed? Which experts each kind of task uses, how far kinds overlap, how many experts a batch touches.

Numbers of experts mean something inside one trained model only, so everything is made run by run and then averaged.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Sequence

from harness.analysis.inference.results import Coverage, KindOverlap, KindRouting
from harness.analysis.inference.seeds import EVEN, Weights, average_seeds
from harness.analysis.stats import Estimate, estimate_mean, floor_at_zero
from harness.core.records import RunRecord
from harness.core.routing import ExpertCoverage, TaskRouting

CARRIED = 0.9
METHOD = "t over seeds or repeats"
ONE_RUN = "one run gives no interval"
Load = Sequence[Sequence[float]]


def summarise_routing(records: Sequence[RunRecord], weights: Weights = EVEN) -> tuple[KindRouting, ...]:
    """Return whom each kind used in each arm and size, means over the seeds of the runs that recorded it."""
    groups: dict[tuple[str, str, str], list[tuple[RunRecord, TaskRouting]]] = {}
    for record in records:
        for routing in record.task_routing:
            if routing.load:
                groups.setdefault((record.arm, record.size, routing.kind), []).append((record, routing))
    rows = []
    for (arm, size, kind), found in sorted(groups.items()):

        def mean(read: Callable[[TaskRouting], float], found: list[tuple[RunRecord, TaskRouting]] = found) -> float:
            return statistics.fmean(average_seeds([(r.run_id, r.seed, read(routing)) for r, routing in found], weights))

        routings = [routing for _, routing in found]
        shares = [(record.run_id, record.seed, measure_share_carrying(routing.load)) for record, routing in found]
        carrying = _over_seeds(shares, weights)
        rows.append(
            KindRouting(
                arm=arm,
                size=size,
                kind=kind,
                num_runs=len(routings),
                num_tokens=sum(routing.num_tokens for routing in routings),
                num_experts=max(len(row) for routing in routings for row in routing.load),
                mean_entropy=mean(lambda routing: routing.mean_entropy),
                share_for_90=statistics.fmean(average_seeds(shares, weights)),
                share_for_90_interval=floor_at_zero(carrying).interval,
                active_share=mean(lambda routing: routing.active_params_per_token / routing.total_params),
                active_params_per_token=mean(lambda routing: routing.active_params_per_token),
                total_params=round(mean(lambda routing: routing.total_params)),
                run_ids=tuple(sorted({record.run_id for record, _ in found})),
            )
        )
    return tuple(rows)


def compare_kinds_used(records: Sequence[RunRecord], weights: Weights = EVEN) -> tuple[KindOverlap, ...]:
    """Return the overlap of every two kinds in each arm and size, a mean over seeds with its interval."""
    groups: dict[tuple[str, str, str, str], list[tuple[str, int, float]]] = {}
    for record in records:
        loads = {routing.kind: routing.load for routing in record.task_routing if routing.load}
        for first, second in itertools.combinations(sorted(loads), 2):
            overlap = measure_overlap(loads[first], loads[second])
            if overlap is not None:
                key = record.arm, record.size, first, second
                groups.setdefault(key, []).append((record.run_id, record.seed, overlap))
    return tuple(
        KindOverlap(
            arm=arm,
            size=size,
            kinds=(first, second),
            overlap=_over_seeds(found, weights),
            run_ids=tuple(sorted(run_id for run_id, _, _ in found)),
        )
        for (arm, size, first, second), found in sorted(groups.items())
    )


def summarise_coverage(records: Sequence[RunRecord], weights: Weights = EVEN) -> tuple[Coverage, ...]:
    """Return the distinct experts that a decode step touched, measured and expected, by arm, size, kind and batch."""
    groups: dict[tuple[str, str, str, int], list[tuple[RunRecord, ExpertCoverage]]] = {}
    for record in records:
        for entry in record.expert_coverage:
            groups.setdefault((record.arm, record.size, entry.kind, entry.batch_size), []).append((record, entry))
    rows = []
    for (arm, size, kind, batch_size), found in sorted(groups.items()):
        measured, even, load = (
            [(record.run_id, record.seed, float(getattr(entry, name))) for record, entry in found]
            for name in ("measured", "expected_even", "expected_load")
        )
        rows.append(
            Coverage(
                arm=arm,
                size=size,
                kind=kind,
                batch_size=batch_size,
                num_experts=found[0][1].num_experts,
                top_k=found[0][1].top_k,
                measured=_over_seeds(measured, weights),
                expected_even=statistics.fmean(average_seeds(even, weights)),
                expected_load=statistics.fmean(average_seeds(load, weights)),
                run_ids=tuple(sorted({record.run_id for record, _ in found})),
            )
        )
    return tuple(rows)


def measure_overlap(first: Load, second: Load) -> float | None:
    """Return 1 - total variation of two loads (layer x expert), a mean over layers; ``None`` where shapes differ."""
    if len(first) != len(second) or any(len(a) != len(b) for a, b in zip(first, second, strict=True)) or not first:
        return None
    layers = [
        1 - sum(abs(x - y) for x, y in zip(one, other, strict=True)) / 2
        for one, other in zip(first, second, strict=True)
    ]
    return statistics.fmean(layers)


def measure_share_carrying(load: Load, carried: float = CARRIED) -> float:
    """Return the smallest share of experts that together carry `carried` of a layer's choices, a mean over layers."""
    shares = []
    for row in load:
        total, count = 0.0, 0
        for share in sorted(row, reverse=True):
            if total >= carried * sum(row) - 1e-12:
                break
            total += share
            count += 1
        shares.append(count / len(row))
    return statistics.fmean(shares)


def _over_seeds(found: Sequence[tuple[str, int, float]], weights: Weights) -> Estimate:
    estimate = estimate_mean(average_seeds(found, weights), method=METHOD)
    reason = ONE_RUN if estimate.n == 1 else estimate.reason
    return Estimate(value=estimate.value, interval=estimate.interval, n=estimate.n, reason=reason)
