"""A study before it runs: every run in order with its state, its training FLOPs, and estimates of time and energy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.readings import Grade, worst_grade
from harness.run.estimate import Estimate
from harness.run.run_figures import DeviceKey, RunFigures
from harness.run.run_states import STATES, State
from harness.run.study_budget import Spent, StudyBudget, budget_to_json

# States in which a run comes when the study is started as it is.
TO_COME: tuple[State, ...] = ("running", "interrupted", "waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One run of the plan. `measured` is of a finished run, `estimate` of any other.

    `budget_tokens` is ``None`` where nothing is trained; of a trunk it is that of its longest branch.
    """

    index: int
    run_id: str
    block: int
    role: str
    arm: str
    size: str
    seed: int
    budget_tokens: int | None
    train_flops: float
    state: State
    estimate: Estimate | None = None
    measured: RunFigures | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSum:
    """Training FLOPs, seconds and joules of several runs; ``None`` as soon as one of them is unknown."""

    num_runs: int
    train_flops: float
    seconds: float | None
    joules: float | None
    grade: Grade | None
    num_unknown_s: int = 0
    num_unknown_j: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """All runs of a study, of a list, or one alone; `stops_before` is the run that its `budget` does not hold.

    `between_s` is what lies between two runs, part of every estimate, and ``None`` where no two runs tell.
    """

    title: str
    store: str
    rows: tuple[PlanRow, ...]
    device: DeviceKey | None
    between_s: float | None
    budget: StudyBudget
    spent: Spent
    stops_before: str | None = None
    stop_reason: str | None = None

    @property
    def left(self) -> PlanSum:
        """Return the sum of what comes when the study is started: no finished and no failed run."""
        return add_rows([row for row in self.rows if row.state in TO_COME], self.between_s)

    @property
    def whole(self) -> PlanSum:
        """Return the sum of all runs: measured where they are finished, else estimated."""
        return add_rows(self.rows, self.between_s)


def add_rows(rows: Sequence[PlanRow], between_s: float | None) -> PlanSum:
    """Add up `rows`; a finished one has taken `between_s` beside its windows."""
    seconds, joules, grades = [], [], []
    for row in rows:
        if row.measured is not None:
            took = row.measured.seconds
            seconds.append(None if took is None else took + (between_s or 0.0))
            joules.append(row.measured.joules)
            grades.append(row.measured.grade)
        else:
            seconds.append(row.estimate.seconds if row.estimate is not None else None)
            joules.append(row.estimate.joules if row.estimate is not None else None)
            grades.append(row.estimate.grade if row.estimate is not None else None)
    known_s = [value for value in seconds if value is not None]
    known_j = [value for value in joules if value is not None]
    known_grades: list[Grade] = [grade for grade in grades if grade is not None]
    return PlanSum(
        num_runs=len(rows),
        train_flops=sum(row.train_flops for row in rows),
        seconds=sum(known_s) if len(known_s) == len(rows) else None,
        joules=sum(known_j) if len(known_j) == len(rows) else None,
        grade=worst_grade(*known_grades) if known_grades else None,
        num_unknown_s=len(rows) - len(known_s),
        num_unknown_j=len(rows) - len(known_j),
    )


def count_states(rows: Sequence[PlanRow]) -> dict[State, int]:
    """Return how many runs are in each state."""
    return {state: sum(row.state == state for row in rows) for state in STATES}


def plan_to_json(plan: StudyPlan) -> dict[str, Any]:
    """Return the plan as JSON; ``estimated_*`` and ``measured_*`` stand apart, and unknown is null."""
    return {
        "title": plan.title,
        "store": plan.store,
        "device": None if plan.device is None else dataclasses.asdict(plan.device),
        "between_runs_s": plan.between_s,
        "counts": count_states(plan.rows),
        "runs": [_row_to_json(row) for row in plan.rows],
        "left": dataclasses.asdict(plan.left),
        "whole": dataclasses.asdict(plan.whole),
        "budget": budget_to_json(plan.budget),
        "spent": dataclasses.asdict(plan.spent),
        "stops_before": plan.stops_before,
        "stop_reason": plan.stop_reason,
    }


def _row_to_json(row: PlanRow) -> dict[str, Any]:
    estimate = row.estimate or Estimate()
    return {
        "index": row.index,
        "run_id": row.run_id,
        "block": row.block,
        "role": row.role,
        "arm": row.arm,
        "size": row.size,
        "seed": row.seed,
        "budget_tokens": row.budget_tokens,
        "train_flops": row.train_flops,
        "state": row.state,
        "measured_s": None if row.measured is None else row.measured.seconds,
        "measured_j": None if row.measured is None else row.measured.joules,
        "measured_grade": None if row.measured is None else row.measured.grade,
        "estimated_s": estimate.seconds,
        "estimated_j": estimate.joules,
        "estimated_grade": estimate.grade,
        "estimated_from": estimate.source,
        "estimate_is_rough": estimate.is_rough,
        "unknown_because": estimate.reason,
        "energy_unknown_because": estimate.energy_reason,
    }
