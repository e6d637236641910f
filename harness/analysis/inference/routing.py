"""Only the parts needed? Which experts each kind of task uses, how far kinds overlap, how many experts a batch touches.

Numbers of experts mean something inside one trained model only, so everything is made run by run and then averaged.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

from harness.analysis.inference.results import Coverage, KindOverlap, KindRouting
from harness.analysis.stats import Estimate, estimate_mean
from harness.core.inference import ExpertCoverage, TaskRouting
from harness.core.records import RunRecord

CARRIED = 0.9
METHOD = "t over runs"
Load = Sequence[Sequence[float]]


def summarise_routing(records: Sequence[RunRecord]) -> tuple[KindRouting, ...]:
    """Return whom each kind used in each arm, means over the runs that recorded it."""
    groups: dict[tuple[str, str], list[tuple[str, TaskRouting]]] = {}
    for record in records:
        for routing in record.task_routing:
            groups.setdefault((record.arm, routing.kind), []).append((record.run_id, routing))
    rows = []
    for (arm, kind), found in sorted(groups.items()):
        routings = [routing for _, routing in found if routing.load]
        if not routings:
            continue
        rows.append(
            KindRouting(
                arm=arm,
                kind=kind,
                num_runs=len(routings),
                num_tokens=sum(routing.num_tokens for routing in routings),
                num_experts=max(len(row) for routing in routings for row in routing.load),
                mean_entropy=statistics.fmean(routing.mean_entropy for routing in routings),
                share_for_90=statistics.fmean(measure_share_carrying(routing.load) for routing in routings),
                active_share=statistics.fmean(r.active_params_per_token / r.total_params for r in routings),
                active_params_per_token=statistics.fmean(routing.active_params_per_token for routing in routings),
                total_params=round(statistics.fmean(routing.total_params for routing in routings)),
                run_ids=tuple(sorted({run_id for run_id, _ in found})),
            )
        )
    return tuple(rows)


def compare_kinds_used(records: Sequence[RunRecord]) -> tuple[KindOverlap, ...]:
    """Return the overlap of every two kinds in each arm, a mean over runs with its interval."""
    groups: dict[tuple[str, str, str], list[tuple[str, float]]] = {}
    for record in records:
        loads = {routing.kind: routing.load for routing in record.task_routing if routing.load}
        for first, second in itertools.combinations(sorted(loads), 2):
            overlap = measure_overlap(loads[first], loads[second])
            if overlap is not None:
                groups.setdefault((record.arm, first, second), []).append((record.run_id, overlap))
    return tuple(
        KindOverlap(
            arm=arm,
            kinds=(first, second),
            overlap=_over_runs([value for _, value in found]),
            run_ids=tuple(sorted(run_id for run_id, _ in found)),
        )
        for (arm, first, second), found in sorted(groups.items())
    )


def summarise_coverage(records: Sequence[RunRecord]) -> tuple[Coverage, ...]:
    """Return the distinct experts that a decode step touched, measured and expected, by arm, kind and batch."""
    groups: dict[tuple[str, str, int], list[tuple[str, ExpertCoverage]]] = {}
    for record in records:
        for entry in record.expert_coverage:
            groups.setdefault((record.arm, entry.kind, entry.batch_size), []).append((record.run_id, entry))
    rows = []
    for (arm, kind, batch_size), found in sorted(groups.items()):
        entries = [entry for _, entry in found]
        rows.append(
            Coverage(
                arm=arm,
                kind=kind,
                batch_size=batch_size,
                num_experts=entries[0].num_experts,
                top_k=entries[0].top_k,
                measured=_over_runs([entry.measured for entry in entries]),
                expected_even=statistics.fmean(entry.expected_even for entry in entries),
                expected_load=statistics.fmean(entry.expected_load for entry in entries),
                run_ids=tuple(sorted({run_id for run_id, _ in found})),
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


def _over_runs(values: Sequence[float]) -> Estimate:
    estimate = estimate_mean(values, method=METHOD)
    reason = "one run gives no interval" if estimate.n == 1 else estimate.reason
    return Estimate(value=estimate.value, interval=estimate.interval, n=estimate.n, reason=reason)
