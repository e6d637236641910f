"""A process that stays for several runs and takes its jobs on standard input; what it says comes on standard output."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol

_END_TIMEOUT_S = 5.0


class Worker(Protocol):
    """What does one run, as its parent sees it: a `subprocess.Popen` whose output is text, or the like of one."""

    stdout: IO[str] | None

    @property
    def pid(self) -> int:
        """Process id."""

    def poll(self) -> int | None:
        """Return the exit code, ``None`` while it lives."""

    def wait(self) -> int:
        """Wait for the end and return the exit code, minus the signal of one that was killed."""

    def send_signal(self, sig: int) -> None:
        """Send a signal."""

    def kill(self) -> None:
        """End it at once."""


class KeptProcess:
    """One process ``harness.run.worker FLAG`` for runs that ask for the same `key`; its first log is its own."""

    def __init__(self, flag: str, key: object, log: Path) -> None:
        self.key = key
        self.num_runs = 0
        with log.open("a", encoding="utf-8") as log_file:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "harness.run.worker", flag),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                text=True,
            )

    def order(self, job: Path, log: Path) -> None:
        """Hand a job to the process; one that has ended meanwhile takes none, which its output then tells."""
        self.num_runs += 1
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.write(json.dumps({"job": str(job.resolve()), "log": str(log.resolve())}) + "\n")
                self.process.stdin.flush()

    def fits(self, key: object) -> bool:
        """Return whether the process lives and was made for `key`."""
        return self.process.poll() is None and self.key == key

    def end(self) -> None:
        """Let the process end; one that does not is killed."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self.process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Keeper:
    """Keeps one process from run to run, and makes another where it does not fit the next."""

    def __init__(self, make: Callable[[object, Path], KeptProcess]) -> None:
        self._make = make
        self.kept: KeptProcess | None = None

    def take(self, key: object, log: Path) -> KeptProcess:
        """Return the kept process if it fits `key`, else a new one in its place."""
        if self.kept is None or not self.kept.fits(key):
            self.end()
            self.kept = self._make(key, log)
        return self.kept

    def end(self) -> None:
        """End the kept process, if there is one."""
        kept, self.kept = self.kept, None
        if kept is not None:
            kept.end()
