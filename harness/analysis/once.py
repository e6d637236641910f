"""What is worked out once a record: a page asks for the same costs at many losses and seeds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from harness.core.records import RunRecord

T = TypeVar("T")
# By function, identity of the record and other arguments, where a block asked for results to be kept.
_KEPT: ContextVar[dict[tuple[Any, ...], tuple[RunRecord, Any]] | None] = ContextVar("isojoule_kept", default=None)


@contextmanager
def measure_once() -> Iterator[None]:
    """Keep the results of all functions that are `once` until the block ends."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def once(function: Callable[..., T]) -> Callable[..., T]:
    """Work `function` out once for a record and its other arguments, given by place, inside a `measure_once` block.

    Nobody changes what it returns: the next one who asks gets the same object.
    """

    @functools.wraps(function)
    def ask(record: RunRecord, *arguments: Any) -> T:
        kept = _KEPT.get()
        if kept is None:
            return function(record, *arguments)
        key = (function, id(record), *arguments)
        if key not in kept:  # the record is kept beside its result, so that no other one gets its id
            kept[key] = record, function(record, *arguments)
        result: T = kept[key][1]
        return result

    return ask
