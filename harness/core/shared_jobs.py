"""Jobs that this process and a copy of it take one after the other, each of them whichever is free first."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from harness.core.beside import start_beside

Result = TypeVar("Result")
_NUMBER_BYTES = 2
# What is written at once is never split, and so is no number when two processes read them.
_MOST_SHARED = 4096 // _NUMBER_BYTES


class SharedJobs(Generic[Result]):
    """Begins `jobs`, which change nothing here, in a copy of this process; `finish` helps with those that are left.

    Where there is no copy, or it dies, all jobs are done here.
    """

    def __init__(self, jobs: Sequence[Callable[[], Result]]) -> None:
        self._jobs = tuple(jobs)
        self._queue, queue_end = os.pipe()
        numbers = range(min(len(self._jobs), _MOST_SHARED))
        os.write(queue_end, b"".join(number.to_bytes(_NUMBER_BYTES, "little") for number in numbers))
        os.close(queue_end)
        self._beside = start_beside(self._take)

    def finish(self) -> list[Result]:
        """Return the results in the order of the jobs, once; an exception of a job is raised here."""
        try:
            done = self._take() | self._beside()
        finally:
            os.close(self._queue)
        return [done[number] if number in done else job() for number, job in enumerate(self._jobs)]

    def _take(self) -> dict[int, Result]:
        """Do jobs until none is left that nobody has taken; return the results by their numbers."""
        done: dict[int, Result] = {}
        while taken := os.read(self._queue, _NUMBER_BYTES):
            number = int.from_bytes(taken, "little")
            done[number] = self._jobs[number]()
        return done
