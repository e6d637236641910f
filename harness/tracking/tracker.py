"""Progress of runs, kept while they are measured and written to the trackers between them; no tracker breaks a run.

While a run is under way its events are only kept, thinned to a few thousand numbers: the parent shares the machine
with the measured process, so nothing is imported, written or sent inside a window. When the record is there, each
tracker writes the run in a thread of its own. One that raises, or takes longer than `TIME_LIMIT_S`, is named in one
line and left out from then on.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib import util
from pathlib import Path
from typing import Any

from harness.core.config import RunConfig
from harness.core.errors import ConfigError
from harness.core.records import RunRecord
from harness.core.terminal import escape_controls
from harness.tracking.metrics import collect_metrics, collect_params, collect_tags
from harness.tracking.sink import MODULES, SINKS, MissingSinkError, Point, Sink, TrackedRun

TIME_LIMIT_S = 60.0
MAX_POINTS = 2000
FOLDER = "tracking"

MakeSink = Callable[[Path], Sink]


def check_sinks(names: Sequence[str]) -> None:
    """Check, without importing them, that the trackers of `names` are known and installed.

    Raises:
        ConfigError: one is unknown, is named twice, or is not installed.
    """
    for name in names:
        if name not in SINKS:
            SINKS.get(name)
        if list(names).count(name) > 1:
            raise ConfigError(f"track names {name} twice; name each once.")
        if util.find_spec(MODULES[name]) is None:
            raise MissingSinkError(
                f"track={name}: {MODULES[name]} is not installed; pip install 'isojoule[track]', or leave it out."
            )


class Tracker:
    """Takes the events and records of the runs of one command; used by one thread."""

    def __init__(self, names: Sequence[str], root: Path, makers: dict[str, MakeSink] | None = None) -> None:
        self._root = root / FOLDER
        self._makers = {name: SINKS.get(name) if makers is None else makers[name] for name in names}
        self._workers: dict[str, _Worker] = {}
        self._points: list[Point] = []
        self._stride = 1
        self._num_seen = 0

    def begin(self) -> None:
        """Forget the events of the run before."""
        self._points, self._stride, self._num_seen = [], 1, 0

    def on_event(self, event: dict[str, Any], tokens_per_step: int) -> None:
        """Keep a progress event of the worker: the training loss in bits per byte at so many tokens."""
        if not self._makers or event.get("event") != "progress":
            return
        loss, done = event.get("loss"), event.get("done")
        if not isinstance(loss, int | float) or not isinstance(done, int | float):
            return
        self._num_seen += 1
        if self._num_seen % self._stride:
            return
        values = {"train_bits_per_byte": float(loss)}
        self._points.append(Point(step=int(done * tokens_per_step), time_s=time.time(), values=values))
        if len(self._points) >= MAX_POINTS:
            self._points, self._stride = self._points[1::2], self._stride * 2

    def end(self, config: RunConfig, record: RunRecord) -> None:
        """Write a run that ended to every tracker that still works, and wait for them."""
        if not self._makers:
            return
        try:
            run = self._describe(config, record)
        except Exception as error:  # noqa: BLE001 - tracking never breaks a run
            _warn(f"tracking left out {record.run_id}: {_say(error)}")
            return
        for name, maker in list(self._makers.items()):
            if name not in self._workers:
                self._workers[name] = _Worker(maker, self._root / name)
            self._workers[name].put(run)
        deadline = time.monotonic() + TIME_LIMIT_S
        for name in list(self._makers):
            problem = self._workers[name].wait(max(0.0, deadline - time.monotonic()))
            if problem is not None:
                _warn(f"tracking to {name} ends here, the runs go on: {problem}")
                del self._makers[name], self._workers[name]

    def close(self) -> None:
        """Let the trackers end; one that does not is left behind."""
        for worker in self._workers.values():
            worker.put(None)
        deadline = time.monotonic() + TIME_LIMIT_S
        for name, worker in self._workers.items():
            problem = worker.wait(max(0.0, deadline - time.monotonic()))
            if problem is not None:
                _warn(f"tracking to {name} did not end well: {problem}")
        self._workers = {}

    def _describe(self, config: RunConfig, record: RunRecord) -> TrackedRun:
        last = self._points[-1].step if self._points else 0
        return TrackedRun(
            run_id=record.run_id,
            study=record.study,
            is_finished=record.status == "finished",
            params=collect_params(config),
            tags=collect_tags(record),
            points=tuple(self._points),
            metrics=collect_metrics(record),
            last_step=last,
            end_s=time.time(),
        )


class _Worker:
    """One tracker in a thread that no one waits for at the end of the program."""

    def __init__(self, make: MakeSink, folder: Path) -> None:
        self._todo: queue.SimpleQueue[TrackedRun | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, args=(make, folder), daemon=True).start()

    def put(self, run: TrackedRun | None) -> None:
        """Ask for a run to be written; ``None``: for the end."""
        self._todo.put(run)

    def wait(self, time_limit_s: float) -> str | None:
        """Return what went wrong with the last thing asked for, ``None`` where nothing did."""
        try:
            return self._done.get(timeout=time_limit_s)
        except queue.Empty:
            return f"no answer within {TIME_LIMIT_S:.0f} s"

    def _work(self, make: MakeSink, folder: Path) -> None:
        sink: Sink | None = None
        while True:
            run = self._todo.get()
            try:
                if run is None:
                    if sink is not None:
                        sink.close()
                else:
                    sink = make(folder) if sink is None else sink
                    sink.write(run)
            except BaseException as error:  # noqa: BLE001 - SystemExit of a library too; the caller names it
                self._done.put(_say(error))
                return
            self._done.put(None)
            if run is None:
                return


def _say(error: BaseException) -> str:
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _warn(text: str) -> None:
    print(f"isojoule: {escape_controls(text)}", file=sys.stderr, flush=True)
