"""The suite: the questions of every kind, and how much of a prompt is seen."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from harness.core.config import RunConfig
from harness.core.errors import ConfigError, DataError
from harness.core.task_config import KindConfig, TaskConfig
from harness.data.exercises import EXERCISES
from harness.data.tokenizer import ByteTokenizer, train_tokenizer
from harness.run.identity import identify_run
from harness.tasks.questions import Question, estimate_chance, is_correct
from harness.tasks.suite import KINDS, build_suite, check_suite, cut_prompt, encode_prompt
from harness.tasks.sweep import build_line_prompts

TEXT = "\n".join(f"def function_{i}(value, other):\n    return value + other * {i}\n" for i in range(40))
DOCUMENTS = [("b.py", TEXT), ("a.py", TEXT.replace("value", "item"))]
# Of the sixteen examples of 64 bytes that these documents gave before there was a suite.
GOLDEN_LINES = "7b1902d3e3a7eeacf6e11401d03031b180bc5281241419c45419e56f62487e43"
BYTES = ByteTokenizer()


def _kind(name: str, **fields: object) -> KindConfig:
    return KindConfig(name=name, **{"num_examples": 16, **fields})  # type: ignore[arg-type]


def _questions(name: str, **fields: object) -> tuple[Question, ...]:
    return build_suite({"own": _kind(name, **fields)}, DOCUMENTS)["own"]


def test_line_completion_asks_what_it_always_asked() -> None:
    """Prompts, answers and order are those of version 1, in and outside the suite."""
    kind = _kind("line_completion", context_length=64)
    questions = build_suite({"own": kind}, DOCUMENTS, BYTES.encode)["own"]
    text = json.dumps([[encode_prompt(BYTES.encode, question, 64), question.answer] for question in questions])
    assert hashlib.sha256(text.encode()).hexdigest() == GOLDEN_LINES
    alone = build_line_prompts(DOCUMENTS, BYTES.encode, num_prompts=16, context_length=64)
    assert json.dumps([[prompt.ids, prompt.question.answer] for prompt in alone]) == text
    assert all(is_correct(question, question.answer + "  \nmore") for question in questions)
    assert not any(is_correct(question, " " + question.answer) for question in questions)


@pytest.mark.parametrize("name", list(EXERCISES))
def test_prompts_of_a_generated_kind_are_equally_long_for_any_tokenizer(name: str) -> None:
    """With bytes and with a BPE that learned from these exercises, and whole exercises for those that cut by bytes."""
    questions = _questions(name)
    bpe = train_tokenizer("bpe", 600, [question.prompt for question in questions])
    for tokenizer in (BYTES, bpe):
        assert {len(encode_prompt(tokenizer.encode, question, 96)) for question in questions} == {96}
    word = questions[0].prompt.split(" ")[0]
    for question in questions:
        text = cut_prompt(question, 200)
        assert len(text.encode()) <= 200
        assert question.prompt.endswith(text)
        assert all(line.startswith(f"{word} ") for line in text.split("\n"))
        assert is_correct(question, f" {question.answer}\n{word}")


def test_questions_are_the_same_for_everyone_and_none_comes_twice() -> None:
    for name in EXERCISES:
        questions = _questions(name, num_examples=64)
        assert questions == _questions(name, num_examples=64)
        assert len({q.prompt.rpartition("\n")[2] for q in questions}) == 64
        assert [q.index for q in questions] == list(range(64))
        chance = estimate_chance(questions)
        assert chance is not None
        assert chance < 0.4


def test_chance_of_recall_is_a_guess_among_the_values_that_are_shown() -> None:
    questions = _questions("key_value_recall", num_examples=64, options={"num_pairs": 2})
    chance = estimate_chance(questions)
    assert chance is not None
    assert 0.5 <= chance < 0.6


def test_a_question_that_does_not_fit_is_refused_by_both_cuts() -> None:
    """Thirty brackets are sixty bytes: neither 40 tokens of bytes nor 40 bytes hold them."""
    question = _questions("bracket_matching", options={"length": 30}, max_answer_tokens=12)[0]
    with pytest.raises(DataError, match=r"does not fit into 40 tokens; raise task\.kinds\.own\.context_length"):
        encode_prompt(BYTES.encode, question, 40)
    with pytest.raises(DataError, match=r"does not fit into 40 bytes; raise task\.kinds\.own\.context_bytes"):
        cut_prompt(question, 40)


def test_an_answer_that_cannot_be_said_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"task\.kinds\.own\.max_answer_tokens is 5; give 9 or more"):
        _questions("sorting", max_answer_tokens=5)


def test_a_prompt_is_cut_at_a_line_or_between_characters() -> None:
    def cut(prompt: str, num_bytes: int) -> str:
        return cut_prompt(Question(kind="k", index=0, prompt=prompt, answer="a"), num_bytes)

    assert cut("one\ntwo\nthree", 100) == "one\ntwo\nthree"
    assert cut("one\ntwo\nthree", 9) == "two\nthree"
    assert cut("one\ntwo\nthree", 8) == "three"
    assert cut("one\ntwo\nthree", 5) == "three"
    assert cut("one\ntwo\nthree", 3) == "ree"
    assert cut("\u00e9\u00e9\u00e9", 3) == "\u00e9"
    assert cut("one\ntwo\n", 3) == "wo\n"


def test_whole_prompts_are_given_where_the_context_has_no_limit() -> None:
    question = Question(kind="k", index=0, prompt="abcdef", answer="a")
    assert encode_prompt(BYTES.encode, question, 0) == list(b"abcdef")
    assert encode_prompt(BYTES.encode, question, 2) == list(b"ef")


def test_shipped_kinds_can_all_be_asked_of_bytes(tmp_path: Path) -> None:
    """The registered kinds are the ones with a file, and their own numbers fit together."""
    (tmp_path / "q.jsonl").write_text('{"prompt": "2 + 2 =", "answer": "4"}\n')
    for name in KINDS:
        options = {"path": str(tmp_path / "q.jsonl")} if name == "jsonl" else {}
        check_suite(TaskConfig(kinds={"own": _kind(name, max_answer_tokens=14, options=options)}))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (_kind("line_complet"), "unknown task kind.*Did you mean 'line_completion'"),
        (_kind("line_completion", version=2), r"task\.kinds\.own\.version is 2; this isojoule has line_completion 1"),
        (_kind("line_completion", options={"a": 1}), "has no options"),
        (_kind("identifier_recall", version=7), r"version is 7"),
        (_kind("sorting", options={"length": 0}), r"task\.kinds\.own\.options\.length is 0"),
        (_kind("jsonl"), r"give task\.kinds\.own\.options\.path=FILE\.jsonl"),
    ],
)
def test_mistakes_are_found_before_anything_runs(kind: KindConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_suite(TaskConfig(kinds={"own": kind}))


def test_without_kinds_the_version_of_line_completion_is_checked() -> None:
    check_suite(TaskConfig())
    with pytest.raises(ConfigError, match=r"task\.version is 3"):
        check_suite(TaskConfig(version=3))


def test_a_changed_file_of_questions_makes_another_run(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"prompt": "2 + 2 =", "answer": "4"}\n')
    kind = _kind("jsonl", options={"path": str(path)})
    config = RunConfig(task=TaskConfig(kinds={"own": kind}))
    first = identify_run(config, "data")
    assert identify_run(config, "data") == first
    path.write_text('{"prompt": "2 + 2 =", "answer": "5"}\n')
    assert identify_run(config, "data") != first
    without = dataclasses.replace(config, task=dataclasses.replace(config.task, answer=False))
    path.unlink()
    identify_run(without, "data")


@pytest.mark.parametrize("name", ["sweep", "mixed", "suite"])
def test_a_kind_is_not_called_what_records_call_something_else(name: str) -> None:
    """Windows of a kind called ``sweep`` would be no kind's, and its accuracy nobody's."""
    with pytest.raises(ConfigError, match=rf"task.kinds.{name}: .*task.kinds.my_{name}"):
        check_suite(TaskConfig(kinds={name: _kind("arithmetic")}))


def test_too_little_text_names_the_setting_that_counts() -> None:
    """Prompts that are chosen by bytes do not get shorter by `context_length`."""
    kind = _kind("line_completion", num_examples=5000, context_length=64)
    with pytest.raises(DataError, match=r"task.kinds.own.context_bytes"):
        build_suite({"own": kind}, DOCUMENTS)
    with pytest.raises(DataError, match=r"task.kinds.own.context_length"):
        build_suite({"own": kind}, DOCUMENTS, BYTES.encode)
