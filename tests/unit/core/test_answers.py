"""Files of answers: whatever a model says can be read back."""

from __future__ import annotations

import pytest

from harness.core.answers import TaskResult, answers_from_jsonl, answers_to_jsonl
from harness.core.errors import RecordError

ROW = TaskResult(
    kind="sums", index=0, repetition=0, status="answered", prompt_sha256="0", expected="1", answer="1", correct=True,
    num_input_tokens=1, num_output_tokens=1, answer_bytes=1, energy_j=None, energy_grade=None, energy_share=None,
    seconds=1.0,
)  # fmt: skip


def _row(answer: str) -> TaskResult:
    return TaskResult(**{**{name: getattr(ROW, name) for name in ROW.__slots__}, "answer": answer})


def test_an_answer_with_any_sign_that_ends_a_line_somewhere_is_read_back() -> None:
    rows = [_row(f"a{sign}b") for sign in "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"]
    assert answers_from_jsonl(answers_to_jsonl(rows), "file") == rows
    assert answers_from_jsonl("", "file") == []


def test_a_broken_line_is_named() -> None:
    with pytest.raises(RecordError, match="file, line 2 is no task result"):
        answers_from_jsonl(answers_to_jsonl([ROW]) + "{}\n", "file")
