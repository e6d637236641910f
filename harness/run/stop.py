"""Stopping on request: SIGTERM (a scheduler takes its nodes back) and SIGINT (Ctrl-C) leave a run that can go on later.

While training is `deferred` a request is only noted, and training saves a checkpoint at the next step; anywhere else it
ends the process at once. Signals less than `SAME_REQUEST_S` apart are one request: a terminal's Ctrl-C, or a scheduler,
reaches the worker directly and once more through its parent.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from harness.core.errors import EXIT_RUN_FAILED

SAME_REQUEST_S = 1.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG = 1


class StopRun(SystemExit):
    """Ends the worker with 128 + the signal's number; whatever is open closes on the way."""


_asked: list[tuple[int, float]] = []  # the first request: signal and time
_num_deferring = [0]


def install() -> None:
    """Take requests in this process from now on."""
    for number in STOP_SIGNALS:
        signal.signal(number, _on_signal)
    # a scheduler's warning goes to every process of a job; the worker's parent answers it
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def requested() -> int | None:
    """Return the signal that asked this process to stop, ``None`` while nobody did."""
    return _asked[0][0] if _asked else None


@contextmanager
def deferred() -> Iterator[None]:
    """Only note requests inside; one that came ends the process after the body."""
    _num_deferring[0] += 1
    try:
        yield
    finally:
        _num_deferring[0] -= 1
    leave_if_asked()


def leave_if_asked() -> None:
    """End the process if it was asked to stop and nothing defers that."""
    number = requested()
    if number is not None and not _num_deferring[0]:
        raise StopRun(128 + number)


def die_with_parent(parent_pid: int | None) -> None:
    """Ask Linux to end this process when its parent dies, so that no orphan disturbs later measurements.

    A parent that died before it was asked sends no signal any more: then this process is another one's child already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent_pid is not None and os.getppid() != parent_pid:
        sys.exit(EXIT_RUN_FAILED)


def _on_signal(number: int, _: FrameType | None) -> None:
    if not _asked:
        _asked.append((number, time.monotonic()))
        leave_if_asked()
    elif time.monotonic() - _asked[0][1] > SAME_REQUEST_S:
        os._exit(128 + number)
