"""A worker that stays: one process for several runs, replaced when it fails, was used often, or fits no more."""

from __future__ import annotations

import atexit
import os
from pathlib import Path

from harness.core.config import RunConfig
from harness.core.model_config import HuggingFaceConfig
from harness.run.kept_process import Keeper, KeptProcess
from harness.run.worker import WARM_FLAG

MAX_RUNS = 16


class WarmWorker(KeptProcess):
    """One process that makes up to `MAX_RUNS` runs itself."""

    def __init__(self, key: object, log: Path) -> None:
        super().__init__(WARM_FLAG, key, log)

    def fits(self, key: object) -> bool:
        """Return whether the process lives, was made for `key` and may make another run."""
        return super().fits(key) and self.num_runs < MAX_RUNS


keeper = Keeper(WarmWorker)


def take_warm(config: RunConfig, log: Path) -> KeptProcess:
    """Return the warm worker if it suits the run, else a new one in its place."""
    return keeper.take(_key(config), log)


def end_warm() -> None:
    """End the warm worker, if there is one."""
    keeper.end()


def _key(config: RunConfig) -> object:
    """Return what a process is made for: threads and devices are set up once, the environment is taken at birth."""
    kind = (isinstance(config.model, HuggingFaceConfig), config.task.mode, config.train.compile)
    return (config.device, config.num_threads, kind, Path.cwd(), tuple(sorted(os.environ.items())))


atexit.register(end_warm)
