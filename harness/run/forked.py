"""A worker forked from a process that has imported all that a run needs, and has done nothing else.

It is a process of its own, as fresh as one that was started from nothing, without the seconds that torch takes to be
imported: the idea of multiprocessing's fork server. `harness.run.serve.serve_forks` is the other side.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import IO

from harness.run.kept_process import Keeper, KeptProcess
from harness.run.worker import FORK_FLAG

# macOS forks too, but its system libraries do not bear it.
CAN_FORK = sys.platform == "linux"


class ForkServer(KeptProcess):
    """The process that workers are forked from."""

    def __init__(self, key: object, log: Path) -> None:
        super().__init__(FORK_FLAG, key, log)


class ForkedWorker:
    """A child of the fork server, which `begin` is told of once it is there; until then the server stands for it.

    The server keeps its child's process id from being used again until the next order.
    """

    def __init__(self, server: KeptProcess) -> None:
        self._server = server.process
        self._child: int | None = None
        self.stdout: IO[str] | None = server.process.stdout

    @property
    def pid(self) -> int:
        """Process id."""
        return self._server.pid if self._child is None else self._child

    def begin(self, pid: int) -> None:
        """Note that the child is there."""
        self._child = pid

    def poll(self) -> int | None:
        """Return the exit code of the server; how the child ended, the server's output tells."""
        return self._server.poll()

    def wait(self) -> int:
        """Wait for the end of the server and return its exit code."""
        return self._server.wait()

    def send_signal(self, sig: int) -> None:
        """Send a signal to the child; SIGKILL to the server as well, which tells of no end any more if it hangs."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, sig)
        if self._child is None or sig == signal.SIGKILL:
            self._server.send_signal(sig)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


keeper = Keeper(ForkServer)


def fork_worker(job: Path, log: Path) -> ForkedWorker:
    """Let a worker for `job` be forked; its standard error goes to `log`."""
    server = keeper.take((Path.cwd(), tuple(sorted(os.environ.items()))), log)
    server.order(job, log)
    return ForkedWorker(server)


def end_fork_server() -> None:
    """End the fork server, if there is one."""
    keeper.end()


atexit.register(end_fork_server)
