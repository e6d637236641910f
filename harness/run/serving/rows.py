"""From the outcomes of a server run to a row for each request, and to the accuracy of each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.core.answers import TaskResult
from harness.core.readings import Finding
from harness.core.records import QualityReading
from harness.core.task_config import KindConfig
from harness.run.serving.energy import EnergyShares
from harness.run.serving.plan import PlannedRequest
from harness.serving.outcome import Outcome
from harness.tasks.answer import hash_questions
from harness.tasks.line_completion import binomial_stderr
from harness.tasks.questions import Question, cut_answer, estimate_chance, is_correct


def build_rows(
    planned: Sequence[PlannedRequest], outcomes: Sequence[Outcome], shares: EnergyShares, origin_s: float
) -> list[TaskResult]:
    """Return a row for each request that was sent, in the order of sending; `sent_s` counts from `origin_s`."""
    return [
        _build_row(planned[outcome.index], outcome, energy_j, shares, origin_s)
        for outcome, energy_j in zip(outcomes, shares.energies_j, strict=True)
    ]


def judge_answers(
    suite: Mapping[str, Sequence[Question]],
    kinds: Mapping[str, KindConfig],
    rows: Sequence[TaskResult],
) -> tuple[list[QualityReading], list[Finding]]:
    """Return the accuracy of each kind over its questions with an answer, each question once, and what was left out.

    Of a question that was asked several times the first answer counts: repeats of a greedy answer are no new evidence.
    """
    readings, findings = [], []
    for name, questions in suite.items():
        asked = {row.index for row in rows if row.kind == name}
        first: dict[int, bool] = {}
        for row in rows:
            if row.kind == name and row.correct is not None:
                first.setdefault(row.index, row.correct)
        num_correct, num_answered = sum(first.values()), len(first)
        readings.append(
            QualityReading(
                metric="exact_match",
                value=num_correct / num_answered if num_answered else None,
                stderr=binomial_stderr(num_correct, num_answered) if num_answered else None,
                num_samples=num_answered,
                higher_is_better=True,
                task=name,
                task_version=kinds[name].version,
                data_sha256=hash_questions(questions),
                reason=None if num_answered else "no question of this kind was answered",
                chance=estimate_chance(questions),
            )
        )
        if len(asked) > num_answered:
            text = f"questions of {name} were sent and never answered; its accuracy is over the others"
            value = float(len(asked) - num_answered)
            findings.append(Finding(code="questions_unanswered", severity="warning", text=text, value=value, limit=0.0))
    return readings, findings


def count_correct(rows: Sequence[TaskResult]) -> int:
    """Return how many requests got a right answer."""
    return sum(row.correct is True for row in rows)


def _build_row(
    request: PlannedRequest, outcome: Outcome, energy_j: float | None, shares: EnergyShares, origin_s: float
) -> TaskResult:
    question = request.question
    given = cut_answer(question, outcome.text) if outcome.answered else None
    reason = None
    if not outcome.answered:
        reason = f"{outcome.cause}: {outcome.reason}"
    elif energy_j is None:
        reason = shares.reason
    return TaskResult(
        kind=question.kind,
        index=question.index,
        repetition=request.repetition,
        status="answered" if outcome.answered else "failed",
        prompt_sha256=question.prompt_sha256,
        expected=question.answer,
        answer=given,
        correct=is_correct(question, outcome.text) if outcome.answered else None,
        num_input_tokens=outcome.usage.input_tokens if outcome.usage is not None else None,
        num_output_tokens=outcome.num_output_tokens,
        answer_bytes=len(given.encode()) if given is not None else None,
        energy_j=energy_j,
        energy_grade=shares.grade if energy_j is not None else None,
        energy_share=shares.share if energy_j is not None else None,
        seconds=outcome.e2e_s,
        reason=reason,
        sent_s=outcome.sent_s - origin_s,
        ttft_s=outcome.ttft_s,
        e2e_s=outcome.e2e_s,
        num_tries=outcome.num_tries,
        http_status=outcome.http_status,
        made_bytes=len(outcome.text.encode()) if outcome.answered else None,
    )
