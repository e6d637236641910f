"""Identifier recall: where it cuts, what it asks, and that the name was seen."""

from __future__ import annotations

import pytest

from harness.core.errors import ConfigError, DataError
from harness.core.task_config import KindConfig
from harness.data.tokenizer import ByteTokenizer
from harness.tasks.kinds.identifier_recall import IdentifierRecall, _places
from harness.tasks.questions import Question, is_correct
from harness.tasks.suite import build_suite, encode_prompt

TEXT = "".join(
    f"def method_{i}(self, table_{i}):\n"
    f"    first_{i} = table_{i}.copy()\n"
    f"    for entry in table_{i}:\n"
    f"        yield first_{i}  # return first_{i}\n"
    f"    for other in table_{i}:\n"
    f"        print(other)\n\n"
    for i in range(60)
)


def _questions(text: str = TEXT, **fields: object) -> tuple[Question, ...]:
    defaults = {"num_examples": 6, "max_answer_tokens": 14}
    kind = KindConfig(name="identifier_recall", **{**defaults, **fields})  # type: ignore[arg-type]
    return build_suite({"own": kind}, [("a.py", text)], ByteTokenizer().encode)["own"]


def test_the_name_was_seen_within_the_context_behind_the_same_word() -> None:
    for question in _questions():
        seen = bytes(encode_prompt(ByteTokenizer().encode, question, 96)).decode()
        lead = seen.split(" ")[-1]
        assert f"{lead} {question.answer}" in seen
        assert question.prompt[-question.needed_chars :].startswith(f"{lead} {question.answer}")
        assert f"{question.prompt} {question.answer}" in TEXT
        assert question.answer.startswith("table_")


def test_the_answer_ends_where_the_name_ends() -> None:
    question = _questions()[0]
    assert is_correct(question, f" {question.answer}:\n        more")
    assert is_correct(question, f" {question.answer}")
    assert not is_correct(question, f" {question.answer}x:")
    assert not is_correct(question, f" {question.answer}_2")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("return value\nreturn value\n", ["value"]),
        ("return value\nreturn  value\n", []),  # two spaces
        ("x(value)\nx(value)\n", []),  # no space in front
        ("# return value\nreturn value\n", []),  # seen in a comment only
        ('"""return value"""\nreturn value\n', []),  # seen in a string only
        ("return value\nyield value\n", []),  # another word in front
        ("return None\nreturn None\nreturn print\nreturn print\n", []),  # keyword, built-in
        ("return abc\nreturn abc\n", []),  # too short
        ("return value\nreturn value", ["value"]),  # the file ends with it
        (
            "a = '\u2028\u00e9'; return value\r\nreturn value\n",
            ["value"],
        ),  # no line ends
        ("(return value\nreturn value\n", []),  # not Python
        ("return valu\u00e9\nreturn valu\u00e9\n", []),
    ],
)
def test_what_is_asked(text: str, names: list[str]) -> None:
    assert [name for _, name, _ in _places(text, IdentifierRecall(), 100)] == names


def test_an_earlier_use_too_far_back_is_not_asked() -> None:
    text = f"return value\n{'x = 1' + chr(10)}{'y = 2' + chr(10)}return value\n"
    assert [needed for _, _, needed in _places(text, IdentifierRecall(), 31)] == [31]
    assert list(_places(text, IdentifierRecall(), 30)) == []


def test_settings_that_cut_names_short_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"max_answer_tokens is 8; give 14 or more"):
        _questions(max_answer_tokens=8)
    with pytest.raises(ConfigError, match="above max_name_chars"):
        _questions(options={"min_name_chars": 13})


def test_too_few_places_are_said() -> None:
    with pytest.raises(DataError, match=r"give \d+ questions of task\.kinds\.own, 500 were asked for"):
        _questions(num_examples=500)
