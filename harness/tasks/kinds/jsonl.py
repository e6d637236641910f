"""The user's own questions: one JSON object a line, ``{"prompt": ..., "answer": ...}``.

Optional keys: `scoring` (``exact``, ``regex``, ``choice`` or ``word``, see `harness.tasks.questions.Question`),
`choices` (with ``choice``), `stop` (the text that ends an answer; a new line unless given, and "" for none). Empty
lines are passed over.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError, did_you_mean
from harness.core.options import build_options
from harness.core.plain_json import read_bytes
from harness.core.task_config import KindConfig
from harness.data.exercises.catalog import require_version
from harness.tasks.kinds.kind import Documents, Encode, Kind
from harness.tasks.questions import STOP, Question

TASK_VERSION = 1
SCORINGS = ("exact", "regex", "choice", "word")
_KEYS = ("prompt", "answer", "scoring", "choices", "stop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Jsonl:
    """`path` of the file; relative to the folder in which the command is run."""

    path: str = ""


def check_kind(kind: KindConfig, where: str) -> None:
    """Read the file and check every line that is asked.

    Raises:
        ConfigError: another version, an unknown option, a file that cannot be read, or the first line with a mistake.
    """
    build_questions("", kind, where, (), None)


def hash_file(kind: KindConfig, where: str) -> str:
    """Return the SHA-256 of the file's bytes.

    Raises:
        ConfigError: it cannot be read.
    """
    return hashlib.sha256(_read(kind, where)).hexdigest()


def build_questions(
    name: str,
    kind: KindConfig,
    where: str,
    documents: Documents,  # noqa: ARG001 - the same call for every kind
    encode: Encode | None,  # noqa: ARG001 - any tokenizer gets the same text
) -> list[Question]:
    """Return the file's first `kind.num_examples` questions, or all where it has fewer.

    Raises:
        ConfigError: another version, an unknown option, a file that cannot be read, or the first line with a mistake.
    """
    require_version(kind, TASK_VERSION, where)
    raw = _read(kind, where)
    path = kind.options["path"]
    try:
        lines = raw.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        bad_line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {bad_line}: not UTF-8; save the file as UTF-8.") from error
    questions: list[Question] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if len(questions) == kind.num_examples:
            break
        question = _read_question(line, name, len(questions), f"{path}, line {number}")
        size = len(question.prompt.encode())
        if size > kind.context_bytes:
            raise ConfigError(
                f"{path}, line {number}: the prompt has {size} bytes, {where}.context_bytes is {kind.context_bytes}; "
                "raise it, prompts of a file are never cut."
            )
        questions.append(question)
    if not questions:
        raise ConfigError(f'{path} has no question; write lines like {{"prompt": "2 + 2 =", "answer": "4"}}.')
    return questions


def _read(kind: KindConfig, where: str) -> bytes:
    path = build_options(Jsonl, kind.options, f"{where}.options").path
    if not path:
        raise ConfigError(f"{where} needs your file: give {where}.options.path=FILE.jsonl.")
    try:
        return read_bytes(Path(path))
    except OSError as error:
        raise ConfigError(f"{where}.options.path '{path}' cannot be read: {error.strerror}.") from error


def _read_question(line: str, name: str, index: int, where: str) -> Question:
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}: no JSON ({error.msg}, column {error.colno}).") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: no JSON that can be read ({error}).") from error
    if not isinstance(fields, dict):
        raise ConfigError(f"{where}: {type(fields).__name__}, not an object with prompt and answer.")
    for key in fields:
        if key not in _KEYS:
            raise ConfigError(f"{where}: unknown key '{key}'; known: {', '.join(_KEYS)}.{did_you_mean(key, _KEYS)}")
    prompt, answer = _text(fields, "prompt", where), _text(fields, "answer", where)
    scoring = fields.get("scoring", "exact")
    if scoring not in SCORINGS:
        nearest = did_you_mean(str(scoring), SCORINGS)
        raise ConfigError(f"{where}: scoring is {scoring!r}; it is one of {', '.join(SCORINGS)}.{nearest}")
    stop = fields.get("stop", STOP)
    if not isinstance(stop, str):
        raise ConfigError(f'{where}: stop is {stop!r}; give a text, or "" for none.')
    _check_signs(stop, "stop", where)
    choices = _choices(fields, scoring, answer, where)
    question = Question(
        kind=name,
        index=index,
        prompt=prompt,
        answer=answer,
        scoring=scoring,
        choices=choices,
        stop=stop,
        needed_chars=len(prompt),
    )
    _check_answer(question, where)
    return question


def _text(fields: dict[str, Any], key: str, where: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where}: {key} is {value!r}; give a text." if key in fields else f"{where}: no {key}.")
    _check_signs(value, key, where)
    return value


def _check_signs(value: str, key: str, where: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{where}: {key} holds half a character (a lone surrogate).") from error


def _choices(fields: dict[str, Any], scoring: str, answer: str, where: str) -> tuple[str, ...]:
    choices = fields.get("choices", [])
    if scoring != "choice":
        if choices:
            raise ConfigError(f'{where}: choices belong to "scoring": "choice"; scoring is "{scoring}".')
        return ()
    if not isinstance(choices, list) or not all(isinstance(choice, str) and choice.strip() for choice in choices):
        raise ConfigError(f"{where}: choices is {choices!r}; give a list of texts.")
    stripped = [choice.strip() for choice in choices]
    if len(set(stripped)) < 2 or len(set(stripped)) < len(stripped):
        raise ConfigError(f"{where}: choices is {choices!r}; give two or more, each once.")
    if answer.strip() not in stripped:
        raise ConfigError(f"{where}: answer {answer!r} is not among the choices {choices!r}.")
    return tuple(stripped)


def _check_answer(question: Question, where: str) -> None:
    """Check that the answer can be given at all."""
    if question.scoring == "regex":
        try:
            re.compile(question.answer)
        except (re.error, OverflowError, RecursionError) as error:
            raise ConfigError(f"{where}: answer {question.answer!r} is no regular expression: {error}.") from error
        return
    if question.scoring == "word" and re.fullmatch(r"\w+", question.answer) is None:
        raise ConfigError(f"{where}: answer {question.answer!r} is not one word, as scoring word asks.")
    if question.stop and question.stop in question.answer.strip():
        raise ConfigError(f"{where}: answer {question.answer!r} holds the stop {question.stop!r}; give another stop.")


KIND = Kind(check_kind, build_questions)
