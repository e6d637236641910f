"""The drawings of one page, made together where it is written, by this process and a copy of it.

Drawing is most of the time of a page of few runs. While a page is made a board is open: `put_up` keeps what is to be
drawn and returns a stand-in, which `finish` turns into the drawing. Without a board a drawing is made at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from markupsafe import Markup

from harness.core.shared_jobs import SharedJobs

Job = Callable[[], Markup]
_BOARD: ContextVar[DrawingBoard | None] = ContextVar("isojoule_drawing_board", default=None)


class Pending(Markup):
    """Stands for a drawing of the open board until the page is written."""


class DrawingBoard:
    """What one page draws, in order; each drawing is of parts (wide, narrow) that follow each other."""

    def __init__(self) -> None:
        self._num_put = 0
        self._jobs: dict[Pending, Sequence[Job]] = {}
        self._begun: tuple[dict[Pending, Sequence[Job]], SharedJobs[Markup]] | None = None
        self._drawn: dict[Pending, Markup] = {}

    def put(self, jobs: Sequence[Job]) -> Pending:
        """Keep the parts of one drawing for later and return what stands for it."""
        self._num_put += 1
        pending = Pending(f"drawing {self._num_put}")
        self._jobs[pending] = jobs
        return pending

    def finish(self, drawing: Markup) -> Markup:
        """Return the drawing that a stand-in is for, anything else as it is; draws all that waits at once."""
        if not isinstance(drawing, Pending):
            return drawing
        if drawing not in self._drawn:
            self._end()
        if drawing not in self._drawn:
            self.begin()
            self._end()
        return self._drawn[drawing]

    def begin(self) -> None:
        """Have what waits drawn beside this process."""
        if self._jobs:
            self._end()
            jobs, self._jobs = self._jobs, {}
            self._begun = jobs, SharedJobs([job for parts in jobs.values() for job in parts])

    def draw_while(self, others_work: Callable[[], bool]) -> None:
        """Draw what waits, one after the other, for as long as another process works and this one would wait."""
        while self._jobs and others_work():
            pending = next(iter(self._jobs))
            self._drawn[pending] = Markup("").join(job() for job in self._jobs.pop(pending))

    def _end(self) -> None:
        """Help with what was begun, and take it."""
        if self._begun is None:
            return
        (jobs, shared), self._begun = self._begun, None
        drawn = iter(shared.finish())
        for pending, parts in jobs.items():
            self._drawn[pending] = Markup("").join(next(drawn) for _ in parts)


def put_up(jobs: Sequence[Job]) -> Markup:
    """Return what stands for the drawing of these parts on the open board; the drawing itself where none is open."""
    board = _BOARD.get()
    return Markup("").join(job() for job in jobs) if board is None else board.put(jobs)


def draw_while(others_work: Callable[[], bool]) -> None:
    """Draw what waits on the open board for as long as another process works and this one would wait."""
    board = _BOARD.get()
    if board is not None:
        board.draw_while(others_work)


def begin_drawing() -> None:
    """Have what waits on the open board drawn beside this process, which goes on with other work."""
    board = _BOARD.get()
    if board is not None:
        board.begin()


def finish(drawing: Markup) -> Markup:
    """Return the drawing behind a stand-in of the open board; anything else is a drawing already."""
    board = _BOARD.get()
    return drawing if board is None else board.finish(drawing)


@contextmanager
def open_board() -> Iterator[None]:
    """Open a new board until the block ends, or around each call of a function, which so stays pure."""
    token = _BOARD.set(DrawingBoard())
    try:
        yield
    finally:
        _BOARD.reset(token)
