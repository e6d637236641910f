"""Finding the processes that make runs: workers by the log they write to, and the command or job behind them."""

from __future__ import annotations

from pathlib import Path

import psutil

from harness.core.store import Store
from harness.run.worker import FORK_FLAG

_MODULE = "harness.run.worker"


def workers_of(store: Store, part: str = "") -> list[psutil.Process]:
    """Return the living workers of `store` whose run id holds `part`."""
    found = []
    for process in psutil.process_iter():
        try:
            log = Path(f"/proc/{process.pid}/fd/2").readlink() if is_worker(process) else None
        except (psutil.Error, OSError):
            continue
        if log is not None and log.is_relative_to(store.root.resolve()) and part in log.name:
            found.append(process)
    return found


def is_worker(process: psutil.Process) -> bool:
    """Return whether `process` makes a run: forks have their server's command line, and so have their samplers."""
    words = process.cmdline()
    if _MODULE not in words or FORK_FLAG not in words:
        return _MODULE in words
    parent = process.parent()
    return parent is not None and is_fork_server(parent)


def is_fork_server(process: psutil.Process) -> bool:
    """Return whether `process` is what workers are forked from: their command line, and a parent that has another."""
    parent = process.parent()
    return FORK_FLAG in process.cmdline() and (parent is None or FORK_FLAG not in parent.cmdline())


def command_of(worker: psutil.Process) -> psutil.Process:
    """Return the process behind a worker: the command, or the job of a cluster that it runs in."""
    parent = worker.parent()
    behind = parent.parent() if parent is not None and is_fork_server(parent) else parent
    assert behind is not None
    return behind
