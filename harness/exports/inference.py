"""Inference windows of a run grouped by how the work was done, and what one task of a group cost.

Prefill and decode stand in windows of their own that may hold different numbers of tasks, so a task costs the joules
per task of its prefill windows plus those of its decode windows. Windows of a whole answer (``generate``, ``serve``)
stand in for them where there are no two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.analysis.correct import explain_few_correct
from harness.analysis.energy_sum import EnergySum, add_sums
from harness.analysis.phases import count_new_tokens, sum_phase
from harness.analysis.pooling import read_config
from harness.analysis.task_costs import find_accuracy
from harness.core.inference import AnswerLength
from harness.core.readings import EnergyReading
from harness.core.records import RunRecord, WindowRecord

PHASES = ("prefill", "decode", "generate", "serve")
# Kind, batch, tokens in and out, and length of answers.
Key = tuple[str, object, object, object, AnswerLength | None]
SumReadings = Callable[[Sequence[EnergyReading]], EnergySum]


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceGroup:
    """Windows of one run and one regime that did work; `batch_size` is ``None`` where it was not fixed (a server).

    `windows` maps a phase to its windows in order. Tokens of one task are ``None`` where tasks differ.
    """

    run_id: str
    kind: str
    batch_size: int | None
    num_input_tokens: int | None
    num_output_tokens: int | None
    answer_length: AnswerLength | None
    windows: dict[str, tuple[WindowRecord, ...]]

    @property
    def phases(self) -> tuple[str, ...]:
        """Return the phases whose sum is a whole answer: prefill and decode, else one phase that holds both.

        Empty where the windows do not make up a whole answer.
        """
        if "prefill" in self.windows and "decode" in self.windows:
            return ("prefill", "decode")
        return next(((phase,) for phase in ("generate", "serve") if phase in self.windows), ())

    @property
    def label(self) -> str:
        """Return the group's name for people and for sorting."""
        size = "any batch" if self.batch_size is None else f"batch {self.batch_size}"
        shape = f"{_or_any(self.num_input_tokens)} in, {_or_any(self.num_output_tokens)} out"
        return f"{self.kind}, {size}, {shape}, {self.answer_length or 'any'} length"


def group_windows(record: RunRecord) -> list[InferenceGroup]:
    """Return the groups of `record`, sorted by kind, batch and lengths.

    Windows without a regime are those of line completion, in the batch and context that the configuration names.
    """
    groups: dict[Key, dict[str, list[WindowRecord]]] = {}
    for window in record.windows:
        if window.phase not in PHASES or window.work is None:
            continue
        key = _read_key(record, window)
        groups.setdefault(key, {}).setdefault(window.phase, []).append(window)
    made = [
        InferenceGroup(
            run_id=record.run_id,
            kind=key[0],
            batch_size=_as_int(key[1]),
            num_input_tokens=_as_int(key[2]),
            num_output_tokens=_as_int(key[3]),
            answer_length=key[4],
            windows={phase: tuple(found) for phase, found in phases.items()},
        )
        for key, phases in groups.items()
    ]
    return sorted(made, key=_sort_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCost:
    """Energy of one functional unit in joules, its grade and parts; ``None`` with the `reason`.

    `num_units` counts the units of the answers that the figure rests on (of the smaller phase).
    """

    energy_j: float | None
    energy: EnergySum
    num_units: int
    reason: str | None = None


def cost_per_task(group: InferenceGroup, sum_readings: SumReadings) -> UnitCost:
    """Return the gross joules of one task in `group`, over the readings that `sum_readings` counts."""
    if not group.phases:
        return _unknown(group, sum_readings, "its windows do not make up a whole answer (prefill and decode)")
    parts: list[float] = []
    counts: list[int] = []
    for phase in group.phases:
        found = sum_phase(group.windows[phase], sum_readings)
        joules = found.per_task("energy_j")
        if found.num_tasks == 0:
            return _unknown(group, sum_readings, f"no task was counted in its {phase} windows")
        if isinstance(joules, str) or isinstance(found.num_tasks, str):
            return _unknown(group, sum_readings, str(joules))
        parts.append(joules)
        counts.append(round(found.num_tasks))
    return UnitCost(energy_j=sum(parts), energy=sum_group(group, sum_readings), num_units=min(counts))


def cost_per_token(group: InferenceGroup, sum_readings: SumReadings) -> UnitCost:
    """Return the joules of a task, its prompt included, for each token of its answer."""
    task = cost_per_task(group, sum_readings)
    if task.energy_j is None:
        return task
    tokens = count_tokens_per_task(group)
    if not tokens:
        return _unknown(group, sum_readings, "no output token was counted")
    return UnitCost(energy_j=task.energy_j / tokens, energy=task.energy, num_units=round(task.num_units * tokens))


def count_tokens_per_task(group: InferenceGroup) -> float:
    """Return the output tokens of one task, the first included; 0 where none were counted.

    A decode window counts the tokens that its steps made, and the first token of an answer comes out of prefill: so for
    answers of fixed length the length itself counts, and for free ones the tokens of all phases.
    """
    if not group.phases:
        return 0.0
    sums = [sum_phase(group.windows[phase]) for phase in group.phases]
    found = count_new_tokens(group.answer_length, group.num_output_tokens, sums[-1], sums[0] if len(sums) > 1 else None)
    return 0.0 if isinstance(found, str) else found


def cost_per_correct(group: InferenceGroup, sum_readings: SumReadings, record: RunRecord) -> UnitCost:
    """Return the joules of a task for each correct answer; unknown with too few distinct correct ones."""
    task = cost_per_task(group, sum_readings)
    if task.energy_j is None:
        return task
    if group.kind == "sweep":
        return _unknown(group, sum_readings, "answers of a sweep are not judged")
    judged = _read_correct(group, record)
    if isinstance(judged, str):
        return _unknown(group, sum_readings, judged)
    num_correct, num_asked = judged
    if (reason := explain_few_correct(num_correct)) is not None:
        return _unknown(group, sum_readings, reason)
    return UnitCost(energy_j=task.energy_j * num_asked / num_correct, energy=task.energy, num_units=num_correct)


def _read_correct(group: InferenceGroup, record: RunRecord) -> tuple[int, int] | str:
    """Return (correct, asked) by the run's accuracy of the kind, else by the windows' own counts; or why not known."""
    found = find_accuracy(record, group.kind)
    if found is not None:
        if found.value is None:
            return found.reason or "its accuracy is unknown"
        return round(found.value * found.num_samples), found.num_samples
    worked = [window.work for window in group.windows[group.phases[-1]] if window.work is not None]
    counts = [work.num_correct for work in worked if work.num_correct is not None]
    if not counts or len(counts) < len(worked):
        return "its answers were not judged"
    return sum(counts), sum(work.num_tasks for work in worked)


def sum_group(group: InferenceGroup, sum_readings: SumReadings) -> EnergySum:
    """Return the energy of all windows that make up the group's answers."""
    return add_sums([sum_readings(w.energy) for phase in group.phases for w in group.windows[phase]])


def _unknown(group: InferenceGroup, sum_readings: SumReadings, reason: str | None) -> UnitCost:
    return UnitCost(energy_j=None, energy=sum_group(group, sum_readings), num_units=0, reason=reason or "unknown")


def _read_key(record: RunRecord, window: WindowRecord) -> Key:
    regime = window.regime
    if regime is not None:
        batch = None if window.phase == "serve" else regime.batch_size
        return (regime.kind, batch, regime.num_input_tokens, regime.num_output_tokens, regime.answer_length)
    if window.phase == "serve":
        return ("serve", None, None, None, None)
    return (
        "line_completion",
        read_config(record, "task.batch_size"),
        read_config(record, "task.context_length"),
        read_config(record, "task.max_answer_tokens"),
        None,
    )


def _sort_key(group: InferenceGroup) -> tuple[str, int, int, int, str]:
    sizes = (group.batch_size or 0, group.num_input_tokens or 0, group.num_output_tokens or 0)
    return (group.kind, *sizes, group.label)


def _as_int(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _or_any(count: int | None) -> str:
    return "any" if count is None else str(count)
