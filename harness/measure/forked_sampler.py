"""The sampler's process as a fork of one that has imported its modules already: there in milliseconds, not seconds."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import IO, NoReturn

_LOOK_S = 0.005


class ForkedProcess:
    """Runs `main` in a fork, with pipes for its standard input and output: as much of `subprocess.Popen` as is needed.

    It must be made while this process has no other thread, whose locks the fork would have without it.
    """

    def __init__(self, main: Callable[[], int], log: IO[bytes]) -> None:
        if threading.active_count() > 1:
            raise RuntimeError(f"a process with threads is not forked: {threading.enumerate()}")
        its_input, own_input = os.pipe()
        own_output, its_output = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            _become(main, (its_input, its_output, log.fileno()), (own_input, own_output))
        os.close(its_input)
        os.close(its_output)
        self.stdin = os.fdopen(own_input, "wb", buffering=0)
        self.stdout = os.fdopen(own_output, "rb", buffering=0)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, minus the signal of one that was killed, ``None`` while it lives."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code.

        Raises:
            subprocess.TimeoutExpired: it lives after `timeout` seconds.
        """
        end_s = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if timeout is not None and end_s is not None and time.monotonic() > end_s:
                raise subprocess.TimeoutExpired("the sampler", timeout)
            time.sleep(_LOOK_S)
        return code

    def kill(self) -> None:
        """End it at once."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def _become(main: Callable[[], int], streams: tuple[int, int, int], parents: tuple[int, int]) -> NoReturn:
    """Run `main` with `streams` for the standard ones in a session of its own, and end with its code."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):  # requests to stop are the parent's
            signal.signal(number, signal.SIG_IGN)
        os.setsid()
        for parents_end in parents:
            os.close(parents_end)
        for target, stream in enumerate(streams):
            os.dup2(stream, target)
        for stream in streams[:2]:
            os.close(stream)
        sys.stdin = os.fdopen(0, "r", closefd=False)
        sys.stdout, sys.stderr = (os.fdopen(stream, "w", closefd=False) for stream in (1, 2))
        code = main()
    except BaseException:  # noqa: BLE001 - a fork never returns into what its parent was doing
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
