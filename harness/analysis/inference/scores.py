"""How well each arm answered each kind of task, from the readings of its runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from harness.analysis.inference.results import KindScore
from harness.analysis.inference.seeds import EVEN, Weights, average_seeds
from harness.core.records import QualityReading, RunRecord


def summarise_scores(records: Sequence[RunRecord], weights: Weights = EVEN) -> tuple[KindScore, ...]:
    """Return the accuracy of every arm and size in every kind, for runs that say how their tasks were asked.

    It is the mean over seeds; runs of one seed are first averaged by `weights`.
    Line completion on its own, whose windows carry no regime, is no kind of a suite and is left out.
    """
    groups: dict[tuple[str, str, str], list[tuple[RunRecord, QualityReading]]] = {}
    for record in records:
        kinds = {w.regime.kind for w in record.windows if w.regime is not None}
        for reading in record.quality:
            if reading.higher_is_better and (reading.task in kinds or record.path is None):
                groups.setdefault((reading.task, record.arm, record.size), []).append((record, reading))
    rows = []
    for (kind, arm, size), found in sorted(groups.items()):
        readings = [reading for _, reading in found]
        values = [(r.run_id, r.seed, reading.value) for r, reading in found if reading.value is not None]
        errors = [reading.stderr for reading in readings if reading.stderr is not None]
        chances = [reading.chance for reading in readings if reading.chance is not None]
        rows.append(
            KindScore(
                arm=arm,
                size=size,
                kind=kind,
                accuracy=statistics.fmean(average_seeds(values, weights)) if len(values) == len(readings) else None,
                accuracy_stderr=statistics.fmean(errors) if len(errors) == len(readings) else None,
                chance=max(chances) if len(chances) == len(readings) else None,
                num_asked=min(reading.num_samples for reading in readings),
                num_runs=len(readings),
                run_ids=tuple(sorted(record.run_id for record, _ in found)),
                reason=next((r.reason for r in readings if r.value is None), None),
            )
        )
    return tuple(rows)
