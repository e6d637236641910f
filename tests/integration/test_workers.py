"""Real workers on small runs: warm ones leave nothing behind, stopped ones go on, killed ones are failed records."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.core.config import RunConfig, TaskConfig
from harness.core.errors import DeviceBusyError, RunInterruptedError
from harness.core.markers import owner_state
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.run import forked, warm
from harness.run.device_lock import CPU, hold_devices
from harness.run.identity import identify
from harness.run.isolate import run_isolated
from harness.run.kept_process import Keeper
from harness.run.options import WorkerOptions
from tests.unit.run.tiny import DENSE, MOE, tiny_run
from tests.workers import workers_of

TASK = TaskConfig(answer=True, num_examples=4, batch_size=4, max_answer_tokens=4, context_length=16, min_window_s=0.01)
RUNS = (
    tiny_run(MOE, task=TASK),
    tiny_run(DENSE, task=TASK, train={"checkpoint_interval_s": 0.05}),
    tiny_run(DENSE, task=TASK, seed=1),
)
LONG = tiny_run(MOE, train={"budget": dataclasses.replace(RUNS[0].train.budget, tokens=400 * 64)})


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ISOJOULE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    yield
    warm.end_warm()
    forked.end_fork_server()


def _run(config: RunConfig, store: Store, isolation: str = "process", **more: Any) -> RunRecord:
    on_event = more.pop("on_event", None)
    options = WorkerOptions(isolation=isolation, **more)
    return run_isolated(config, identify(config)[0], store, on_event, options)


def _pid_of(keeper: Keeper) -> int:
    assert keeper.kept is not None
    return keeper.kept.process.pid


def _peak_of(record: RunRecord) -> int:
    assert record.path is not None
    assert record.path.peak_memory_bytes is not None
    return record.path.peak_memory_bytes


def _essence(record: RunRecord, store: Store) -> tuple[Any, ...]:
    """All that a run computes, without measured time, memory and energy."""
    path = record.path
    answers = [dataclasses.replace(row, energy_j=None, seconds=None) for row in store.load_answers(record.run_id)]
    return (
        record.status,
        record.quality,
        record.loss_curve,
        record.routing,
        record.training_routing,
        record.flops,
        record.params,
        path and (path.tokens, path.flops),
        answers,
    )


def test_warm_workers_and_processes_forked_or_started_anew_give_the_same_records(tmp_path: Path) -> None:
    stores = {isolation: Store(tmp_path / isolation) for isolation in ("process", "spawn", "warm")}
    forked_ones = [_run(config, stores["process"]) for config in RUNS]
    spawned = _run(RUNS[0], stores["spawn"], "spawn")
    warm_ones, pids = [], []
    for config in RUNS:
        warm_ones.append(_run(config, stores["warm"], "warm"))
        pids.append(_pid_of(warm.keeper))
    assert len(set(pids)) == 1, "one process made them all"
    essence = _essence(spawned, stores["spawn"])
    assert (spawned.error, spawned.environment and spawned.environment.isolation) == (None, "spawn")
    assert _essence(warm_ones[0], stores["warm"]) == essence
    for one, other in zip(forked_ones, warm_ones, strict=True):
        assert one.error is None
        assert _essence(one, stores["process"]) == _essence(other, stores["warm"]), one.arm
        assert (one.environment and one.environment.isolation) == "process"
        assert (other.environment and other.environment.isolation) == "warm"
        assert {reading.sensor for window in other.windows for reading in window.energy} == {"synthetic"}
        # pages of libraries that the fork server has touched and a fork has not are not resident in the fork
        assert 0 < _peak_of(other) - _peak_of(one) < 250e6
    assert _peak_of(warm_ones[0]) == pytest.approx(_peak_of(spawned), rel=0.15)
    assert not list((tmp_path / "warm").glob("samples/*"))
    assert not list((tmp_path / "warm").glob("started/*.json"))


def test_a_warm_worker_that_is_killed_is_one_failed_record_and_the_next_run_has_a_new_one(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def kill(event: dict[str, Any]) -> None:
        if event.get("phase") == "model":
            os.kill(_pid_of(warm.keeper), signal.SIGKILL)

    failed = _run(RUNS[0], store, "warm", on_event=kill)
    assert failed.status == "failed"
    assert "SIGKILL" in (failed.error or "")
    assert _run(RUNS[1], store, "warm").status == "finished"
    assert _run(RUNS[0], store, "warm").status == "finished"


def test_a_forked_worker_is_a_fresh_process_each_time_and_its_death_is_its_own(tmp_path: Path) -> None:
    store, workers, servers = Store(tmp_path), [], []

    def look(event: dict[str, Any]) -> None:
        if event.get("phase") == "model":
            (worker,) = workers_of(store)
            workers.append(worker.pid)
            servers.append(_pid_of(forked.keeper))
            assert worker.ppid() == servers[-1]
            if len(workers) == 2:
                worker.kill()

    records = [_run(config, store, on_event=look) for config in RUNS]
    assert [record.status for record in records] == ["finished", "failed", "finished"]
    assert "killed by SIGKILL" in (records[1].error or "")
    assert len(set(workers)) == 3
    assert len(set(servers)) == 1
    assert workers_of(store) == []


def test_a_fork_server_that_is_killed_takes_its_worker_along_and_the_next_run_has_a_new_one(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def kill(event: dict[str, Any]) -> None:
        if event.get("phase") == "model":
            os.kill(_pid_of(forked.keeper), signal.SIGKILL)

    failed = _run(RUNS[0], store, on_event=kill)
    assert failed.status == "failed"
    assert "killed by SIGKILL" in (failed.error or "")
    _wait_until(lambda: not workers_of(store))
    assert _run(RUNS[1], store).status == "finished"


def test_a_fork_server_that_hangs_is_ended_with_its_worker(tmp_path: Path) -> None:
    """Its worker may have ended well meanwhile: then nobody hears of it, and the record tells."""
    store = Store(tmp_path)

    def stop(event: dict[str, Any]) -> None:
        if event.get("phase") == "model":
            os.kill(_pid_of(forked.keeper), signal.SIGSTOP)

    assert _run(RUNS[2], store).status == "finished", "the server is there"
    hung = _pid_of(forked.keeper)
    record = _run(RUNS[1], store, on_event=stop, watchdog_s=12.0)
    assert record.status == "finished", record.error
    assert owner_state(store.marker_path(record.run_id)) == "absent"
    _wait_until(lambda: not psutil.pid_exists(hung) or psutil.Process(hung).status() == psutil.STATUS_ZOMBIE)


def test_a_fork_server_that_is_stopped_lets_its_worker_leave_a_checkpoint(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def stop(event: dict[str, Any]) -> None:
        if event.get("event") == "progress":
            os.kill(_pid_of(forked.keeper), signal.SIGTERM)

    with pytest.raises(RunInterruptedError) as stopped:
        _run(LONG, store, on_event=stop)
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    assert list(store.root.glob("checkpoints/*/step-*"))
    assert owner_state(store.marker_path(identify(LONG)[0])) == "dead"


def test_another_environment_gets_another_fork_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    first = forked.keeper.take(("here",), log)
    assert forked.keeper.take(("here",), log) is first
    assert forked.keeper.take(("there",), log) is not first
    assert first.process.poll() is not None


def _wait_until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10.0
    while not look() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert look()


def test_a_warm_worker_is_replaced_for_other_threads_and_after_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "MAX_RUNS", 2)
    made: list[tuple[object, ...]] = []

    class Fake:
        def __init__(self, key: tuple[object, ...], _: Path) -> None:
            made.append(key)
            self.key, self.num_runs = key, 0

        def fits(self, key: tuple[object, ...]) -> bool:
            self.num_runs += 1
            return self.key == key and self.num_runs < warm.MAX_RUNS

        def end(self) -> None:
            pass

    monkeypatch.setattr(warm, "keeper", Keeper(Fake))
    for config in (RUNS[1], RUNS[2], RUNS[2], dataclasses.replace(RUNS[2], num_threads=2)):
        warm.take_warm(config, Path("log"))
    warm.keeper.kept = None
    assert len(made) == 3


@pytest.mark.parametrize(("isolation", "number"), [("process", signal.SIGTERM), ("warm", signal.SIGINT)])
def test_stopped_from_outside_in_mid_training_and_resumed_is_the_undisturbed_run(
    tmp_path: Path, isolation: str, number: int
) -> None:
    """A real signal to the parent, which has the worker, after a random time in training; twice."""
    whole = Store(tmp_path / "whole")
    expected = _essence(_run(LONG, whole), whole)
    store, run_id = Store(tmp_path / "stopped"), identify(LONG)[0]
    chance = random.Random(f"{isolation}{number}")
    for _ in range(2):
        timer = threading.Timer(chance.uniform(0.0, 0.4), os.kill, (os.getpid(), number))

        def on_event(event: dict[str, Any], timer: threading.Timer = timer) -> None:
            if event.get("event") == "progress" and not timer.ident:
                timer.start()

        with pytest.raises(RunInterruptedError) as stopped:
            _run(LONG, store, isolation, on_event=on_event)
        assert stopped.value.exit_code == 128 + number
        assert owner_state(store.marker_path(run_id)) == "dead"
        assert not store.record_path(run_id).exists()
        assert not list(store.root.glob("samples/*")), "what was sampled is in the checkpoint"
    resumed = _run(LONG, store, isolation)
    assert _essence(resumed, store) == expected
    windows = resumed.windows_of("pretrain")
    assert len(windows) >= 3
    assert sum(window.work.amount for window in windows if window.work) == 400 * 64
    for reading in resumed.path.energy if resumed.path else ():
        parts = [
            r.energy_j for w in windows for r in w.energy if (r.domain, r.sensor) == (reading.domain, reading.sensor)
        ]
        assert reading.energy_j == pytest.approx(sum(part or 0.0 for part in parts))


def test_a_run_waits_for_the_device_fails_or_measures_beside_as_it_was_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store, run_id = Store(tmp_path), identify(RUNS[2])[0]
    with hold_devices([CPU], "the-other-run"):
        with pytest.raises(DeviceBusyError, match="with run the-other-run"):
            _run(RUNS[2], store, lock="fail")
        assert not store.record_path(run_id).exists()
        assert owner_state(store.marker_path(run_id)) == "absent"
        beside = _run(RUNS[2], store, lock="off")
        assert "device_not_locked" in {finding.code for finding in beside.findings}
    store.record_path(run_id).unlink()
    held = hold_devices([CPU], "the-other-run")
    held.__enter__()
    waited = _run(
        RUNS[2], store, on_event=lambda event: held.__exit__(None, None, None) if event["event"] == "waiting" else None
    )
    assert waited.status == "finished"
    assert "device_not_locked" not in {finding.code for finding in waited.findings}
    assert "waiting for cpu: process" in capfd.readouterr().err
