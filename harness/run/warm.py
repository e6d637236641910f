"""A worker that stays: one process for several runs, replaced when it fails, was used often, or fits no more."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

from harness.core.config import RunConfig
from harness.core.model_config import HuggingFaceConfig
from harness.run.worker import WARM_FLAG

MAX_RUNS = 16
_END_TIMEOUT_S = 5.0
_Key = tuple[object, ...]


class WarmWorker:
    """One process that takes jobs on its standard input."""

    def __init__(self, key: _Key, log: Path) -> None:
        self.key = key
        self.num_runs = 0
        with log.open("a", encoding="utf-8") as log_file:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "harness.run.worker", WARM_FLAG),
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

    def fits(self, key: _Key) -> bool:
        """Return whether the process lives, was made for `key` and may take another run."""
        return self.process.poll() is None and self.key == key and self.num_runs < MAX_RUNS

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


_kept: list[WarmWorker] = []


def take_warm(config: RunConfig, log: Path) -> WarmWorker:
    """Return the warm worker if it suits the run, else a new one in its place."""
    key = _key(config)
    if not (_kept and _kept[0].fits(key)):
        end_warm()
        _kept.append(WarmWorker(key, log))
    return _kept[0]


def end_warm() -> None:
    """End the warm worker, if there is one."""
    while _kept:
        _kept.pop().end()


def _key(config: RunConfig) -> _Key:
    """Return what a process is made for: threads and devices are set up once, the environment is taken at birth."""
    kind = (isinstance(config.model, HuggingFaceConfig), config.task.mode, config.train.compile)
    return (config.device, config.num_threads, kind, Path.cwd(), tuple(sorted(os.environ.items())))


atexit.register(end_warm)
