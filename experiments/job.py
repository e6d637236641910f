"""One composed job: what it is called, where it goes, and running it in a process of its own."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

from harness.experiments.compose import to_app_config, to_run_config
from harness.experiments.served import resolve_served
from harness.experiments.tracked import track_run
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from harness.core.config import RunConfig
from harness.core.errors import RunTakenError
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.run.identity import identify
from harness.run.isolate import run_isolated
from harness.run.options import WorkerOptions, validate_options
from harness.run.progress import StudyProgress
from harness.train.schedule import fork_step

# The display of the study in this process, where there is one, and the records that ended in this process.
_display: list[StudyProgress] = []
ended: list[RunRecord] = []


@dataclass(frozen=True, slots=True)
class Job:
    """A composed run: its configuration, run id and store."""

    config: RunConfig
    run_id: str
    store: Store
    options: WorkerOptions = field(default_factory=WorkerOptions)


def build_job(composed: DictConfig) -> Job:
    """Return the job of a composed configuration.

    A corpus is prepared, and a published model's folder hashed (both cached), since the run id holds their hashes.

    Raises:
        HarnessError: a value, corpus or budget that cannot be used.
    """
    app = to_app_config(composed)
    options = WorkerOptions(isolation=app.isolation, lock=app.lock, watchdog_s=app.watchdog_s)
    validate_options(options)
    config = resolve_served(to_run_config(app))
    run_id, _ = identify(config)
    return Job(config, run_id, Store(app.store), options)


def run_job(composed: DictConfig) -> None:
    """Hydra's task function: run the job isolated; a failure is a record, never an exception.

    In a sweep a run that another process works on is passed over with a line, and one that another process has
    finished meanwhile is taken as it is.

    Raises:
        RunInterruptedError: this process or its worker was asked to stop.
        RunTakenError: a single run that another process works on.
    """
    job = build_job(composed)
    is_sweep = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    display = _display[-1] if _display else None
    began = time.monotonic()
    on_event = display.on_event if display else None
    again = not is_sweep or _lacks_checkpoints(job)
    try:
        with track_run(list(composed.track), job.config, job.store) as tracked:
            event = tracked.relay(on_event)
            record = run_isolated(job.config, job.run_id, job.store, event, job.options, again=again)
            tracked.record = record
    except RunTakenError as error:
        if not is_sweep:
            raise
        print(f"isojoule: {error}", file=sys.stderr)
        return
    ended.append(record)
    if display is not None:
        display.end(record, time.monotonic() - began)


def _lacks_checkpoints(job: Job) -> bool:
    """Return whether a trunk must be made again, finished or not: a checkpoint for a branch is missing or damaged."""
    from harness.train.checkpoint import checkpoint_path  # noqa: PLC0415 - brings torch in, only when needed
    from harness.train.integrity import find_damage  # noqa: PLC0415 - the same

    root, train = job.store.checkpoint_dir(job.run_id), job.config.train
    return job.config.role == "trunk" and any(
        find_damage(checkpoint_path(root, fork_step(train, tokens))) is not None for tokens in job.config.branch_tokens
    )


def show_on(display: StudyProgress | None) -> None:
    """Send progress of the jobs in this process to `display`; ``None`` ends that."""
    _display.clear()
    if display is not None:
        _display.append(display)
