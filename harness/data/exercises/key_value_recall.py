"""Keys with values, then one of the keys: ``recall b Q k F x M : k F``. Nothing but the line gives the answer."""

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
    """`num_pairs` different small letters, each with one of `num_values` capital letters (a value may come twice)."""

    version: ClassVar[int] = VERSION
    num_pairs: int = whole_number(4, 2, 26)
    num_values: int = whole_number(26, 2, 26)

    def draw(self, rng: random.Random) -> Exercise:
        """Return one exercise."""
        keys = rng.sample(string.ascii_lowercase, self.num_pairs)
        values = rng.choices(string.ascii_uppercase[: self.num_values], k=self.num_pairs)
        asked = rng.randrange(self.num_pairs)
        pairs = " ".join(f"{key} {value}" for key, value in zip(keys, values, strict=True))
        return Exercise(f"recall {pairs} : {keys[asked]}", values[asked])
