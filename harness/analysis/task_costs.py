"""What a task cost in one run, from its windows of prefill and decode: of one kind, or the mean over its suite.

Where windows carry a regime the task of a run is its suite: every kind of task weighs the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.analysis.boundary import BoundaryEnergy, add_boundaries, sum_boundary
from harness.analysis.once import once
from harness.analysis.phases import Field, sum_phase
from harness.analysis.window_groups import group_windows
from harness.core.inference import AnswerLength
from harness.core.readings import EnergyReading, Grade, worst_grade
from harness.core.records import QualityReading, RunRecord, WindowRecord

PHASES = ("prefill", "decode")
SWEEP = "sweep"
ACCURACY_METRIC = "exact_match"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTask:
    """What one task cost in one run (joules, FLOPs, seconds), and how many distinct tasks it solved."""

    run_id: str
    energy_j: float | None
    net_energy_j: float | None
    prefill_j: float | None
    decode_j: float | None
    flops: float | None
    seconds: float | None
    accuracy: float | None
    accuracy_stderr: float | None
    num_tasks: int
    num_correct: int
    grade: Grade | None
    domains: tuple[str, ...]
    simulated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteAccuracy:
    """The share of a suite's tasks that one run solved, with its standard error, and how many tasks there were."""

    value: float | None
    stderr: float | None
    num_tasks: int
    num_correct: int


# Values of a run, or of a seed: the same names, so that a weighted mean over runs is one function.
VALUES = ("energy_j", "net_energy_j", "prefill_j", "decode_j", "flops", "seconds", "accuracy")
Values = dict[str, float | None]
SumBoundary = Callable[[Sequence[EnergyReading]], BoundaryEnergy]
_FIELDS: dict[str, Field] = {"energy_j": "energy_j", "net_energy_j": "net_j", "flops": "flops", "seconds": "seconds"}


def measure_task(
    record: RunRecord,
    kind: str | None = None,
    length: AnswerLength | None = None,
    sum_readings: SumBoundary = sum_boundary,
) -> RunTask:
    """Return the cost of one task in `record`: per phase the sum over windows divided by the tasks in them.

    With kinds of tasks it is the mean over them, each weighing the same, or that of `kind` alone. Windows of a sweep
    (regime ``sweep``) and of whole generations are no part of it. `length` asks for answers of that length alone.
    `sum_readings` says which joules of a window count: the headline's, or those of another way to book energy.
    """
    if sum_readings is not sum_boundary:
        return _measure_task(record, kind, length, sum_readings)
    return _measure_headline(record, kind, length)


@once
def _measure_headline(record: RunRecord, kind: str | None, length: AnswerLength | None) -> RunTask:
    return _measure_task(record, kind, length, sum_boundary)


def _measure_task(
    record: RunRecord, kind: str | None, length: AnswerLength | None, sum_readings: SumBoundary
) -> RunTask:
    kinds = list_kinds(record, length) if kind is None else ()
    if not kinds:
        windows = task_windows(record, kind, length)
        return _measure(record, windows, find_accuracy(record, kind), sum_readings)
    parts = [measure_task(record, each, length, sum_readings) for each in kinds]
    accuracy = average_accuracy(record, kinds)
    means = {name: weigh([(getattr(part, name), 1 / len(parts)) for part in parts]) for name in VALUES}
    grades: list[Grade] = [part.grade for part in parts if part.grade is not None]
    return RunTask(
        run_id=record.run_id,
        **means,
        accuracy_stderr=accuracy.stderr,
        num_tasks=accuracy.num_tasks,
        num_correct=accuracy.num_correct,
        grade=worst_grade(*grades) if grades else None,
        domains=tuple(sorted({domain for part in parts for domain in part.domains})),
        simulated=any(part.simulated for part in parts),
    )


def list_kinds(record: RunRecord, length: AnswerLength | None = None) -> tuple[str, ...]:
    """Return the kinds of tasks whose windows `record` holds, by name; empty where windows carry no regime."""
    regimes = [regime for phase, regime in group_windows(record) if phase in PHASES and regime is not None]
    return tuple(sorted({r.kind for r in regimes if r.kind != SWEEP and length in (None, r.answer_length)}))


def task_windows(record: RunRecord, kind: str | None = None, length: AnswerLength | None = None) -> list[WindowRecord]:
    """Return the windows of prefill and decode in which tasks of `kind` were answered; ``None``: those of no regime.

    Where answers of both fixed and free length were measured, those of fixed length are the task, unless `length` asks
    for the others: its work does not depend on what a model says.
    """
    groups = [(regime, own) for (phase, regime), own in group_windows(record).items() if phase in PHASES]
    if kind is None:
        return [window for regime, own in groups if regime is None for window in own]
    of_kind = [(regime.answer_length, own) for regime, own in groups if regime is not None and regime.kind == kind]
    wanted = [window for made, own in of_kind if made == (length or "fixed") for window in own]
    return wanted if wanted or length else [window for _, own in of_kind for window in own]


def find_accuracy(record: RunRecord, kind: str | None = None) -> QualityReading | None:
    """Return the accuracy reading of `kind` (whatever its scoring), or the first exact match without a kind."""
    if kind is None:
        return next((q for q in record.quality if q.metric == ACCURACY_METRIC), None)
    own = [q for q in record.quality if q.task == kind and q.higher_is_better]
    return min(own, key=lambda q: (q.metric != ACCURACY_METRIC, q.metric), default=None)


def list_phases(windows: Sequence[WindowRecord]) -> tuple[str, ...]:
    """Return the phases that make up the tasks of `windows`: an answer of one token is made by prefill alone."""
    alone = windows and all(w.regime and w.regime.num_output_tokens == 1 for w in windows)
    return PHASES[:1] if alone else PHASES


def read_accuracy(record: RunRecord) -> float | None:
    """Return the accuracy of `measure_task` (a share) without adding up any window."""
    kinds = list_kinds(record)
    if kinds:
        return average_accuracy(record, kinds).value
    reading = find_accuracy(record)
    return reading.value if reading is not None else None


def average_accuracy(record: RunRecord, kinds: Sequence[str]) -> SuiteAccuracy:
    """Return the accuracy of `record` over `kinds`, each weighing the same, without looking at any window."""
    readings = [find_accuracy(record, kind) for kind in kinds]
    stderrs = [reading.stderr for reading in readings if reading is not None and reading.stderr is not None]
    return SuiteAccuracy(
        value=weigh([(reading.value if reading is not None else None, 1 / len(kinds)) for reading in readings]),
        stderr=sum(e**2 for e in stderrs) ** 0.5 / len(kinds) if len(stderrs) == len(kinds) else None,
        num_tasks=sum(_count_tasks(reading) for reading in readings),
        num_correct=sum(_count_correct(reading) for reading in readings),
    )


def _count_tasks(accuracy: QualityReading | None) -> int:
    return accuracy.num_samples if accuracy is not None and accuracy.value is not None else 0


def _count_correct(accuracy: QualityReading | None) -> int:
    return round(accuracy.num_samples * (accuracy.value or 0.0)) if accuracy is not None else 0


def _measure(
    record: RunRecord, windows: Sequence[WindowRecord], accuracy: QualityReading | None, sum_readings: SumBoundary
) -> RunTask:
    phases = [_cost_of_phase([window for window in windows if window.phase == phase], sum_readings) for phase in PHASES]
    done = phases[: len(list_phases(windows))]
    boundary = add_boundaries([sum_readings(window.energy) for window in windows])
    return RunTask(
        run_id=record.run_id,
        energy_j=_add(done, "energy_j"),
        net_energy_j=_add(done, "net_energy_j"),
        prefill_j=phases[0].get("energy_j"),
        decode_j=phases[1].get("energy_j"),
        flops=_add(done, "flops"),
        seconds=_add(done, "seconds"),
        accuracy=accuracy.value if accuracy is not None else None,
        accuracy_stderr=accuracy.stderr if accuracy is not None else None,
        num_tasks=_count_tasks(accuracy),
        num_correct=_count_correct(accuracy),
        grade=boundary.grade,
        domains=boundary.domains,
        simulated=boundary.simulated,
    )


def _cost_of_phase(windows: Sequence[WindowRecord], sum_readings: SumBoundary) -> Values:
    """Return energy, net energy, FLOPs and seconds per task over the windows of one phase; empty without any task."""
    worked = [window for window in windows if window.work is not None and window.work.num_tasks > 0]
    if not worked:
        return {}
    phase = sum_phase(worked, sum_readings)
    costs = {name: phase.per_task(field) for name, field in _FIELDS.items()}
    return {name: None if isinstance(cost, str) else cost for name, cost in costs.items()}


def _add(phases: Sequence[Values], name: str) -> float | None:
    values = [phase.get(name) for phase in phases]
    return None if any(value is None for value in values) else sum(v for v in values if v is not None)


def weigh(weighted: Sequence[tuple[float | None, float]]) -> float | None:
    """Return the sum of (value, weight) products; one unknown value makes it unknown."""
    if any(value is None for value, _ in weighted):
        return None
    return sum(value * weight for value, weight in weighted if value is not None)
