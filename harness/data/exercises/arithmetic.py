"""Sums and differences of whole numbers, digit by digit: ``calc 4 7 + 8 5 = 1 3 2``."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from harness.core.options import some_of, whole_number
from harness.data.exercises.exercise import Exercise

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """`num_operands` numbers, each drawn evenly from 0 to `max_operand`, joined by operators drawn from `operators`."""

    version: ClassVar[int] = VERSION
    num_operands: int = whole_number(2, 2, 8)
    max_operand: int = whole_number(99, 1, 999_999)
    operators: str = some_of("+", "+-")

    def draw(self, rng: random.Random) -> Exercise:
        """Return one exercise."""
        result = rng.randint(0, self.max_operand)
        written = [_spell(result)]
        for _ in range(self.num_operands - 1):
            operator, operand = rng.choice(self.operators), rng.randint(0, self.max_operand)
            result += operand if operator == "+" else -operand
            written += [operator, _spell(operand)]
        return Exercise(f"calc {' '.join(written)} =", _spell(result))


def _spell(number: int) -> str:
    """Return the sign and digits of `number` with spaces between them."""
    return " ".join(str(number))
