"""What a task cost in one run of an inference study: of models from their windows, of servers from requests too."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.boundary import add_boundaries, sum_boundary
from harness.analysis.phases import count_new_tokens, sum_phase
from harness.analysis.task_costs import SumBoundary, find_accuracy, list_kinds, measure_task, task_windows
from harness.core.answers import TaskResult
from harness.core.inference import AnswerLength
from harness.core.readings import Grade, worst_grade
from harness.core.records import RunRecord, WindowRecord

SERVE = "serve"
SUITE = "suite"
VALUES = ("energy_j", "net_energy_j", "flops", "seconds", "tokens", "bytes", "accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Means over the tasks of one kind, or over kinds, in one run; unknown is ``None``.

    `tokens` are the new tokens of an answer by the model's own tokenizer, `bytes` the text of them all.
    """

    run_id: str
    energy_j: float | None
    net_energy_j: float | None
    flops: float | None
    seconds: float | None
    tokens: float | None
    bytes: float | None
    accuracy: float | None
    accuracy_stderr: float | None
    num_examples: int
    num_correct: int
    grade: Grade | None
    domains: tuple[str, ...]
    simulated: bool


def name_kinds(record: RunRecord, rows: Sequence[TaskResult], length: AnswerLength | None = None) -> tuple[str, ...]:
    """Return the kinds of tasks of a run by name: from its windows, else its answers, else what it was judged on."""
    kinds = list_kinds(record, length)
    if kinds or length is not None:
        return kinds
    if rows:
        return tuple(sorted({row.kind for row in rows}))
    return tuple(sorted({q.task for q in record.quality if q.higher_is_better}))


def measure_answered(
    record: RunRecord,
    rows: Sequence[TaskResult],
    kind: str,
    length: AnswerLength | None = None,
    sum_readings: SumBoundary = sum_boundary,
) -> Answered:
    """Return what a task of `kind` cost in `record`; ``suite`` is the mean over its kinds, each weighing the same.

    `length` asks for answers of that length alone, in runs that measured both. `sum_readings` says which joules of a
    window count: the headline's, or those of another way to book energy.
    """
    if kind == SUITE:
        kinds = name_kinds(record, rows, length)
        return _mean_over_kinds([measure_answered(record, rows, each, length, sum_readings) for each in kinds], record)
    own = [row for row in rows if row.kind == kind and row.status == "answered"]
    # what energy was spent on: not only the part of an answer that is judged
    texts = [size for row in own if (size := row.ended_bytes if length == "free" else row.made_bytes) is not None]
    reading = find_accuracy(record, kind)
    known = reading is not None and reading.value is not None
    answered = [row for row in rows if row.status == "answered"]
    served = serve_windows(record, kind)
    if served:
        energy, net, flops, seconds, tokens = _serve_cost(record, served, answered, kind, sum_readings)
        boundary = add_boundaries([sum_readings(window.energy) for window in served])
        cost = (boundary.grade, boundary.domains, boundary.simulated)
    else:
        task = measure_task(record, kind if kind in list_kinds(record) else None, length, sum_readings)
        energy, net, flops, seconds = task.energy_j, task.net_energy_j, task.flops, task.seconds
        tokens = _own_tokens(record, kind, length)
        cost = (task.grade, task.domains, task.simulated)
    return Answered(
        run_id=record.run_id,
        energy_j=energy,
        net_energy_j=net,
        flops=flops,
        seconds=seconds,
        tokens=tokens,
        bytes=statistics.fmean(texts) if texts and len(texts) == len(own) else None,
        accuracy=reading.value if reading is not None else None,
        accuracy_stderr=reading.stderr if reading is not None else None,
        num_examples=reading.num_samples if reading is not None and known else 0,
        num_correct=round(reading.num_samples * (reading.value or 0.0)) if reading is not None else 0,
        grade=cost[0],
        domains=cost[1],
        simulated=cost[2],
    )


def serve_windows(record: RunRecord, kind: str) -> list[WindowRecord]:
    """Return the windows in which a server answered requests of `kind`, alone or among others."""
    return [w for w in record.windows_of(SERVE) if w.regime is None or w.regime.kind in (kind, "mixed")]


def _serve_cost(
    record: RunRecord, windows: Sequence[WindowRecord], rows: Sequence[TaskResult], kind: str, sum_readings: SumBoundary
) -> tuple[float | None, float | None, float | None, float | None, float | None]:
    """Return joules (gross, net), FLOPs, seconds and new tokens of one answered request of a kind; `rows` are of all.

    Kinds share one window: a kind's energy is the window's times what its requests bear of it.
    """
    whole = sum_phase(windows, sum_readings)
    own = [row for row in rows if row.kind == kind]
    alone = len({q.task for q in record.quality if q.higher_is_better} | {row.kind for row in rows}) <= 1
    alone = alone or all(w.regime is not None and w.regime.kind == kind for w in windows)
    made = [row.num_output_tokens for row in own if row.num_output_tokens is not None]
    tokens = statistics.fmean(made) if made else _known(whole.per_task("num_output_tokens"))
    part: float | None = 1.0
    if not alone:
        # net energy and that of failed requests have no shares of their own: shares say who bears how much of them
        shares = math.fsum(row.energy_j for row in rows if row.energy_j is not None)
        mine = [row.energy_j for row in own if row.energy_j is not None]
        complete = bool(own) and len(mine) == len(own) and shares > 0
        part = (math.fsum(mine) / len(own)) / (shares / len(rows)) if complete else None
    energy, net = (_known(whole.per_task(name)) for name in ("energy_j", "net_j"))
    return (
        energy * part if energy is not None and part is not None else None,
        net * part if net is not None and part is not None else None,
        _known(whole.per_task("flops")),
        _known(whole.per_task("seconds")),
        tokens,
    )


def _own_tokens(record: RunRecord, kind: str, length: AnswerLength | None) -> float | None:
    """Return the new tokens of one answer, the one that prefill makes included."""
    windows = task_windows(record, kind if kind in list_kinds(record) else None, length)
    regime = next((window.regime for window in windows if window.regime is not None), None)
    decode, prefill = (sum_phase([w for w in windows if w.phase == phase]) for phase in ("decode", "prefill"))
    if regime is None:
        return _known(count_new_tokens(None, None, decode, prefill))
    return _known(count_new_tokens(regime.answer_length, regime.num_output_tokens, decode, prefill))


def _mean_over_kinds(parts: Sequence[Answered], record: RunRecord) -> Answered:
    means: dict[str, float | None] = {}
    for name in VALUES:
        known = [value for part in parts if (value := getattr(part, name)) is not None]
        means[name] = statistics.fmean(known) if parts and len(known) == len(parts) else None
    errors = [part.accuracy_stderr for part in parts if part.accuracy_stderr is not None]
    grades: list[Grade] = [part.grade for part in parts if part.grade is not None]
    return Answered(
        run_id=record.run_id,
        **means,
        accuracy_stderr=math.hypot(*errors) / len(parts) if parts and len(errors) == len(parts) else None,
        num_examples=sum(part.num_examples for part in parts),
        num_correct=sum(part.num_correct for part in parts),
        grade=worst_grade(*grades) if grades else None,
        domains=tuple(sorted({domain for part in parts for domain in part.domains})),
        simulated=any(part.simulated for part in parts),
    )


def _known(value: float | str) -> float | None:
    return None if isinstance(value, str) else value
