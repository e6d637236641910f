"""Weights & Biases, offline: run folders that ``wandb sync`` sends, should their owner want that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from harness.tracking.sink import TrackedRun


class WandbSink:
    """Offline unless the user has set WANDB_MODE; no host name, no user, no code and no git state is written."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("WANDB_MODE", "offline")
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb  # noqa: PLC0415 - only where asked for

        folder.mkdir(parents=True, exist_ok=True)
        self._wandb: Any = wandb
        self._folder = folder

    def write(self, run: TrackedRun) -> None:
        """Write one run as a run folder of its own; nothing of the library runs when this returns."""
        settings = self._wandb.Settings(
            silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True,
            x_disable_machine_info=True, x_disable_meta=True, host="", email="", username="",
        )  # fmt: skip
        entry = self._wandb.init(
            project=run.study, name=run.run_id, id=run.run_id[-64:], group=run.tags.get("arm"), dir=str(self._folder),
            config={**run.params, "tags": run.tags}, settings=settings, reinit="create_new",
        )  # fmt: skip
        try:
            for point in run.points:
                entry.log({**point.values, "tokens": point.step, "time_s": point.time_s}, step=point.step)
            entry.summary.update(run.metrics)
        finally:
            entry.finish(exit_code=0 if run.is_finished else 1)
            self._wandb.teardown()  # its service must not run beside the next run's windows

    def close(self) -> None:
        """End the library's service, should a failure have left it."""
        self._wandb.teardown()
