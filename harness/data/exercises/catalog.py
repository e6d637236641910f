"""Generated kinds by name, and drawing from them on either side: for training text, or to be asked."""

from __future__ import annotations

import random
from typing import ClassVar, Protocol

from harness.core.errors import ConfigError, DataError
from harness.core.options import build_options
from harness.core.registry import Registry
from harness.core.task_config import KindConfig
from harness.data.exercises.exercise import HELD_OUT_SHARE, Exercise, is_held_out

EXERCISES = Registry(
    "generated kind",
    {
        "arithmetic": "harness.data.exercises.arithmetic:Arithmetic",
        "key_value_recall": "harness.data.exercises.key_value_recall:KeyValueRecall",
        "sorting": "harness.data.exercises.sorting:Sorting",
        "bracket_matching": "harness.data.exercises.bracket_matching:BracketMatching",
    },
)
_TRIES_PER_QUESTION = 200
_MIN_TRIES = 2_000


class Exercises(Protocol):
    """A source of exercises; its fields are the options, and `version` is that of what it draws."""

    version: ClassVar[int]

    def draw(self, rng: random.Random) -> Exercise:
        """Return one exercise of either side."""


def build_exercises(kind: KindConfig, where: str) -> Exercises:
    """Return the source that `kind` describes; `where` is what the user calls it (``task.kinds.arithmetic``).

    Raises:
        ConfigError: a name that is not generated, another version, or an option that it does not take.
    """
    exercises_type = EXERCISES.get(kind.name)
    require_version(kind, exercises_type.version, where)
    exercises: Exercises = build_options(exercises_type, kind.options, f"{where}.options")
    return exercises


def require_version(kind: KindConfig, version: int, where: str) -> None:
    """Check that this is the version of the kind that the configuration asks for.

    Raises:
        ConfigError: it is another.
    """
    if kind.version != version:
        raise ConfigError(f"{where}.version is {kind.version}; this isojoule has {kind.name} {version}.")


def draw_for_training(exercises: Exercises, rng: random.Random, where: str) -> Exercise:
    """Return an exercise that is never asked.

    Raises:
        DataError: these options give none.
    """
    for _ in range(_MIN_TRIES):
        exercise = exercises.draw(rng)
        if not is_held_out(exercise):
            return exercise
    raise DataError(f"{where}: every exercise of these options is held out; give {where}.options more to draw from.")


def draw_held_out(exercises: Exercises, rng: random.Random, number: int, where: str) -> list[Exercise]:
    """Return `number` different exercises that are never in training text.

    Raises:
        DataError: these options do not give as many.
    """
    found: dict[str, Exercise] = {}
    for _ in range(_MIN_TRIES + number * _TRIES_PER_QUESTION):
        exercise = exercises.draw(rng)
        if is_held_out(exercise):
            found.setdefault(exercise.question, exercise)
            if len(found) == number:
                return list(found.values())
    raise DataError(
        f"{where} has only {len(found)} different held-out exercises ({HELD_OUT_SHARE:.0%} of all), {number} are asked "
        f"for; lower {where}.num_examples, or give {where}.options more to draw from."
    )
