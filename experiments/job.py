"""One composed job: what it is called, where it goes, and running it in a process of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness.experiments.compose import to_app_config, to_run_config
from harness.experiments.served import resolve_served
from harness.experiments.tracked import track_run
from omegaconf import DictConfig

from harness.core.config import RunConfig
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.run.identity import identify
from harness.run.isolate import run_isolated
from harness.run.progress import StudyProgress

# The display of the study in this process, where there is one, and the records that ended in this process.
_display: list[StudyProgress] = []
ended: list[RunRecord] = []


@dataclass(frozen=True, slots=True)
class Job:
    """A composed run: its configuration, run id and store."""

    config: RunConfig
    run_id: str
    store: Store


def build_job(composed: DictConfig) -> Job:
    """Return the job of a composed configuration.

    A corpus is prepared, and a published model's folder hashed (both cached), since the run id holds their hashes.

    Raises:
        HarnessError: a value, corpus or budget that cannot be used.
    """
    app = to_app_config(composed)
    config = resolve_served(to_run_config(app))
    run_id, _ = identify(config)
    return Job(config, run_id, Store(app.store))


def run_job(composed: DictConfig) -> None:
    """Hydra's task function: run the job isolated; a failure is a record, never an exception."""
    job = build_job(composed)
    display = _display[-1] if _display else None
    began = time.monotonic()
    with track_run(list(composed.track), job.config, job.store) as tracked:
        record = run_isolated(job.config, job.run_id, job.store, tracked.relay(display.on_event if display else None))
        tracked.record = record
    ended.append(record)
    if display is not None:
        display.end(record, time.monotonic() - began)


def show_on(display: StudyProgress | None) -> None:
    """Send progress of the jobs in this process to `display`; ``None`` ends that."""
    _display.clear()
    if display is not None:
        _display.append(display)
