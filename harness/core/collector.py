"""Python's collector of cycles, held back while many records are made: they hold none, and it would look at all."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pause_collector() -> Iterator[None]:
    """Hold the collector of cycles back inside the block; nested blocks and a collector that is off stay as they are.

    Memory that no cycle holds is freed as always, by counting references.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
