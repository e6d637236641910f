"""The trackers of a run, in the parent: the measured process does not know of them."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.core.config import RunConfig
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.tracking.tracker import Tracker, check_sinks
from harness.train.schedule import tokens_per_step

OnEvent = Callable[[dict[str, Any]], None]
# One tracker for each store and set of names, so that a library is imported once a command.
_trackers: dict[tuple[str, ...], Tracker] = {}


@dataclass(slots=True)
class TrackedJob:
    """A run under way and its tracker; `record` is set when the run ended."""

    tracker: Tracker | None
    tokens_per_step: int
    record: RunRecord | None = None

    def relay(self, on_event: OnEvent | None) -> OnEvent | None:
        """Return what takes events of the worker for `on_event` and for the trackers."""
        tracker = self.tracker
        if tracker is None:
            return on_event

        def take(event: dict[str, Any]) -> None:
            tracker.on_event(event, self.tokens_per_step)
            if on_event is not None:
                on_event(event)

        return take


@contextmanager
def track_run(names: list[str], config: RunConfig, store: Store) -> Iterator[TrackedJob]:
    """Keep the progress of one run inside the block, and write the run to its trackers after it.

    Raises:
        ConfigError: a tracker is unknown or not installed.
    """
    if not names:
        yield TrackedJob(None, 0)
        return
    check_sinks(names)
    key = (str(store.root), *names)
    if key not in _trackers:
        _trackers[key] = Tracker(names, store.root)
        atexit.register(_trackers[key].close)
    tracker = _trackers[key]
    tracker.begin()
    job = TrackedJob(tracker, tokens_per_step(config.train))
    yield job
    if job.record is not None:
        tracker.end(config, job.record)
