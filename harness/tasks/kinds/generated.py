"""Questions of the generated kinds: held-out exercises, each after earlier ones of its kind as in training text."""

from __future__ import annotations

import random

from harness.core.errors import ConfigError
from harness.core.task_config import KindConfig
from harness.data.exercises.catalog import Exercises, build_exercises, draw_for_training, draw_held_out
from harness.tasks.kinds.kind import Documents, Encode, Kind
from harness.tasks.questions import Question

# No tokenizer makes a token of more characters out of exercises, whose signs stand apart.
_CHARS_PER_TOKEN = 8


def check_kind(kind: KindConfig, where: str) -> None:
    """Check the version and the options.

    Raises:
        ConfigError: another version, or an option that the kind does not take.
    """
    build_exercises(kind, where)


def build_questions(
    name: str,
    kind: KindConfig,
    where: str,
    documents: Documents,  # noqa: ARG001 - the same call for every kind
    encode: Encode | None,  # noqa: ARG001 - any tokenizer gets the same text
) -> list[Question]:
    """Return `kind.num_examples` different questions, the same for everyone who asks with these options.

    Raises:
        ConfigError: another version, an unknown option, or answers that `max_answer_tokens` cuts short.
        DataError: too few held-out exercises.
    """
    exercises = build_exercises(kind, where)
    rng = random.Random(f"questions:{kind.name}:{exercises.version}")
    asked = draw_held_out(exercises, rng, kind.num_examples, where)
    longest = max(len(exercise.answer) for exercise in asked)
    if kind.max_answer_tokens < longest + 2:
        raise ConfigError(
            f"{where}.max_answer_tokens is {kind.max_answer_tokens}; give {longest + 2} or more, so that the longest "
            "answer and the end of its line fit where a token is a byte."
        )
    num_chars = max(_CHARS_PER_TOKEN * kind.context_length, kind.context_bytes)
    return [
        Question(
            kind=name,
            index=index,
            prompt=_earlier_lines(exercises, rng, num_chars, where) + exercise.question,
            answer=exercise.answer,
            choices=exercise.choices,
            needed_chars=len(exercise.question),
        )
        for index, exercise in enumerate(asked)
    ]


def _earlier_lines(exercises: Exercises, rng: random.Random, num_chars: int, where: str) -> str:
    """Return exercises of the training side, of `num_chars` characters at least."""
    lines: list[str] = []
    length = 0
    while length < num_chars:
        lines.append(draw_for_training(exercises, rng, where).line)
        length += len(lines[-1])
    return "".join(lines)


KIND = Kind(check_kind, build_questions)
