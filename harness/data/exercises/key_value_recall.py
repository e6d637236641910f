"""Keys with values, then keys looked up: ``recall b Q k F x M : x M k F``. The value of the last one is asked."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from typing import ClassVar

from harness.core.options import whole_number
from harness.data.exercises.exercise import Exercise

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValueRecall:
    """`num_pairs` different small letters, each with one of `num_values` capital letters (a value may come twice).

    `num_lookups` keys are looked up, each drawn anew; all but the last stand with their values in the question.
    """

    version: ClassVar[int] = VERSION
    num_pairs: int = whole_number(4, 2, 26)
    num_values: int = whole_number(26, 2, 26)
    num_lookups: int = whole_number(1, 1, 64)

    def draw(self, rng: random.Random) -> Exercise:
        """Return one exercise."""
        keys = rng.sample(string.ascii_lowercase, self.num_pairs)
        values = rng.choices(string.ascii_uppercase[: self.num_values], k=self.num_pairs)
        pairs = [f"{key} {value}" for key, value in zip(keys, values, strict=True)]
        *earlier, asked = (rng.randrange(self.num_pairs) for _ in range(self.num_lookups))
        question = " ".join(["recall", *pairs, ":", *(pairs[index] for index in earlier), keys[asked]])
        return Exercise(question, values[asked], choices=tuple(sorted(set(values))))
