"""One row for each task that was asked: its answer, whether it was right, what it cost. A file beside the record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from harness.core.errors import RecordError
from harness.core.readings import Grade
from harness.core.strict import Amount, Count, Integer, Real, StrictReader, StrictValue


class TaskResult(StrictValue, frozen=True, kw_only=True):
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

    kind: str
    index: Integer
    repetition: Integer
    status: Literal["answered", "failed"]
    prompt_sha256: str
    expected: str
    answer: str | None
    correct: bool | None
    num_input_tokens: Count | None
    num_output_tokens: Count | None
    answer_bytes: Count | None
    energy_j: Real | None
    energy_grade: Grade | None
    energy_share: Literal["equal", "tokens"] | None
    seconds: Amount | None
    reason: str | None = None
    sent_s: Real | None = None
    ttft_s: Real | None = None
    e2e_s: Real | None = None
    num_tries: Count | None = None
    http_status: Integer | None = None
    made_bytes: Count | None = None
    ended_bytes: Count | None = None


_READER = StrictReader(TaskResult)


def answers_to_jsonl(results: Iterable[TaskResult]) -> str:
    """Return one JSON object a line.

    Raises:
        RecordError: a result holds what may not stand in it, such as a number that is not finite.
    """
    try:
        return "".join(f"{_READER.to_json(result)}\n" for result in results)
    except ValueError as error:
        raise RecordError(f"the answers cannot be written: {error}") from error


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
