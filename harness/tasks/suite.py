"""The task suite: kinds by name, their questions, and how much of a prompt an engine or a server sees. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from harness.core.errors import ConfigError, DataError
from harness.core.registry import Registry
from harness.core.task_config import KindConfig, TaskConfig
from harness.tasks.kinds import jsonl
from harness.tasks.kinds.kind import Encode
from harness.tasks.line_completion import require_task_version
from harness.tasks.questions import Question

# What windows of a sweep, and of batches of all kinds, are called in a record: no kind of the user's may be.
RESERVED = ("mixed", "suite", "sweep")
KINDS = Registry(
    "task kind",
    {
        "line_completion": "harness.tasks.kinds.line_completion:KIND",
        "identifier_recall": "harness.tasks.kinds.identifier_recall:KIND",
        "arithmetic": "harness.tasks.kinds.generated:KIND",
        "key_value_recall": "harness.tasks.kinds.generated:KIND",
        "sorting": "harness.tasks.kinds.generated:KIND",
        "bracket_matching": "harness.tasks.kinds.generated:KIND",
        "jsonl": "harness.tasks.kinds.jsonl:KIND",
    },
)


def check_suite(task: TaskConfig) -> None:
    """Check versions, options and the user's own files of what is asked, before anything runs.

    Raises:
        ConfigError: a kind, version or option that does not exist, a name that records use otherwise, or a mistake in a
            file of the user's.
    """
    if not task.kinds:
        require_task_version(task)
        return
    for name, kind in task.kinds.items():
        if name in RESERVED:
            raise ConfigError(
                f"{_where(name)}: '{name}' names something else in records; call it otherwise, such as "
                f"task.kinds.my_{name}."
            )
        KINDS.get(kind.name).check(kind, _where(name))


def build_suite(
    kinds: Mapping[str, KindConfig], documents: Sequence[tuple[str, str]], encode: Encode | None = None
) -> dict[str, tuple[Question, ...]]:
    """Return the questions of each kind, the same whatever model or seed asks.

    `documents` are the held-out files (name, text). With `encode` only prompts that fill `context_length` tokens of
    that tokenizer are taken (line completion: the same as outside a suite), as an engine whose prompts are equally long
    needs; without, those that fill `context_bytes`.

    Raises:
        ConfigError: a kind, version or option that does not exist, or a mistake in a file of the user's.
        DataError: a kind does not give as many questions as it is asked for.
    """
    return {
        name: tuple(KINDS.get(kind.name).build(name, kind, _where(name), documents, encode))
        for name, kind in kinds.items()
    }


def encode_prompt(encode: Encode, question: Question, context_length: int) -> list[int]:
    """Return the last `context_length` token ids of the prompt (0: all of them).

    Raises:
        DataError: what the question cannot be answered without is longer than that.
    """
    ids = encode(question.prompt)
    if context_length == 0 or len(ids) <= context_length:
        return ids
    if question.needed_chars and len(encode(question.prompt[-question.needed_chars :])) > context_length:
        raise DataError(
            f"question {question.index} of {question.kind} does not fit into {context_length} tokens; raise "
            f"{_where(question.kind)}.context_length (0: whole prompts), or ask shorter questions."
        )
    return ids[-context_length:]


def cut_prompt(question: Question, context_bytes: int) -> str:
    """Return at most the last `context_bytes` bytes of the prompt, from the start of a line where there is one.

    A prompt whose last line is longer, or that cannot be answered from whole lines, is cut between two characters; one
    that cannot be answered then either is refused.

    Raises:
        DataError: what the question cannot be answered without is longer than `context_bytes`.
    """
    prompt = question.prompt
    raw = prompt.encode(errors="surrogateescape")
    if len(raw) <= context_bytes:
        return prompt
    tail = raw[-context_bytes:]
    at_line_start = raw[-context_bytes - 1 : -context_bytes] == b"\n"
    _, newline, lines = tail.partition(b"\n")
    if at_line_start:
        text = tail.decode(errors="surrogateescape")
    elif newline and lines:
        text = lines.decode(errors="surrogateescape")
    else:
        text = tail.decode(errors="ignore")
    if len(text) < question.needed_chars:
        text = tail.decode(errors="ignore")
    if len(text) < question.needed_chars:
        raise DataError(
            f"question {question.index} of {question.kind} does not fit into {context_bytes} bytes; raise "
            f"{_where(question.kind)}.context_bytes, or ask shorter questions."
        )
    return text


def identify_files(kinds: Mapping[str, KindConfig]) -> str:
    """Return a hash of the user's own files that are asked, part of a run's identity; empty where there are none.

    Raises:
        ConfigError: a file that cannot be read.
    """
    hashes = {name: jsonl.hash_file(kind, _where(name)) for name, kind in kinds.items() if kind.name == "jsonl"}
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest() if hashes else ""


def _where(name: str) -> str:
    return f"task.kinds.{name}"
