"""What a module of a kind offers the suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from harness.core.task_config import KindConfig
from harness.tasks.questions import Question

Encode = Callable[[str], list[int]]
Documents = Sequence[tuple[str, str]]


class BuildQuestions(Protocol):
    """Builds the questions of one kind."""

    def __call__(
        self, name: str, kind: KindConfig, where: str, documents: Documents, encode: Encode | None
    ) -> list[Question]:
        """Return the questions of `kind`, which the user called `name` and types as `where`.

        Raises:
            ConfigError, DataError: what is wrong, and what to type instead.
        """


class Kind(NamedTuple):
    """`check` looks at version, options and files before anything runs; `build` gives the questions."""

    check: Callable[[KindConfig, str], None]
    build: BuildQuestions
