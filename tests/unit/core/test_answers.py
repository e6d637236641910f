"""The file of answers: what was written comes back, whatever characters a model put out."""

from __future__ import annotations

import pytest

from harness.core.answers import TaskResult, answers_from_jsonl, answers_to_jsonl
from harness.core.errors import RecordError


def _row(answer: str) -> TaskResult:
    return TaskResult(
        kind="k", index=0, repetition=0, status="answered", prompt_sha256="0", expected="a", answer=answer,
        correct=False, num_input_tokens=1, num_output_tokens=1, answer_bytes=1, energy_j=None, energy_grade=None,
        energy_share=None, seconds=None,
    )  # fmt: skip


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x1c", "\x0b", "\x0c", "\r", "\n", "\0", "😀"])
def test_no_sign_in_an_answer_cuts_its_line(sign: str) -> None:
    rows = [_row(f"a{sign}b"), _row("c")]
    assert answers_from_jsonl(answers_to_jsonl(rows), "file") == rows


def test_no_answers_are_an_empty_file_and_a_broken_line_is_named() -> None:
    assert answers_from_jsonl(answers_to_jsonl([]), "file") == []
    with pytest.raises(RecordError, match="file, line 2 is no task result"):
        answers_from_jsonl(answers_to_jsonl([_row("a")]) + "{}\n", "file")
