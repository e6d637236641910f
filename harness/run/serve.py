"""The worker's process as it takes job after job from standard input: done in itself (warm), or each in a fork.

An order is a line ``{"job": FILE, "log": FILE}``; after each a line ``{"event": "ended", "code": CODE}`` goes to
standard output, the code minus the signal where a fork was killed by one.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import harness.measure.child
import harness.run.runner  # noqa: F401 - brings torch in, before the first job is timed
from harness.core.errors import EXIT_OK
from harness.measure.prepared import keep_samplers
from harness.run import stop
from harness.run.cleaning import clean_up
from harness.sensors import preload_sensors

RunJob = Callable[[dict[str, Any]], int]
Emit = Callable[[dict[str, Any]], None]


def serve_warm(run_job: RunJob, emit: Emit) -> int:
    """Do jobs in this process until standard input ends."""
    keep_samplers(keep=True)
    gc.freeze()  # what is imported stays: collecting after each run looks at what the run has made
    for job in _orders():
        emit({"event": "ended", "code": run_job(_load(job))})
        clean_up()
    return EXIT_OK


def serve_forks(run_job: RunJob, emit: Emit) -> int:
    """Do each job in a fork of this process, which does nothing but import and wait, until standard input ends.

    In a fork it returns the job's code. A request to stop is passed on to the fork, and ends this process after it.
    """
    preload_sensors()  # for the sampler, which a worker forks first of all
    gc.freeze()  # the pages of what is imported stay shared
    server, requests, child = os.getpid(), _Requests(), 0
    for job in _orders():
        if child:
            os.waitpid(child, 0)
        if threading.active_count() > 1:  # a fork would have their locks without them
            raise RuntimeError(f"the fork server has threads: {threading.enumerate()}")
        with _no_requests():
            child = os.fork()
            if child:
                requests.child = child
            else:
                stop.install()
        if not child:
            stop.die_with_parent(server)
            with open(os.devnull, encoding="utf-8") as nothing:  # noqa: PTH123 - orders are the server's
                os.dup2(nothing.fileno(), sys.stdin.fileno())
            return run_job(_load(job))
        emit({"event": "began", "pid": child})
        emit({"event": "ended", "code": _wait_for(child)})
        requests.leave_if_asked()
    return EXIT_OK


class _Requests:
    """Requests to stop that come to the fork server, while it has a `child` and while it waits for orders."""

    def __init__(self) -> None:
        self.child = 0
        self._number = 0
        for number in stop.STOP_SIGNALS:
            signal.signal(number, self._on_signal)

    def leave_if_asked(self) -> None:
        """Note that the child has ended; end this process too where that was asked for."""
        self.child = 0
        if self._number:
            sys.exit(128 + self._number)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._number = number
        if not self.child:
            sys.exit(128 + number)
        os.kill(self.child, number)


@contextlib.contextmanager
def _no_requests() -> Iterator[None]:
    signal.pthread_sigmask(signal.SIG_BLOCK, stop.STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stop.STOP_SIGNALS)


def _wait_for(child: int) -> int:
    """Return how `child` ended; its process id stays taken, so that no signal meant for it reaches another."""
    end = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    if end is None:
        raise ChildProcessError(child)
    return end.si_status if end.si_code == os.CLD_EXITED else -end.si_status


def _orders() -> Iterator[Path]:
    """Yield the job file of each order; standard error goes to its log from then on."""
    while line := sys.stdin.readline():
        order = json.loads(line)
        with Path(order["log"]).open("a", encoding="utf-8") as log:
            os.dup2(log.fileno(), sys.stderr.fileno())
        yield Path(order["job"])


def _load(job: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(job.read_text(encoding="utf-8"))
    return content
