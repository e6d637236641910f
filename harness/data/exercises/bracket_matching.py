"""The brackets that close what is open, innermost first: ``close ( [ ] { ( = ) } )``."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from harness.core.options import whole_number
from harness.data.exercises.exercise import Exercise

VERSION = 1
_PAIRS = ("()", "[]", "{}", "<>")
_CLOSE_SHARE = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketMatching:
    """`length` brackets or one less, of `num_types` types, at most `max_depth` open at once and one or more at the end.

    One less in half of the draws, since an even number of brackets leaves an even number open.
    """

    version: ClassVar[int] = VERSION
    length: int = whole_number(8, 1, 256)
    max_depth: int = whole_number(4, 1, 32)
    num_types: int = whole_number(3, 1, len(_PAIRS))

    def draw(self, rng: random.Random) -> Exercise:
        """Return one exercise."""
        is_open: list[str] = []
        while not is_open:
            written: list[str] = []
            for _ in range(rng.randint(max(1, self.length - 1), self.length)):
                if is_open and (len(is_open) == self.max_depth or rng.random() < _CLOSE_SHARE):
                    written.append(is_open.pop())
                else:
                    pair = rng.choice(_PAIRS[: self.num_types])
                    written.append(pair[0])
                    is_open.append(pair[1])
        return Exercise(f"close {' '.join(written)} =", " ".join(reversed(is_open)))
