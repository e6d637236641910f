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


Place = tuple[Pending, int]  # a drawing, and which of its parts


class DrawingBoard:
    """What one page draws, in order; each drawing is of parts (wide, narrow) that follow each other."""

    def __init__(self) -> None:
        self._parts: dict[Pending, list[Markup]] = {}
        self._waiting: dict[Place, Job] = {}
        self._begun: list[tuple[Sequence[Place], SharedJobs[Markup]]] = []

    def put(self, jobs: Sequence[Job]) -> Pending:
        """Keep the parts of one drawing for later and return what stands for it."""
        pending = Pending(f"drawing {len(self._parts) + 1}")
        self._parts[pending] = [Markup()] * len(jobs)
        self._waiting |= {(pending, number): job for number, job in enumerate(jobs)}
        return pending

    def finish(self, drawing: Markup) -> Markup:
        """Return the drawing that a stand-in is for, anything else as it is; draws all that waits at once."""
        if not isinstance(drawing, Pending):
            return drawing
        self.begin()
        while self._begun:
            places, shared = self._begun.pop(0)
            for (pending, number), part in zip(places, shared.finish(), strict=True):
                self._parts[pending][number] = part
        return Markup("").join(self._parts[drawing])

    def begin(self) -> None:
        """Have what waits drawn beside this process."""
        if self._waiting:
            self._begun.append((tuple(self._waiting), SharedJobs(tuple(self._waiting.values()))))
            self._waiting = {}

    def draw_while(self, others_work: Callable[[], bool]) -> None:
        """Draw what waits, part by part, for as long as another process works and this one would wait."""
        while self._waiting and others_work():
            pending, number = place = next(iter(self._waiting))
            self._parts[pending][number] = self._waiting.pop(place)()


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
