"""From records to points: what a run's whole path cost in each resource, and the quality that it reached."""

from __future__ import annotations

import math
from collections.abc import Iterable

from harness.analysis.boundary import sum_boundary
from harness.analysis.results import FrontierPoint, Resource
from harness.core.records import RunRecord

LOSS_METRIC = "validation_bits_per_byte"
RESOURCES: tuple[Resource, ...] = ("flops", "energy", "net_energy", "seconds", "tokens", "peak_memory")
ENERGY_RESOURCES: tuple[Resource, ...] = ("energy", "net_energy")
_ATTRIBUTE: dict[Resource, str] = {
    "flops": "flops",
    "energy": "energy_j",
    "net_energy": "net_energy_j",
    "seconds": "seconds",
    "tokens": "tokens",
    "peak_memory": "peak_memory_bytes",
}


def build_points(
    records: Iterable[RunRecord], metric: str = LOSS_METRIC
) -> tuple[list[FrontierPoint], list[tuple[str, str]]]:
    """Return the points of finished runs, and (run id, reason) for every other run; finished trunks are neither.

    `metric` is what the points' `loss` holds: a loss itself, or one minus a score of which more is better.
    """
    points: list[FrontierPoint] = []
    excluded: list[tuple[str, str]] = []
    for record in records:
        if record.status == "failed":
            excluded.append((record.run_id, f"failed: {record.error or 'no error was recorded'}"))
        elif record.role != "trunk":
            point = _build_point(record, metric)
            if isinstance(point, str):
                excluded.append((record.run_id, point))
            else:
                points.append(point)
    return points, excluded


def _build_point(record: RunRecord, metric: str) -> FrontierPoint | str:
    """Return the point of a finished run, or the reason why it has none."""
    path = record.path
    if path is None:
        return "the record has no path cost"
    if not (path.flops > 0 and path.duration_s > 0 and path.tokens > 0):
        return "the path has no FLOPs, tokens or time"
    quality = next((q for q in record.quality if q.metric == metric), None)
    if quality is None or quality.value is None or not math.isfinite(quality.value):
        reason = quality.reason if quality is not None else None
        return f"no finite {metric}" + (f": {reason}" if reason else "")
    loss = 1 - quality.value if quality.higher_is_better else quality.value
    energy = sum_boundary(path.energy)
    return FrontierPoint(
        run_id=record.run_id,
        arm=record.arm,
        size=record.size,
        seed=record.seed,
        tokens=path.tokens,
        loss=loss,
        flops=path.flops,
        seconds=path.duration_s,
        energy_j=energy.energy_j,
        net_energy_j=energy.net_energy_j,
        peak_memory_bytes=path.peak_memory_bytes,
        energy_grade=energy.grade,
        energy_domains=energy.domains,
        active_params=record.params.active if record.params else None,
        total_params=record.params.total if record.params else None,
        simulated=energy.simulated,
    )


def cost_of(point: FrontierPoint, resource: Resource) -> float | None:
    """Return what the point's path cost in `resource` (SI units), ``None`` when unknown or not above zero."""
    value = getattr(point, _ATTRIBUTE[resource])
    return float(value) if value is not None and value > 0 else None
