"""The same study through Hydra's launchers that need no cluster, and two commands on one store."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from harness.core.store import Store
from tests.integration.launching import essence, finish, start, store_in, study, wait_for
from tests.tools import require_module
from tests.workers import command_of, workers_of


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The study on this machine, run by two commands at once."""
    folder = tmp_path_factory.mktemp("local")
    commands = [start(folder, *study()) for _ in range(2)]
    ends = [finish(command) for command in commands]
    assert [code for code, _ in ends] == [0, 0], ends
    (folder / "told").write_text("\n".join(told for _, told in ends))
    return store_in(folder)


def test_two_commands_at_once_on_one_store_make_every_run_exactly_once(local: Store) -> None:
    told = (local.root.parents[1] / "told").read_text()
    records, unreadable = local.load_records()
    assert unreadable == []
    assert len(records) == 4
    for record in records:
        assert record.status == "finished"
        assert told.count(f"{record.run_id}  finished") == 1, told
    assert not (local.root / ".lock").exists()


def test_another_promise_on_the_same_store_is_still_refused(local: Store) -> None:
    code, told = finish(start(local.root.parents[1], *study(), "sweep.match.num_losses=3"))
    assert code == 2
    assert "other match" in told


def test_submitit_gives_the_records_of_the_local_run(local: Store, tmp_path: Path) -> None:
    require_module("submitit")
    code, told = finish(start(tmp_path, *study(), "hydra/launcher=slurm_local"))
    assert code == 0, told
    assert essence(store_in(tmp_path)) == essence(local)
    assert told.count("  finished  ") == 4, told


def test_a_worker_and_a_job_killed_under_submitit_are_one_failed_record_each(tmp_path: Path) -> None:
    require_module("submitit")
    command = start(tmp_path, *study(), "hydra/launcher=slurm_local")
    store = store_in(tmp_path)
    (worker,) = wait_for("the worker of a trunk", lambda: workers_of(store, "dense-s-trunk"))
    worker.send_signal(signal.SIGKILL)
    (other,) = wait_for("the worker of the other trunk", lambda: workers_of(store, "moe-s-trunk"))
    command_of(other).send_signal(signal.SIGKILL)
    code, told = finish(command)
    assert code == 3, told
    by_arm = {record.arm: record for record in store.load_records()[0] if record.role == "trunk"}
    assert "SIGKILL" in (by_arm["dense"].error or "")
    assert "the launcher said: job" in (by_arm["moe"].error or "")
    branches = [record for record in store.load_records()[0] if record.role == "branch"]
    assert all("its trunk" in (record.error or "") for record in branches)
    code, told = finish(start(tmp_path, *study(), "--retry-failed"))
    assert code == 0, told
    assert {record.status for record in store.load_records()[0]} == {"finished"}
