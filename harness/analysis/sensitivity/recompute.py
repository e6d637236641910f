"""Headline ratios once more, with other costs, at another loss or with fewer seeds, by the study's own matching."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.boundary import sum_boundary
from harness.analysis.multipliers import Pair, build_pair, match_at
from harness.analysis.results import ArmTask, FrontierPoint, MatchResult, Multiplier, Resource, TaskRatio
from harness.analysis.task_costs import SumBoundary, measure_task
from harness.analysis.tasks import MeasureTask, compare_tasks
from harness.analysis.verdicts import ClaimVerdict
from harness.core.records import RunRecord
from harness.core.study import MatchRule

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


@dataclass(frozen=True, slots=True)
class Booking:
    """A way to book energy: the joules that count of a path's readings, and what a task of a kind cost in one run."""

    sum_readings: SumBoundary
    measure: MeasureTask


HEADLINE = Booking(sum_boundary, measure_task)


def recompute(
    pair: Pair,
    loss: float,
    records: Mapping[str, RunRecord],
    *,
    with_tasks: bool = True,
    measure: MeasureTask = measure_task,
) -> Recomputed:
    """Return the multipliers of FLOPs and energy and the ratios of tasks of `pair` at `loss`."""
    arm_tasks, tasks = compare_tasks(pair, records, loss, measure) if with_tasks else ((), ())
    return Recomputed(
        training=tuple(match_at(pair, resource, loss) for resource in TRAINING),
        tasks=tasks,
        arm_tasks=arm_tasks,
        points=tuple(point for frontier in pair.frontiers.values() for point in frontier.points),
        loss=loss,
    )


def recompute_energy(study: Study, booking: Booking, domains: tuple[str, ...] | None = None) -> Recomputed:
    """Return all ratios with other joules of every path and task; `domains` is what they cover, where it differs.

    Runs whose energy is then not above 0 leave nothing to compare: whoever subtracts that much has no costs.
    """
    points: list[FrontierPoint] = []
    spent = 0
    for point in study.match.points:
        path = study.records[point.run_id].path
        energy = booking.sum_readings(path.energy if path is not None else ())
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
    return recompute(study.pair(points), study.loss(), study.records, measure=booking.measure)
