"""How well each arm answered each kind of task, from the readings of its runs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from harness.analysis.inference.results import KindScore
from harness.core.records import QualityReading, RunRecord


def summarise_scores(records: Sequence[RunRecord], weights: Mapping[str, float] | None = None) -> tuple[KindScore, ...]:
    """Return the accuracy of every arm and size in every kind, for runs that say how their tasks were asked.

    `weights` (run id -> weight) interpolate between the runs around a matched loss; without, all runs weigh the same.
    The standard error is the mean of the runs': they answer the same questions, so more runs do not shrink it.
    Line completion on its own, whose windows carry no regime, is no kind of a suite and is left out.
    """
    groups: dict[tuple[str, str, str], list[tuple[str, QualityReading]]] = {}
    for record in records:
        kinds = {w.regime.kind for w in record.windows if w.regime is not None}
        for reading in record.quality:
            if reading.higher_is_better and (reading.task in kinds or record.path is None):
                groups.setdefault((reading.task, record.arm, record.size), []).append((record.run_id, reading))
    rows = []
    for (kind, arm, size), found in sorted(groups.items()):
        readings = [reading for _, reading in found]
        share = [1.0 if weights is None else weights.get(run_id, 0.0) for run_id, _ in found]
        chances = [reading.chance for reading in readings if reading.chance is not None]
        rows.append(
            KindScore(
                arm=arm,
                size=size,
                kind=kind,
                accuracy=_mean([reading.value for reading in readings], share),
                accuracy_stderr=_mean([reading.stderr for reading in readings], share),
                chance=max(chances) if len(chances) == len(readings) else None,
                num_asked=min(reading.num_samples for reading in readings),
                num_runs=len(readings),
                run_ids=tuple(sorted(run_id for run_id, _ in found)),
                reason=next((r.reason for r in readings if r.value is None), None),
            )
        )
    return tuple(rows)


def _mean(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    """Return the weighted mean, ``None`` where a value is unknown or nothing has weight."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not sum(weights):
        return None
    return statistics.fmean(known, weights)
