"""One exercise, and which side it is on: training text, or questions that are never trained on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

# The share of all exercises of a kind that never stands in training text.
HELD_OUT_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Exercise:
    """A question and its answer; together one line. Signs stand apart, so that every tokenizer cuts at the same places.

    `question` ends without a space, `answer` begins without one: the space between them belongs to the answer's first
    token in tokenizers that put spaces in front of words. `choices` are the answers among which someone would guess who
    sees the question and cannot solve it, where there are such.
    """

    question: str
    answer: str
    choices: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """Return the exercise as it stands in training text, newline included."""
        return f"{self.question} {self.answer}\n"


def is_held_out(exercise: Exercise) -> bool:
    """Return whether this exercise is for asking only: by the SHA-256 of its line, whatever options or seed drew it."""
    digest = hashlib.sha256(exercise.line.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < HELD_OUT_SHARE
