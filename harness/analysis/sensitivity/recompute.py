"""Headline ratios once more, with other costs, at another loss or with fewer seeds, by the study's own matching."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.boundary import sum_boundary
from harness.analysis.multipliers import Pair, build_pair, match_at
from harness.analysis.results import ArmTask, FrontierPoint, MatchResult, Multiplier, Resource, TaskRatio
from harness.analysis.task_devices import list_windows
from harness.analysis.tasks import choose_runs, compare_tasks
from harness.analysis.verdicts import ClaimVerdict
from harness.core.readings import EnergyReading
from harness.core.records import RunRecord
from harness.core.study import MatchRule

Readings = Sequence[EnergyReading]
# Other readings for those of one window or path, or why there are none.
ChangeReadings = Callable[[Readings], tuple[EnergyReading, ...] | str]
TRAINING: tuple[Resource, ...] = ("flops", "energy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What every alternative starts from: the match, its verdicts, and the records by run id."""

    match: MatchResult
    verdicts: tuple[ClaimVerdict, ...]
    records: Mapping[str, RunRecord]
    rule: MatchRule

    def pair(self, points: Sequence[FrontierPoint]) -> Pair:
        """Return the frontiers of `points`, interpolated with the study's own curvature."""
        arms = self.match.baseline_arm, self.match.candidate_arm
        return build_pair(points, *arms, self.rule.interval, decay=self.match.decay)

    def loss(self) -> float:
        """Return the matched loss in bits per byte; callers have made sure that there is one."""
        assert self.match.matched_loss is not None  # noqa: S101
        return self.match.matched_loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputed:
    """Ratios under one alternative. Where `reason` is given, nothing could be computed."""

    training: tuple[Multiplier, ...] = ()
    tasks: tuple[TaskRatio, ...] = ()
    arm_tasks: tuple[ArmTask, ...] = ()
    points: tuple[FrontierPoint, ...] = ()
    loss: float | None = None
    reason: str | None = None


def recompute(pair: Pair, loss: float, records: Mapping[str, RunRecord], *, with_tasks: bool = True) -> Recomputed:
    """Return the multipliers of FLOPs and energy and the ratios of tasks of `pair` at `loss`."""
    arm_tasks, tasks = compare_tasks(pair, records, loss) if with_tasks else ((), ())
    return Recomputed(
        training=tuple(match_at(pair, resource, loss) for resource in TRAINING),
        tasks=tasks,
        arm_tasks=arm_tasks,
        points=tuple(point for frontier in pair.frontiers.values() for point in frontier.points),
        loss=loss,
    )


def recompute_energy(study: Study, change: ChangeReadings, domains: tuple[str, ...] | None = None) -> Recomputed:
    """Return all ratios with other readings in every path and window; `domains` is what they cover, where it differs.

    Runs whose energy is then not above 0 leave nothing to compare: whoever subtracts that much has no costs.
    """
    points: list[FrontierPoint] = []
    spent = 0
    for point in study.match.points:
        path = study.records[point.run_id].path
        readings = change(path.energy if path is not None else ())
        if isinstance(readings, str):
            return Recomputed(reason=readings)
        energy = sum_boundary(readings)
        spent += energy.energy_j is not None and energy.energy_j <= 0
        points.append(
            dataclasses.replace(
                point,
                energy_j=energy.energy_j,
                energy_grade=energy.grade,
                simulated=energy.simulated,
                energy_domains=domains or point.energy_domains,
            )
        )
    if spent:
        return Recomputed(
            reason=f"in {spent} of {len(points)} runs no energy above 0 is left, so nothing can be divided"
        )
    loss, pair = study.loss(), study.pair(points)
    chosen = choose_runs(pair, loss)
    runs = {p.run_id for _, weighed in (chosen or {}).values() for found in weighed.values() for p, _ in found}
    records = {run: _change_windows(study.records[run], change) for run in sorted(runs)}
    return recompute(pair, loss, records)


def _change_windows(record: RunRecord, change: ChangeReadings) -> RunRecord:
    """Return `record` with other readings in the windows of its tasks, and without the others: no ratio asks them."""
    windows = []
    for window in list_windows(record):
        readings = change(window.energy)
        windows.append(dataclasses.replace(window, energy=() if isinstance(readings, str) else readings))
    return dataclasses.replace(record, windows=tuple(windows))
