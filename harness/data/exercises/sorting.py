"""Numbers in rising order: ``sort 5 2 9 2 = 2 2 5 9``."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from harness.core.options import whole_number
from harness.data.exercises.exercise import Exercise

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorting:
    """`length` numbers, each drawn evenly from 0 to `max_value`; equal numbers stay side by side."""

    version: ClassVar[int] = VERSION
    length: int = whole_number(4, 2, 64)
    max_value: int = whole_number(9, 1, 999_999)

    def draw(self, rng: random.Random) -> Exercise:
        """Return one exercise."""
        numbers = [rng.randint(0, self.max_value) for _ in range(self.length)]
        return Exercise(f"sort {_join(numbers)} =", _join(sorted(numbers)))


def _join(numbers: list[int]) -> str:
    return " ".join(str(number) for number in numbers)
