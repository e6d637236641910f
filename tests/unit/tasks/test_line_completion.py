"""Line completion: the same examples for everyone, exact match on the rest of the line."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.core.errors import DataError
from harness.core.task_config import KindConfig
from harness.data.tokenizer import ByteTokenizer
from harness.tasks.kinds.line_completion import build_questions
from harness.tasks.line_completion import binomial_stderr
from harness.tasks.questions import Question, is_correct

TEXT = "\n".join(f"def function_{i}(value, other):\n    return value + other * {i}\n" for i in range(40))
DOCUMENTS = [("b.py", TEXT), ("a.py", TEXT.replace("value", "item"))]


def _build(num_examples: int = 16, documents: Sequence[tuple[str, str]] = DOCUMENTS) -> list[Question]:
    kind = KindConfig(name="line_completion", num_examples=num_examples, context_length=64, context_bytes=1)
    return build_questions("lines", kind, "task.kinds.lines", documents, ByteTokenizer().encode)


def test_prompt_and_answer_continue_each_other_in_a_held_out_file() -> None:
    for question in _build():
        assert len(question.prompt) >= 64
        assert any(question.prompt + question.answer + "\n" in text for _, text in DOCUMENTS)
        assert "\n" not in question.answer
        assert question.answer.strip()


def test_questions_do_not_depend_on_the_order_of_documents() -> None:
    assert _build(documents=DOCUMENTS[::-1]) == _build()


def test_only_the_exact_rest_of_the_line_counts() -> None:
    for question in _build(3):
        assert is_correct(question, question.answer + "\nand more")
        assert not is_correct(question, question.answer + "x\n")


def test_too_little_text_is_said() -> None:
    with pytest.raises(DataError, match="num_examples"):
        _build(1000)


def test_standard_error_of_nothing_right_is_not_zero() -> None:
    assert binomial_stderr(0, 32) > 0.03
    assert binomial_stderr(200, 400) == pytest.approx(0.025, rel=0.01)
