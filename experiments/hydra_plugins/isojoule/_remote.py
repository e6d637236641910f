"""A job of a study on another machine or under a scheduler: the same composition, from the same folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psutil
from harness.experiments.job import build_job
from harness.experiments.schema import register_schemas
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from harness.core.clock import utc_label
from harness.core.errors import HarnessError, RecordError, RunInterruptedError, RunTakenError

# A worker that is told to stop checkpoints at its next step boundary; steps of large models take a while.
STOP_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class RemoteJob:
    """What a job needs away from the command: it is pickled, composes its run there, and runs it.

    It returns ``None``, or in words what kept the run from being tried at all.
    """

    hydra_context: HydraContext
    config: DictConfig
    task_function: TaskFunction
    overrides: tuple[str, ...]
    index: int
    folder: str
    submitted_utc: str
    singletons: Any

    def __call__(self) -> str | None:
        """Compose the run of `overrides` and run it.

        Raises:
            RunInterruptedError: the run was told to stop, and has its checkpoint.
        """
        os.chdir(self.folder)
        Singleton.set_state(self.singletons)
        setup_globals()
        register_schemas()
        composed = self.hydra_context.config_loader.load_sweep_config(self.config, list(self.overrides))
        with open_dict(composed):
            composed.hydra.job.id = composed.hydra.job.num = self.index
        if self._was_made_meanwhile(composed):
            return None
        done = run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=composed,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        if done.status == JobStatus.COMPLETED:
            return None
        error = done._return_value  # noqa: SLF001 - the public name raises what the job raised
        if isinstance(error, RunInterruptedError):
            raise error
        if isinstance(error, RunTakenError):
            return None
        return str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"

    def _was_made_meanwhile(self, composed: DictConfig) -> bool:
        """Return whether the run was begun and ended elsewhere, while this job waited in its queue."""
        run = build_job(composed)
        try:
            record = run.store.load_record(run.run_id)
        except RecordError:
            return False
        return record is not None and record.started_utc >= self.submitted_utc


class RemoteLauncherParts:
    """What launchers of remote jobs share; `setup` is what Hydra calls."""

    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def build_jobs(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[RemoteJob]:
        """Return one job for each list of overrides."""
        return [
            RemoteJob(
                hydra_context=self.hydra_context,
                config=self.config,
                task_function=self.task_function,
                overrides=tuple(overrides),
                index=initial_job_idx + place,
                folder=os.getcwd(),  # noqa: PTH109 - as the user sees it, links and all
                submitted_utc=utc_label(),
                singletons=Singleton.get_state(),
            )
            for place, overrides in enumerate(job_overrides)
        ]


def build_return(job: RemoteJob, words: str | None) -> JobReturn:
    """Return the end of `job` as Hydra's launchers give it: failed with `words`, or completed."""
    status = JobStatus.COMPLETED if words is None else JobStatus.FAILED
    return JobReturn(overrides=list(job.overrides), status=status, _return_value=words)


def stop_workers() -> None:
    """Tell the worker processes of this job to stop at a checkpoint, and wait for them."""
    workers = psutil.Process().children()
    for worker in workers:
        worker.terminate()
    psutil.wait_procs(workers, timeout=STOP_TIMEOUT_S)
