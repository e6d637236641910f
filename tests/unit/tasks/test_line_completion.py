"""Line completion: the same examples for everyone, exact match on the rest of the line."""

from __future__ import annotations

import pytest

from harness.core.errors import DataError
from harness.data.tokenizer import ByteTokenizer
from harness.tasks.line_completion import binomial_stderr, build_examples, count_correct

TEXT = "\n".join(f"def function_{i}(value, other):\n    return value + other * {i}\n" for i in range(40))


def _build(num_examples: int = 16) -> list:
    documents = [("b.py", TEXT), ("a.py", TEXT.replace("value", "item"))]
    return build_examples(documents, ByteTokenizer(), num_examples=num_examples, context_length=64)


def test_prompt_and_answer_continue_each_other_in_a_held_out_file() -> None:
    tokenizer = ByteTokenizer()
    for example in _build():
        prompt = tokenizer.decode(example.prompt)
        assert len(example.prompt) == 64
        assert prompt + example.answer + "\n" in TEXT or prompt + example.answer + "\n" in TEXT.replace("value", "item")
        assert "\n" not in example.answer
        assert example.answer.strip()


def test_examples_do_not_depend_on_the_order_of_documents() -> None:
    again = build_examples(
        [("a.py", TEXT.replace("value", "item")), ("b.py", TEXT)], ByteTokenizer(), num_examples=16, context_length=64
    )
    assert again == _build()


def test_only_the_exact_rest_of_the_line_counts() -> None:
    tokenizer = ByteTokenizer()
    examples = _build(3)
    right = [tokenizer.encode(example.answer + "\nand more") for example in examples]
    assert count_correct(tokenizer, right, examples) == 3
    wrong = [tokenizer.encode(example.answer + "x\n") for example in examples]
    assert count_correct(tokenizer, wrong, examples) == 0


def test_too_little_text_is_said() -> None:
    with pytest.raises(DataError, match="num_examples"):
        _build(1000)


def test_standard_error_of_nothing_right_is_not_zero() -> None:
    assert binomial_stderr(0, 32) > 0.03
    assert binomial_stderr(200, 400) == pytest.approx(0.025, rel=0.01)
