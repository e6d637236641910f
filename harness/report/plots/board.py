"""The drawings of one page, made together where it is written: one process draws the wide ones, another the narrow.

Drawing is most of the time of a page of few runs. While a page is made a board is open: `put_up` keeps what is to be
drawn and returns a stand-in, which `finish` turns into the drawing. Without a board a drawing is made at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from markupsafe import Markup

from harness.core.beside import start_beside

Job = Callable[[], Markup]
_BOARD: ContextVar[DrawingBoard | None] = ContextVar("isojoule_drawing_board", default=None)


class Pending(Markup):
    """Stands for a drawing of the open board until the page is written."""


class DrawingBoard:
    """What one page draws, in order; each drawing is of parts (wide, narrow) that follow each other."""

    def __init__(self) -> None:
        self._jobs: dict[Pending, Sequence[Job]] = {}
        self._drawn: dict[Pending, Markup] = {}

    def put(self, jobs: Sequence[Job]) -> Pending:
        """Keep the parts of one drawing for later and return what stands for it."""
        pending = Pending(f"drawing {len(self._jobs) + len(self._drawn) + 1}")
        self._jobs[pending] = jobs
        return pending

    def finish(self, drawing: Markup) -> Markup:
        """Return the drawing that a stand-in is for, anything else as it is; draws all that waits at once."""
        if not isinstance(drawing, Pending):
            return drawing
        if drawing not in self._drawn:
            self._draw_all()
        return self._drawn[drawing]

    def draw_while(self, others_work: Callable[[], bool]) -> None:
        """Draw what waits, one after the other, for as long as another process works and this one would wait."""
        while self._jobs and others_work():
            pending = next(iter(self._jobs))
            self._drawn[pending] = Markup("").join(job() for job in self._jobs.pop(pending))

    def _draw_all(self) -> None:
        first = [jobs[0] for jobs in self._jobs.values()]
        others = [jobs[1:] for jobs in self._jobs.values()]
        beside = start_beside(lambda: [[job() for job in jobs] for jobs in others])
        drawn = [job() for job in first]
        for pending, wide, rest in zip(self._jobs, drawn, beside(), strict=True):
            self._drawn[pending] = Markup("").join((wide, *rest))
        self._jobs.clear()


def put_up(jobs: Sequence[Job]) -> Markup:
    """Return what stands for the drawing of these parts on the open board; the drawing itself where none is open."""
    board = _BOARD.get()
    return Markup("").join(job() for job in jobs) if board is None else board.put(jobs)


def draw_while(others_work: Callable[[], bool]) -> None:
    """Draw what waits on the open board for as long as another process works and this one would wait."""
    board = _BOARD.get()
    if board is not None:
        board.draw_while(others_work)


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
