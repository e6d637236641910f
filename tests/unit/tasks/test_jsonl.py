"""The user's own questions: what a file may say, and one line for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.core.errors import ConfigError
from harness.core.task_config import KindConfig
from harness.tasks.questions import Question, is_correct
from harness.tasks.suite import build_suite

GOOD = '{"prompt": "2 + 2 =", "answer": "4"}'


def _build(path: Path, content: str | bytes, **fields: object) -> tuple[Question, ...]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    kind = KindConfig(name="jsonl", options={"path": str(path)}, **{"context_length": 0, **fields})  # type: ignore[arg-type]
    return build_suite({"mine": kind}, ())["mine"]


def test_a_file_is_read_in_order_with_all_its_scorings(tmp_path: Path) -> None:
    lines = [
        {"prompt": "2 + 2 =", "answer": "4"},
        {"prompt": "A year:", "answer": r"\d{4}", "scoring": "regex"},
        {"prompt": "A or B?", "answer": "B", "scoring": "choice", "choices": ["A", "B"]},
        {"prompt": "one;", "answer": "two\nthree", "stop": ";"},
        {"prompt": "a word", "answer": "word", "scoring": "word", "stop": ""},
    ]
    text = "\ufeff" + "\r\n\n".join(json.dumps(line) for line in lines)
    questions = _build(tmp_path / "q.jsonl", text)
    assert [question.prompt for question in questions] == [line["prompt"] for line in lines]
    assert [question.index for question in questions] == [0, 1, 2, 3, 4]
    assert questions[0].kind == "mine"
    given = [" 4\n5", "1999", " B \nA", "two\nthree;x", " word. more"]
    assert all(is_correct(question, text) for question, text in zip(questions, given, strict=True))
    assert [q.prompt for q in _build(tmp_path / "q.jsonl", text, num_examples=2)] == ["2 + 2 =", "A year:"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"q\.jsonl, line 3: no JSON"),
        ("[1]", "line 3: list, not an object with prompt and answer"),
        ('{"prompt": "x", "answer": ' + "1" * 5000 + "}", "line 3: no JSON that can be read"),
        ("[" * 100_000, "line 3: no JSON that can be read"),
        ('{"prompt": "x", "answer": "4", "stop": "\\ud800"}', "line 3: stop holds half a character"),
        ('{"prompt": "x", "answer": "a{99999999999999999999}", "scoring": "regex"}', "is no regular expression"),
        ('{"prompt": "x"}', "line 3: no answer"),
        ('{"answer": "x"}', "line 3: no prompt"),
        ('{"prompt": "x", "answer": 4}', "line 3: answer is 4; give a text"),
        ('{"prompt": " ", "answer": "4"}', "line 3: prompt is ' '; give a text"),
        ('{"prompt": "x", "answr": "4"}', "line 3: unknown key 'answr'.*Did you mean 'answer'"),
        ('{"prompt": "x", "answer": "4", "scoring": "regx"}', "line 3: scoring is 'regx'.*Did you mean 'regex'"),
        ('{"prompt": "x", "answer": "4", "scoring": ["exact"]}', r"line 3: scoring is \['exact'\]"),
        ('{"prompt": "x", "answer": "(", "scoring": "regex"}', r"line 3: answer '\(' is no regular expression"),
        ('{"prompt": "x", "answer": "4", "choices": ["4", "5"]}', 'line 3: choices belong to "scoring": "choice"'),
        ('{"prompt": "x", "answer": "4", "scoring": "choice"}', "line 3: choices is .*two or more"),
        (
            '{"prompt": "x", "answer": "4", "scoring": "choice", "choices": "45"}',
            "line 3: choices is '45'; give",
        ),
        (
            '{"prompt": "x", "answer": "4", "scoring": "choice", "choices": ["5", "6"]}',
            "line 3: answer '4' is not among the choices",
        ),
        (
            '{"prompt": "x", "answer": "4", "scoring": "choice", "choices": ["4", "4 "]}',
            "line 3: choices is .*two or more, each once",
        ),
        ('{"prompt": "x", "answer": "4", "stop": 4}', "line 3: stop is 4"),
        ('{"prompt": "x", "answer": "a\\nb"}', "line 3: answer .* holds the stop"),
        ('{"prompt": "x", "answer": "a b", "scoring": "word"}', "line 3: answer 'a b' is not one word"),
        ('{"prompt": "\\ud800", "answer": "a"}', "line 3: prompt holds half a character"),
        (b"\xff", "line 3: not UTF-8"),
        (json.dumps({"prompt": "x" * 400, "answer": "a"}), "line 3: the prompt has 400 bytes.*context_bytes is 384"),
    ],
)
def test_every_mistake_is_one_line_with_its_number(tmp_path: Path, line: str | bytes, message: str) -> None:
    raw = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(ConfigError, match=message) as caught:
        _build(tmp_path / "q.jsonl", GOOD.encode() + b"\n\n" + raw + b"\n")
    assert "\n" not in str(caught.value)


def test_missing_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no question; write lines like"):
        _build(tmp_path / "q.jsonl", "\n\n")
    kind = KindConfig(name="jsonl", options={"path": str(tmp_path / "none.jsonl")})
    with pytest.raises(ConfigError, match=r"mine\.options\.path .*none\.jsonl' cannot be read: No"):
        build_suite({"mine": kind}, ())
