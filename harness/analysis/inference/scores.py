"""How well each arm answered each kind of task, from the readings of its runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from harness.analysis.inference.results import KindScore
from harness.analysis.inference.seeds import EVEN, Weights, average_seeds
from harness.analysis.task_costs import ACCURACY_METRIC
from harness.core.records import QualityReading, RunRecord

NO_SHARE = "the metric is no share of right answers"


def summarise_scores(records: Sequence[RunRecord], weights: Weights = EVEN) -> tuple[KindScore, ...]:
    """Return the accuracy of every arm and size in every kind, for runs that say how their tasks were asked.

    Several metrics of one task stand apart. An accuracy is the mean over seeds; runs of one seed are first averaged by
    `weights`.
    Line completion on its own, whose windows carry no regime, is no kind of a suite and is left out.
    """
    groups: dict[tuple[str, str, str], list[tuple[RunRecord, QualityReading]]] = {}
    for record in records:
        kinds = {w.regime.kind for w in record.windows if w.regime is not None}
        for reading in record.quality:
            if reading.higher_is_better and (reading.task in kinds or record.path is None):
                groups.setdefault((_name(reading), record.arm, record.size), []).append((record, reading))
    rows = []
    for (kind, arm, size), found in sorted(groups.items()):
        readings = [reading for _, reading in found]
        is_share = all(0 <= reading.value <= 1 for reading in readings if reading.value is not None)
        values = [(r.run_id, r.seed, reading.value) for r, reading in found if reading.value is not None]
        errors = [reading.stderr for reading in readings if reading.stderr is not None]
        chances = [reading.chance for reading in readings if reading.chance is not None]
        rows.append(
            KindScore(
                arm=arm,
                size=size,
                kind=kind,
                accuracy=statistics.fmean(average_seeds(values, weights))
                if is_share and len(values) == len(readings)
                else None,
                accuracy_stderr=statistics.fmean(errors) if len(errors) == len(readings) else None,
                chance=max(chances) if len(chances) == len(readings) else None,
                num_asked=min(reading.num_samples for reading in readings),
                num_runs=len(readings),
                run_ids=tuple(sorted(record.run_id for record, _ in found)),
                reason=next((r.reason for r in readings if r.value is None), None) if is_share else NO_SHARE,
            )
        )
    return tuple(rows)


def _name(reading: QualityReading) -> str:
    """Return the kind of a reading; a metric of another library's stands beside the name of its task."""
    if reading.metric == ACCURACY_METRIC:
        return reading.task
    return f"{reading.task} {reading.metric.removeprefix('lm_eval_')}"
