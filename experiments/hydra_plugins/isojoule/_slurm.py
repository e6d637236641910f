"""Hydra launchers on submitit: Slurm arrays, and processes of this machine to try the same path.

They take the settings of Hydra's submitit plugin. Its own launcher raises at the first job that was killed, while the
others run on, and asks ``sacct`` alone whether a job still lives, which many clusters lack.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra_plugins.isojoule._remote import RemoteJob, RemoteLauncherParts, build_return, stop_workers
from omegaconf import OmegaConf

from harness.core.errors import ConfigError, RunInterruptedError

_POLL_S = 2.0
_QUEUE_POLL_S = 10.0
# A result may show late on a network file system.
_GRACE_S = 20.0
# A job that was told to stop is killed at the end of its partition's grace time.
_KILL_TIMEOUT_S = 600.0
_SHARED = frozenset({
    "timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name", "stderr_to_stdout",
})  # fmt: skip
# States in which a job may still run, or run again.
_LIVE = frozenset({
    "PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED",
    "RESIZING", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "PREEMPTED",
})  # fmt: skip


class Resumable:
    """A job that goes on where it was: submitit calls `checkpoint` before a time limit or a preemption."""

    def __init__(self, job: RemoteJob) -> None:
        self._job = job

    def __call__(self) -> str | None:
        """Run the job; called again after a requeue, it resumes from the run's own checkpoint."""
        try:
            return self._job()
        except RunInterruptedError:
            _wait_to_be_killed()
            return None

    def checkpoint(self) -> Any:
        """Stop the worker at its next checkpoint and return the same job, to be queued again."""
        from submitit.helpers import DelayedSubmission  # noqa: PLC0415 - an extra

        stop_workers()
        return DelayedSubmission(self)


class _SubmititLauncher(RemoteLauncherParts, Launcher):
    """One array of jobs for each wave."""

    cluster = ""

    def __init__(self, **params: Any) -> None:
        self._params = {
            key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for key, value in params.items()
        }

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit the jobs, wait for all of them, and return how each ended; jobs are cancelled with the command."""
        jobs = self.build_jobs(job_overrides, initial_job_idx)
        ends: list[str | None] = []
        size = self._num_at_once(len(jobs))
        for part in (jobs[start : start + size] for start in range(0, len(jobs), size)):
            submitted = self._submit(part)
            try:
                ends.extend(self._wait(submitted))
            except BaseException:
                self._cancel(submitted)
                raise
        return [build_return(job, words) for job, words in zip(jobs, ends, strict=True)]

    def _submit(self, jobs: Sequence[RemoteJob]) -> Sequence[Any]:
        """Submit the jobs.

        Raises:
            ConfigError: nothing was submitted, for the reason that the scheduler gives.
        """
        try:
            submitted: Sequence[Any] = self._build_executor().submit_array([Resumable(job) for job in jobs])
        except (RuntimeError, OSError, NameError, ValueError, subprocess.SubprocessError) as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            why = next(
                (line for line in reversed(lines) if "error" in line or "fatal" in line), lines[-1] if lines else ""
            )
            raise ConfigError(f"nothing was submitted to {self.cluster}: {why}") from error
        return submitted

    def _num_at_once(self, num_jobs: int) -> int:
        """Return how many jobs are submitted together; Slurm itself keeps to `array_parallelism`."""
        return num_jobs

    def _cancel(self, submitted: Sequence[Any]) -> None:
        for job in submitted:
            job.cancel(check=False)

    def _build_executor(self) -> Any:
        import submitit  # noqa: PLC0415 - an extra

        params = {key: value for key, value in self._params.items() if value is not None}
        folder, timeouts = params.pop("submitit_folder"), params.pop("max_num_timeout", 0)
        executor = submitit.AutoExecutor(
            folder=folder, cluster=self.cluster, **{f"{self.cluster}_max_num_timeout": timeouts}
        )
        executor.update_parameters(**self._parameters(params))
        return executor

    def _parameters(self, params: dict[str, Any]) -> dict[str, Any]:
        return {key if key in _SHARED else f"{self.cluster}_{key}": value for key, value in params.items()}

    def _wait(self, submitted: Sequence[Any]) -> list[str | None]:
        """Return the words of each job in order, once all have ended."""
        ends: dict[str, str | None] = {}
        while len(ends) < len(submitted):
            for job in submitted:
                if job.job_id not in ends and job.paths.result_pickle.exists():
                    ends[job.job_id] = _read_result(job)
            left = [job for job in submitted if job.job_id not in ends]
            ends.update(self._find_dead(left))
            if len(ends) < len(submitted):
                time.sleep(_POLL_S)
        return [ends[job.job_id] for job in submitted]

    def _find_dead(self, jobs: Sequence[Any]) -> dict[str, str]:
        """Return in words how those of `jobs` ended that are over and left no result."""
        raise NotImplementedError


class LocalLauncher(_SubmititLauncher):
    """Processes of this machine, as many as it has CPUs for."""

    cluster = "local"

    def _num_at_once(self, num_jobs: int) -> int:
        per_job = self._params.get("cpus_per_task") or 1
        return min(num_jobs, max(1, (os.cpu_count() or 1) // per_job))

    def _find_dead(self, jobs: Sequence[Any]) -> dict[str, str]:
        return {job.job_id: _death_notice(job, job.state) for job in jobs if job.done() and not _has_result(job)}


class SlurmLauncher(_SubmititLauncher):
    """Jobs of Slurm; the queue is asked with ``squeue``, which needs no accounting."""

    cluster = "slurm"

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._asked_s = 0.0
        self._gone_since_s: dict[str, float] = {}

    def _parameters(self, params: dict[str, Any]) -> dict[str, Any]:
        if "cpus_per_task" in params:  # since Slurm 22.05 srun does not take it from sbatch
            params = {**params, "srun_args": [f"--cpus-per-task={params['cpus_per_task']}"]}
        return super()._parameters(params)

    def _cancel(self, submitted: Sequence[Any]) -> None:
        subprocess.run(("scancel", *sorted({job.job_id.partition("_")[0] for job in submitted})), check=False)

    def _find_dead(self, jobs: Sequence[Any]) -> dict[str, str]:
        now_s = time.monotonic()
        if not jobs or now_s - self._asked_s < _QUEUE_POLL_S:
            return {}
        self._asked_s = now_s
        states = _ask_queue({job.job_id.partition("_")[0] for job in jobs})
        if states is None:
            return {}
        dead = {}
        for job in jobs:
            state = states.get(job.job_id, "it left the queue")
            if state in _LIVE:
                self._gone_since_s.pop(job.job_id, None)
            elif now_s - self._gone_since_s.setdefault(job.job_id, now_s) >= _GRACE_S and not _has_result(job):
                dead[job.job_id] = _death_notice(job, state)
        return dead


def _ask_queue(array_ids: set[str]) -> dict[str, str] | None:
    """Return the state of each job that Slurm still knows, by submitit's id; ``None``: Slurm did not answer."""
    states: dict[str, str] = {}
    for array_id in sorted(array_ids):
        command = ("squeue", "--noheader", "--array", "--states=all", "--format=%F %K %T", f"--jobs={array_id}")
        asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if asked.returncode != 0 and "Invalid job id" not in asked.stderr:
            return None
        for line in asked.stdout.splitlines():
            job, place, state = line.split()
            states[job if place == "N/A" else f"{job}_{place}"] = state
    return states


def _has_result(job: Any) -> bool:
    return bool(job.paths.result_pickle.exists())


def _read_result(job: Any) -> str | None:
    """Return what the job said at its end; an error that it raised in its last line."""
    error = job.exception()
    if error is not None:
        lines = [line for line in str(error).splitlines() if line.strip()]
        cause = next((line for line in reversed(lines) if ": " in line and not line.startswith((" ", "-", "You"))), "")
        return f"job {job.job_id} failed: {cause or lines[0]}"
    words: str | None = job.result()
    return words


def _death_notice(job: Any, state: str) -> str:
    stderr = job.stderr() or ""
    tail = "\n".join(stderr.strip().splitlines()[-5:])
    return f"job {job.job_id} ended without a result ({state})" + (f"; its last lines:\n{tail}" if tail else "")


def _wait_to_be_killed() -> None:
    """Stay until Slurm kills the job: one that ends by itself while it is preempted is not queued again."""
    if os.environ.get("SLURM_JOB_ID"):
        time.sleep(_KILL_TIMEOUT_S)
