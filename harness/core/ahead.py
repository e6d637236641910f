"""What is worked out of records while others are still read: reading keeps one core busy, and the other waits."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from harness.core.beside import Beside, start_beside
from harness.core.records import RunRecord

Result = TypeVar("Result")
Work = Callable[[Sequence[RunRecord]], Result]
# A copy holds all that was read before, so there are few of them; what the last one does is waited for.
STRIDE = 2000


class Ahead(Generic[Result]):
    """Does `work`, which changes nothing here, for each `stride` records in turn, beside this process.

    Whoever reads calls `see` with each record, then `close`; `results` are in the order of the records.
    """

    def __init__(self, work: Work[Result], stride: int = STRIDE) -> None:
        self._work = work
        self._stride = stride
        self._seen: list[RunRecord] = []
        self._begun: list[Beside[Result]] = []

    def see(self, record: RunRecord) -> None:
        """Take one more record."""
        self._seen.append(record)
        if len(self._seen) == self._stride:
            self.close()

    def close(self) -> None:
        """Begin the work for what was seen and not begun."""
        if self._seen:
            seen, self._seen = self._seen, []
            self._begun.append(start_beside(functools.partial(self._work, seen), len(seen)))

    def results(self) -> list[Result]:
        """Wait for the results of all strides, once."""
        self.close()
        return [beside() for beside in self._begun]
