"""One row for each task that was asked: its answer, whether it was right, what it cost. A file beside the record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from harness.core.readings import Grade
from harness.core.strict import STRICT, StrictReader


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """One question and what came of it.

    `index` numbers the examples of a kind, `repetition` the times it was asked. `correct` is ``None`` where there is no
    answer to judge (`status` ``failed``, and `reason` says why). `energy_j` is the task's share of its window's gross
    energy by `energy_share` (``equal``: all tasks of the window cost the same; ``tokens``: by input and output tokens);
    the shares of a window add up to it. An engine answers all questions again and again until its windows are long
    enough: the row is then one of these passes, its share of the prefill window and of the decode window together.
    `seconds` is the task's own time where it has one (a server's request, from
    sending to the end), else its share of the window. `num_output_tokens` counts the tokens that were made,
    `answer_bytes` the bytes of UTF-8 of the text that was judged, which may be less than what was paid for: that is
    `made_bytes` of all new tokens, and `ended_bytes` of those up to the answer's own end, which is where a free answer
    stops (``None`` in files from before they were kept). The last fields belong to servers; `sent_s` counts from the
    start of the run.
    """

    __pydantic_config__ = STRICT
    kind: str
    index: int
    repetition: int
    status: Literal["answered", "failed"]
    prompt_sha256: str
    expected: str
    answer: str | None
    correct: bool | None
    num_input_tokens: int | None
    num_output_tokens: int | None
    answer_bytes: int | None
    energy_j: float | None
    energy_grade: Grade | None
    energy_share: Literal["equal", "tokens"] | None
    seconds: float | None
    reason: str | None = None
    sent_s: float | None = None
    ttft_s: float | None = None
    e2e_s: float | None = None
    num_tries: int | None = None
    http_status: int | None = None
    made_bytes: int | None = None
    ended_bytes: int | None = None


_READER = StrictReader(TaskResult)


def answers_to_jsonl(results: Iterable[TaskResult]) -> str:
    """Return one JSON object a line."""
    return "".join(f"{_READER.adapter.dump_json(result).decode()}\n" for result in results)


def answers_from_jsonl(text: str, source: str) -> list[TaskResult]:
    """Read what `answers_to_jsonl` wrote.

    Raises:
        RecordError: a line is no task result; the message names `source` and the line.
    """
    results = []
    # not splitlines: an answer may hold U+2028 and others that it takes for ends of lines
    lines = text.removesuffix("\n").split("\n") if text else []
    for number, line in enumerate(lines, start=1):
        results.append(_READER.read(line, f"{source}, line {number} is no task result"))
    return results
