"""A real Slurm of one node and a real Ray cluster of two, on this machine: same records, requeue, killed jobs.

They start daemons, so they run where ISOJOULE_TEST_CLUSTERS=1 asks for them (Slurm: as root, with Debian's packages
slurmctld, slurmd and munge).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.core.store import Store
from tests.integration.launching import (
    CLUSTERS_VARIABLE,
    essence,
    finish,
    start,
    store_in,
    study,
    wait_for,
    wait_until_it_trains,
)
from tests.tools import require_module, require_tool
from tests.workers import command_of, workers_of

pytestmark = pytest.mark.skipif(
    os.environ.get(CLUSTERS_VARIABLE) != "1", reason=f"starts Slurm and Ray: {CLUSTERS_VARIABLE}=1 asks for it"
)
SCRIPTS = Path(__file__).resolve().parents[1] / "slurm"
# Budgets of a trunk that leaves a checkpoint early and trains on for long enough to be stopped.
LONG = (12_288, 153_600)
SLURM = ("hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.timeout_min=30")
RAY_PORT = 6399


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The undisturbed study on this machine."""
    folder = tmp_path_factory.mktemp("local")
    code, told = finish(start(folder, *study(LONG)))
    assert code == 0, told
    return store_in(folder)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Slurm of this machine; the environment that finds it."""
    require_module("submitit")
    for tool in ("slurmctld", "slurmd", "munged"):
        require_tool(tool)
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run((str(SCRIPTS / "start.sh"), str(folder)), check=True, timeout=60)
    yield {"SLURM_CONF": str(folder / "slurm.conf")}
    subprocess.run((str(SCRIPTS / "stop.sh"), str(folder)), check=True, timeout=60)


def _job_of(worker: psutil.Process) -> str:
    """Return the Slurm job, as an array's member, that a worker belongs to."""
    env = worker.environ()
    array = env.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{env['SLURM_ARRAY_TASK_ID']}" if array else env["SLURM_JOB_ID"]


def _slurm(env: dict[str, str], *command: str) -> str:
    return subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_a_job_warned_of_its_end_is_queued_again_and_goes_on_from_its_checkpoint(
    slurm: dict[str, str], local: Store, tmp_path: Path
) -> None:
    """The signal that Slurm sends before a time limit: checkpoint, requeue, same records as undisturbed."""
    command = start(tmp_path, *study(LONG), *SLURM, env=slurm)
    store = store_in(tmp_path)
    job = _job_of(wait_until_it_trains(store, "dense-s-trunk"))
    _slurm(slurm, "scancel", "--signal=USR2", job)
    wait_for("the requeue", lambda: "Restarts=1" in _slurm(slurm, "scontrol", "show", "job", job))
    code, told = finish(command)
    assert code == 0, told
    assert essence(store) == essence(local)
    (trunk,) = (r for r in store.load_records()[0] if r.role == "trunk" and r.arm == "dense")
    assert "resumed" in {finding.code for finding in trunk.findings}


def test_a_job_requeued_by_hand_goes_on_from_its_checkpoint(
    slurm: dict[str, str], local: Store, tmp_path: Path
) -> None:
    """What preemption with PreemptMode=REQUEUE does: SIGTERM, a grace time, and the queue again."""
    command = start(tmp_path, *study(LONG), *SLURM, env=slurm)
    store = store_in(tmp_path)
    job = _job_of(wait_until_it_trains(store, "dense-s-trunk"))
    _slurm(slurm, "scontrol", "requeue", job)
    code, told = finish(command)
    assert code == 0, told
    assert essence(store) == essence(local)


def test_a_worker_killed_and_a_job_cancelled_in_slurm_are_one_failed_record_each(
    slurm: dict[str, str], tmp_path: Path
) -> None:
    command = start(tmp_path, *study(LONG, LONG), *SLURM, env=slurm)
    store = store_in(tmp_path)
    (worker,) = wait_for("the worker of a trunk", lambda: workers_of(store, "dense-s-trunk"))
    worker.send_signal(signal.SIGKILL)
    (other,) = wait_for("the worker of the other trunk", lambda: workers_of(store, "moe-s-trunk"))
    job = _job_of(other)
    _slurm(slurm, "scancel", job)
    code, told = finish(command)
    assert code == 3, told
    trunks = {record.arm: record for record in store.load_records()[0] if record.role == "trunk"}
    assert "SIGKILL" in (trunks["dense"].error or "")
    assert f"the launcher said: job {job} ended without a result (CANCELLED)" in (trunks["moe"].error or "")


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[dict[str, str]]:
    """Two Ray nodes of one CPU each; the environment that finds them."""
    require_module("ray")
    ray = (sys.executable, "-m", "ray.scripts.scripts")
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    common = ("--num-cpus=1", "--object-store-memory=80000000")
    head = ("--head", f"--port={RAY_PORT}", "--include-dashboard=false", "--dashboard-agent-listen-port=20200")
    head = (*head, "--min-worker-port=20000", "--max-worker-port=20049")
    node = (f"--address=127.0.0.1:{RAY_PORT}", "--dashboard-agent-listen-port=20201")
    node = (*node, "--min-worker-port=20050", "--max-worker-port=20099")
    try:
        for part in (head, node):
            subprocess.run((*ray, "start", *common, *part), env=env, check=True, capture_output=True, timeout=120)
        yield {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ADDRESS": f"127.0.0.1:{RAY_PORT}"}
    finally:
        subprocess.run((*ray, "stop", "--force"), env=env, check=False, capture_output=True, timeout=120)


def test_a_study_joins_a_ray_cluster_and_gives_the_records_of_the_local_run(
    ray_cluster: dict[str, str], local: Store, tmp_path: Path
) -> None:
    code, told = finish(start(tmp_path, *study(LONG), "hydra/launcher=ray", env=ray_cluster))
    assert code == 0, told
    assert essence(store_in(tmp_path)) == essence(local)
    assert told.count("  finished  ") == 5, told


def test_a_task_killed_in_ray_is_one_failed_record_never_a_second_try_and_the_rest_goes_on(
    ray_cluster: dict[str, str], tmp_path: Path
) -> None:
    command = start(tmp_path, *study(LONG), "hydra/launcher=ray", env=ray_cluster)
    store = store_in(tmp_path)
    task = command_of(wait_until_it_trains(store, "dense-s-trunk"))
    assert "ray::" in task.cmdline()[0]
    task.send_signal(signal.SIGKILL)
    code, told = finish(command)
    assert code == 3, told
    records = {(record.arm, record.role): record for record in store.load_records()[0]}
    assert "the launcher said: " in (records["dense", "trunk"].error or "")
    assert "its trunk" in (records["dense", "branch"].error or "")
    assert records["moe", "branch"].status == "finished"
    assert told.count(f"{records['dense', 'trunk'].run_id}  failed") == 1, told
    log = store.log_path(records["dense", "trunk"].run_id)
    assert log.exists()
    assert workers_of(store, "dense-s-trunk") == []
