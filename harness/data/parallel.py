"""Pieces of work over processes, with progress on standard error."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Self, TypeVar

from harness.core.errors import DataError

# Up to here a process of its own costs more time than it saves.
ALONE_BYTES = 32 << 20
_QUIET_S = 1.0
_LINE_EVERY_S = 10.0

Job = TypeVar("Job")
Result = TypeVar("Result")


def count_workers(asked: int) -> int:
    """Return how many processes work: `asked`, or one for each core that this process may use."""
    if asked:
        return asked
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run_jobs(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    sizes: Sequence[int],
    *,
    num_workers: int,
    label: str,
) -> list[Result]:
    """Return ``function(job)`` of each job in order; both must be picklable. `sizes` weigh the jobs for the progress.

    Little work, one worker, or a caller that may start no process of its own: all stays in this process.

    Raises:
        DataError: a worker died.
    """
    progress = ProgressOf(label, sum(sizes))
    workers = min(count_workers(num_workers), len(jobs)) if sum(sizes) > ALONE_BYTES else 1
    if workers <= 1 or multiprocessing.current_process().daemon:
        with progress:
            return [progress.step(function(job), size) for job, size in zip(jobs, sizes, strict=True)]
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        with progress:
            futures = [pool.submit(function, job) for job in jobs]
            for future, size in zip(futures, sizes, strict=True):
                progress.step(future.result(), size)
        return [future.result() for future in futures]
    except BrokenProcessPool as error:
        raise DataError(
            f"a process of {label} died; the same command goes on from what is done, and data.num_workers=1 needs no "
            "other process and the least memory (a script of yours must have its main part under __main__)."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class ProgressOf:
    """Progress that shows nothing in the first second: then a bar on a terminal, and a line now and then in a log."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total, self._done = label, total, 0
        self._began = self._said = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, result: Result, size: int) -> Result:
        """Count `size` as done and return `result`."""
        self._done += size
        now = time.monotonic()
        if now - self._began > _QUIET_S:
            self._show(now)
        return result

    def count(self, items: Iterator[Result], size_of: Callable[[Result], int]) -> Iterator[Result]:
        """Yield `items`, counting each one as done when it comes."""
        for item in items:
            yield self.step(item, size_of(item))

    def _show(self, now: float) -> None:
        if sys.stderr.isatty() and self._total:
            if self._bar is None:
                self._bar = _start_bar(self._label, self._total)
            self._bar.update(self._bar.task_ids[0], completed=self._done)
        elif self._said == self._began or now - self._said > _LINE_EVERY_S:
            self._said = now
            share = (
                f"{self._done / self._total:.0%} of {self._total / 1e6:.0f} MB"
                if self._total
                else (f"{self._done / 1e6:.0f} MB")
            )
            print(f"{self._label}: {share} after {now - self._began:.0f} s", file=sys.stderr, flush=True)


def _start_bar(label: str, total: int) -> Any:
    from rich.console import Console  # noqa: PLC0415 - not needed by a run whose corpus is there
    from rich.progress import Progress  # noqa: PLC0415

    bar = Progress(console=Console(stderr=True), transient=True)
    bar.add_task(label, total=total)
    bar.start()
    return bar


def _end_with_parent() -> None:
    """Let the library's own threads rest, since each core has a process, and end when the parent is killed."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait_for, args=(parent.sentinel,), daemon=True).start()


def _wait_for(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)  # from a thread nothing else ends the process
