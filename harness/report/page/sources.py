"""Where numbers came from, said once: sets of runs are numbered as a page is made, and numbers name the set.

A number that rests on thousands of runs cannot list them. While a page is made, a book is open: `cite_runs` puts each
distinct set of runs into it and returns a short token (``§3``); the page carries the book, and its script and any
reader of its markup can resolve the token.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_BOOK: ContextVar[SourceBook | None] = ContextVar("isojoule_source_book", default=None)


class SourceBook:
    """The sets of runs that the numbers of one page rest on, numbered from 1 in order of first use."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int] = {}
        # Results hold their run ids in tuples that many numbers share: a set that was seen is not sorted again.
        self._seen: dict[int, tuple[tuple[str, ...], str]] = {}

    def cite(self, run_ids: Iterable[str]) -> str:
        """Return the token of a set of two runs or more; fewer are named."""
        known = self._seen.get(id(run_ids))
        if known is not None and known[0] is run_ids:
            return known[1]
        token = self._cite(tuple(sorted(set(run_ids))))
        if isinstance(run_ids, tuple):
            self._seen[id(run_ids)] = run_ids, token
        return token

    def to_json(self) -> dict[str, Any]:
        """Return all run ids in order and, for each set, its ranges of indices into them (``0-12,15``)."""
        ids = sorted(set().union(*self._numbers))
        places = {run_id: place for place, run_id in enumerate(ids)}
        return {"runs": ids, "sets": [_write_ranges(sorted(places[run] for run in runs)) for runs in self._numbers]}

    def _cite(self, ids: tuple[str, ...]) -> str:
        if len(ids) < 2:
            return name_runs(ids)
        return f"§{self._numbers.setdefault(ids, len(self._numbers) + 1)}"


def cite_runs(run_ids: Iterable[str]) -> str:
    """Return the source line for `run_ids`: a token of the open book, or the ids themselves where none is open."""
    book = _BOOK.get()
    return name_runs(sorted(set(run_ids))) if book is None else book.cite(run_ids)


def name_runs(ids: Iterable[str]) -> str:
    """Return the source line that names each run."""
    return f"runs: {listed}" if (listed := ", ".join(ids)) else "no runs"


@contextmanager
def open_book() -> Iterator[SourceBook]:
    """Open a new book until the block ends."""
    book = SourceBook()
    token = _BOOK.set(book)
    try:
        yield book
    finally:
        _BOOK.reset(token)


def current_book() -> SourceBook:
    """Return the open book, or an empty one."""
    return _BOOK.get() or SourceBook()


def with_sources(render: Callable[P, R]) -> Callable[P, R]:
    """Open a book around a function that makes and renders a page, so that it stays a pure function."""

    @functools.wraps(render)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with open_book():
            return render(*args, **kwargs)

    return wrapped


def _write_ranges(places: list[int]) -> str:
    parts = []
    for _, group in itertools.groupby(enumerate(places), key=lambda pair: pair[1] - pair[0]):
        found = [place for _, place in group]
        parts.append(str(found[0]) if len(found) == 1 else f"{found[0]}-{found[-1]}")
    return ",".join(parts)
