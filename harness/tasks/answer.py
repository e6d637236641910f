"""Ask questions and judge the answers, whoever runs the model: repeated windows, one row for each question asked."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.core.answers import TaskResult
from harness.core.inference import Regime
from harness.core.readings import Finding, worst_grade
from harness.core.records import QualityReading
from harness.tasks.engine import AnswerEngine
from harness.tasks.line_completion import binomial_stderr
from harness.tasks.passes import (
    Answered,
    Job,
    OpenWindow,
    Prompt,
    WindowSlot,
    decode_once,
    measure_decode,
    measure_prefill,
    split_batches,
    text_of,
    warm_up,
)
from harness.tasks.questions import Question, cut_answer, estimate_chance, is_correct

# Batches smaller than this share of what was asked for are worth a word: another batch, another energy.
SMALL_BATCH_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """How a kind is asked: `kind` names its regime, ``None`` for line completion on its own, whose windows have none.

    Windows last `min_window_s` at least and are repeated `repetitions` times. With `free` answers each repetition has
    two more windows, in which answers end where they end (never after more than `num_new_tokens`). Answers of one token
    are made by prefill: they have no windows ``decode``.
    """

    kind: str | None
    batch_size: int
    num_new_tokens: int
    repetitions: int = 1
    min_window_s: float = 2.0
    free: bool = False


@dataclass(frozen=True, slots=True)
class Answers:
    """What came of the questions of one kind: one row for each question and repetition, in order, and findings.

    Windows are where `open_window` left them. `num_correct` is that of the distinct questions (repeats of a greedy
    answer are no new evidence).
    """

    results: tuple[TaskResult, ...]
    num_correct: int
    num_questions: int
    findings: tuple[Finding, ...] = ()


def answer_questions(
    engine: AnswerEngine, prompts: Sequence[Prompt], settings: AnswerSettings, open_window: OpenWindow
) -> Answers:
    """Answer all `prompts` in batches, in a ``prefill`` and a ``decode`` window for each repetition.

    A window holds whole passes over all prompts, so that every question weighs the same. Answers are of fixed length:
    the energy of a task does not depend on what a model says; what is judged is the text up to an answer's own end.
    Each row has the cost of one pass: an equal share of the prefill window and of the decode window.
    """
    batches = split_batches(prompts, settings.batch_size, equal_lengths=engine.needs_equal_lengths)
    job = Job(
        engine=engine,
        batches=batches,
        num_new_tokens=settings.num_new_tokens,
        min_window_s=settings.min_window_s,
        open_window=open_window,
        regime=_regime(prompts, settings, free=False),
    )
    warm_up(job)
    results: list[TaskResult] = []
    for repetition in range(settings.repetitions):
        states, prefilled = measure_prefill(job, repetition)
        if settings.num_new_tokens > 1:
            outputs, decoded = measure_decode(job, states, repetition)
        else:
            outputs, decoded = decode_once(job, states), None
        results += _rows(job, outputs, repetition, [slot for slot in (prefilled, decoded) if slot is not None])
        del states
        if settings.free and settings.kind is not None:
            _answer_freely(job, prompts, settings, repetition)
    num_correct = sum(row.correct is True for row in results if row.repetition == 0)
    return Answers(tuple(results), num_correct, len(prompts), _find_small_batches(batches, prompts, settings))


def judge_answers(answers: Answers, prompts: Sequence[Prompt], *, task: str, task_version: int) -> QualityReading:
    """Return the share of right answers with its standard error and what chance would reach.

    Its `data_sha256` is that of the questions themselves: readings are of the same data where the same was asked.
    """
    questions = [prompt.question for prompt in prompts]
    return QualityReading(
        metric="exact_match",
        value=answers.num_correct / answers.num_questions,
        stderr=binomial_stderr(answers.num_correct, answers.num_questions),
        num_samples=answers.num_questions,
        higher_is_better=True,
        task=task,
        task_version=task_version,
        data_sha256=hash_questions(questions),
        chance=estimate_chance(questions),
    )


def hash_questions(questions: Sequence[Question]) -> str:
    """Return the hash of prompts and expected answers: equal only where the same was asked."""
    digest = hashlib.sha256()
    for question in questions:
        digest.update(f"{question.prompt_sha256}\0{question.answer}\0{question.scoring}\0".encode(errors="replace"))
    return digest.hexdigest()


def _answer_freely(job: Job, prompts: Sequence[Prompt], settings: AnswerSettings, repetition: int) -> None:
    free = replace(job, regime=_regime(prompts, settings, free=True), free=True)
    states, _ = measure_prefill(free, repetition)
    if settings.num_new_tokens > 1:
        measure_decode(free, states, repetition)


def _regime(prompts: Sequence[Prompt], settings: AnswerSettings, *, free: bool) -> Regime | None:
    if settings.kind is None:
        return None
    lengths = {len(prompt.ids) for prompt in prompts}
    return Regime(
        kind=settings.kind,
        batch_size=min(settings.batch_size, len(prompts)),
        num_input_tokens=lengths.pop() if len(lengths) == 1 else None,
        num_output_tokens=settings.num_new_tokens,
        answer_length="free" if free else "fixed",
    )


def _rows(job: Job, outputs: Sequence[Answered], repetition: int, slots: Sequence[WindowSlot]) -> list[TaskResult]:
    """Return the rows of one repetition in the order of the questions; a window's cost is shared equally."""
    energy_j = _share([slot.energy_j for slot in slots], slots)
    seconds = _share([slot.duration_s for slot in slots], slots)
    grades = [slot.energy_grade for slot in slots if slot.energy_grade is not None]
    rows = []
    for batch, answers in zip(job.batches, outputs, strict=True):
        for prompt, ids in zip(batch, answers, strict=True):
            question = prompt.question
            text = text_of(job.engine, question, ids)
            given = cut_answer(question, text)
            row = TaskResult(
                kind=question.kind,
                index=question.index,
                repetition=repetition,
                status="answered",
                prompt_sha256=question.prompt_sha256,
                expected=question.answer,
                answer=given,
                correct=is_correct(question, text),
                num_input_tokens=len(prompt.ids),
                num_output_tokens=len(ids),
                answer_bytes=_count_bytes(given),
                energy_j=energy_j,
                energy_grade=worst_grade(*grades) if energy_j is not None and grades else None,
                energy_share="equal" if energy_j is not None else None,
                seconds=seconds,
                reason=None if energy_j is not None else "the energy of a window is unknown",
                made_bytes=_count_bytes(job.engine.decode_text(ids)),
                ended_bytes=_count_bytes(text),
            )
            rows.append(row)
    return sorted(rows, key=lambda row: row.index)


def _count_bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


def _share(totals: Sequence[float | None], slots: Sequence[WindowSlot]) -> float | None:
    """Return one task's part of several windows; ``None`` where one of them is unknown."""
    parts = [
        total / slot.work.num_tasks
        for total, slot in zip(totals, slots, strict=True)
        if total is not None and slot.work is not None
    ]
    return math.fsum(parts) if len(parts) == len(slots) else None


def _find_small_batches(
    batches: Sequence[Sequence[Prompt]], prompts: Sequence[Prompt], settings: AnswerSettings
) -> tuple[Finding, ...]:
    """Return a finding where prompts of unequal length left batches much smaller than asked for."""
    mean = len(prompts) / len(batches)
    limit = SMALL_BATCH_SHARE * min(settings.batch_size, len(prompts))
    if settings.kind is None or mean >= limit:
        return ()
    text = f"{settings.kind}: batches were smaller than asked for on average, since prompts of one are equally long"
    return (Finding(code="small_batches", severity="info", text=text, value=mean, limit=settings.batch_size),)
