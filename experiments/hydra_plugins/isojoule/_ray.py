"""Hydra launcher on Ray: joins a cluster or starts one here; a job is one task with its GPUs, tried once.

Hydra's own Ray plugin declares boto3 and cloudpickle<3, raises at the first dead worker while the others run on, and
lets Ray try a killed task again; this one does none of that. Settings have the same names: ``init``, ``remote``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra_plugins.isojoule._remote import RemoteJob, RemoteLauncherParts, build_return
from omegaconf import DictConfig, OmegaConf

from harness.core.errors import ConfigError, RunInterruptedError


class RayLauncher(RemoteLauncherParts, Launcher):
    """Runs the jobs of a wave as Ray tasks; Ray queues those that find no free CPUs or GPUs."""

    def __init__(self, ray: DictConfig) -> None:
        self._init: dict[str, Any] = _plain(ray.init)
        self.options = {**_plain(ray.remote), "max_retries": 0}

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs and return how each ended.

        Raises:
            ConfigError: there is no cluster at the address.
        """
        import ray  # noqa: PLC0415 - an extra

        if not ray.is_initialized():
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
            try:
                ray.init(**{"logging_level": logging.WARNING, **self._init})
            except (ConnectionError, ValueError) as error:
                first = str(error).splitlines()[0]
                raise ConfigError(
                    f"no Ray cluster at address '{self._init.get('address')}' ({first}); start one with "
                    "ray start --head, or use hydra/launcher=ray_local."
                ) from error
        task = ray.remote(**self.options)(_run)
        jobs = self.build_jobs(job_overrides, initial_job_idx)
        pending = [task.options(name=f"isojoule_{job.index}").remote(job) for job in jobs]
        return [build_return(job, _wait_for(ray, reference)) for job, reference in zip(jobs, pending, strict=True)]


def _run(job: RemoteJob) -> str | None:
    """Run `job` in a Ray worker; one that was told to stop is interrupted, and no failure."""
    try:
        return job()
    except RunInterruptedError:
        return None


def _wait_for(ray: Any, reference: Any) -> str | None:
    try:
        words: str | None = ray.get(reference)
    except ray.exceptions.RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return f"{type(error).__name__}: {' '.join(lines[:3])}"
    return words


def _plain(node: DictConfig) -> dict[str, Any]:
    """Return `node` as keyword arguments; what is null is left to Ray."""
    values: dict[str, Any] = OmegaConf.to_container(node, resolve=True)  # type: ignore[assignment]
    return {key: value for key, value in values.items() if value is not None}
