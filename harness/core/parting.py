"""The end of a command that holds millions of objects: the system takes its memory back at once.

Taking ten thousand records apart, object by object, takes a second and gives nobody anything. A program says that it
`parts_at_once`; from then on `hold_to_the_end` keeps what would be taken apart, and `leave` ends the process as it is.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_HELD: ContextVar[list[object] | None] = ContextVar("isojoule_held_to_the_end", default=None)


@contextmanager
def parts_at_once() -> Iterator[None]:
    """Say of the block that the process ends with it, by `leave`."""
    token = _HELD.set([])
    try:
        yield
    finally:
        _HELD.reset(token)


def hold_to_the_end(*values: object) -> None:
    """Keep `values` until the process ends where it ends with this work, else do nothing.

    What was held before is let go: only the last work of a process is not worth taking apart.
    """
    held = _HELD.get()
    if held is not None:
        held[:] = values
        gc.freeze()


def leave(exit_code: int) -> int:
    """End the process with `exit_code` where something is held, after all that others registered for its end.

    Returns `exit_code` where nothing is held, or output cannot be written: the usual end says so.
    """
    if not _HELD.get():
        return exit_code
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return exit_code
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no other way to end as others asked for
    os._exit(exit_code)
