"""What becomes of a run when its turn comes: resumed studies, failed trunks, the first failure, budgets."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from harness.experiments.schedule import Choices, Schedule, find_job_state
from harness.experiments.study_job import StudyJob
from safetensors.numpy import save_file

from harness.core.config import Budget, RunConfig, TrainConfig
from harness.core.store import Store
from harness.run.estimate import THIS_STORE, Estimator, Pool
from harness.run.study_budget import StudyBudget
from harness.train.checkpoint import checkpoint_path
from harness.train.integrity import STATE, TENSORS, seal_state
from harness.train.schedule import fork_step
from tests.unit.run.study_factory import MACHINE, fail_run, make_run, make_window, mark_alive, mark_dead

WINDOWS = (
    make_window("idle_before", 0.0, 1.0, 2.0),
    make_window("pretrain", 1.0, 10.0, 100.0),
    make_window("decode", 11.0, 2.0, 20.0),
)
FLOPS = 10e9


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def _job(store: Store, run_id: str, role: str = "single", trunk_id: str | None = None, **more) -> StudyJob:
    train = TrainConfig(budget=Budget(tokens=102400))
    config = RunConfig(role=role, trunk_id=trunk_id, branch_tokens=[102400] if role == "trunk" else [], train=train)
    config.model.size = "s"
    return StudyJob(run_id, (), config, 0, store, FLOPS, **more)


def _tree(store: Store) -> list[StudyJob]:
    return [_job(store, "t", "trunk"), _job(store, "b1", "branch", "t"), _job(store, "b2", "branch", "t")]


def _schedule(jobs: list[StudyJob], budget: StudyBudget | None = None, **chosen: bool) -> Schedule:
    return Schedule(jobs, budget or StudyBudget(), Estimator(Pool(THIS_STORE, [], MACHINE)), Choices(**chosen))


def _finish(store: Store, *run_ids: str) -> None:
    for run_id in run_ids:
        store.write_record(make_run(run_id, WINDOWS))


def _keep_checkpoint(job: StudyJob, trunk: str) -> Path:
    step = fork_step(job.config.train, job.config.train.budget.tokens)
    folder = checkpoint_path(job.store.checkpoint_dir(trunk), step)
    folder.mkdir(parents=True)
    save_file({"weight": np.zeros(2)}, folder / TENSORS)
    (folder / STATE).write_text(json.dumps(seal_state({"step": step}, folder / TENSORS)))
    return folder


def test_a_study_started_again_skips_finished_leaves_failed_and_goes_on_with_interrupted_runs(store: Store) -> None:
    jobs = [_job(store, name) for name in ("done", "failed", "broken_off", "new", "elsewhere")]
    _finish(store, "done")
    store.write_record(fail_run("failed"))
    mark_dead(store, "broken_off")
    mark_alive(store, "elsewhere")
    assert [_schedule(jobs).decide(job) for job in jobs] == ["skip", "skip", "run", "run", "leave"]
    assert [_schedule(jobs, retry_failed=True).decide(job) for job in jobs] == ["skip", "run", "run", "run", "leave"]
    states = [find_job_state(job) for job in jobs]
    assert states == [None, "failed", "interrupted", "waiting", "running"]


def test_a_retry_that_was_interrupted_goes_on_without_the_flag(store: Store) -> None:
    job = _job(store, "failed")
    store.write_record(fail_run("failed"))
    mark_dead(store, "failed")
    assert _schedule([job]).decide(job) == "run"


def test_a_trial_that_diverged_is_an_answer_and_a_run_by_itself_that_did_is_a_failure(store: Store) -> None:
    store.write_record(dataclasses.replace(fail_run("x"), error="the training loss is nan at step 3"))
    trial, alone = _job(store, "x", is_trial=True), _job(store, "x")
    assert _schedule([trial], retry_failed=True).decide(trial) == "skip"
    assert find_job_state(trial) is None
    assert _schedule([alone], retry_failed=True).decide(alone) == "run"
    assert find_job_state(alone) == "failed"


def test_a_branch_of_a_failed_trunk_fails_and_both_come_again_with_a_retry(store: Store) -> None:
    jobs = _tree(store)
    store.write_record(fail_run("t"))
    schedule = _schedule(jobs)
    assert [schedule.decide(job) for job in jobs] == ["skip", "fail", "fail"]
    for name in ("b1", "b2"):
        store.write_record(fail_run(name))
    assert [_schedule(jobs).decide(job) for job in jobs] == ["skip", "skip", "skip"]
    again = _schedule(jobs, retry_failed=True)
    assert again.decide(jobs[0]) == "run"
    _finish(store, "t")
    again.note(jobs[0])
    assert [again.decide(job) for job in jobs[1:]] == ["run", "run"]


def test_a_branch_waits_for_a_trunk_that_was_interrupted_and_does_not_fail(store: Store) -> None:
    jobs = _tree(store)
    mark_dead(store, "t")
    assert _schedule(jobs).decide(jobs[1]) == "leave"


def test_a_finished_trunk_comes_again_only_for_a_branch_to_come_that_lacks_its_checkpoint(store: Store) -> None:
    jobs = _tree(store)
    _finish(store, "t", "b1")
    assert _schedule(jobs).decide(jobs[0]) == "run"
    store.write_record(fail_run("b2"))
    assert _schedule(jobs).decide(jobs[0]) == "skip", "its failed branch is left as it is"
    assert _schedule(jobs, retry_failed=True).decide(jobs[0]) == "run"
    kept = _keep_checkpoint(jobs[2], "t")
    assert _schedule(jobs, retry_failed=True).decide(jobs[0]) == "skip"
    (kept / STATE).write_text("{")
    assert _schedule(jobs, retry_failed=True).decide(jobs[0]) == "run", "what is kept is damaged"


def test_stop_at_first_ends_the_study_at_the_first_failure_and_keep_going_does_not(store: Store) -> None:
    jobs = [_job(store, "a"), _job(store, "b")]
    for stops in (True, False):
        schedule = _schedule(jobs, stop_at_first=stops, retry_failed=True)
        assert schedule.decide(jobs[0]) == "run"
        store.write_record(fail_run("a"))
        schedule.note(jobs[0])
        assert schedule.decide(jobs[1]) == ("stop" if stops else "run")
        assert (schedule.stopped is not None) == stops


def test_a_budget_counts_what_was_spent_before_and_what_is_under_way(store: Store) -> None:
    jobs = [_job(store, name) for name in ("a", "b", "c", "d")]
    _finish(store, "a")
    schedule = _schedule(jobs, StudyBudget(flops=3 * FLOPS))
    assert [schedule.decide(job) for job in jobs] == ["skip", "run", "run", "stop"]
    assert "needs 10.0 GFLOP" in (schedule.stopped or "") or "used up" in (schedule.stopped or "")


def test_a_budget_in_seconds_or_joules_stops_by_what_finished_runs_took(store: Store) -> None:
    for budget in (StudyBudget(seconds=30.0), StudyBudget(joules=300.0)):
        jobs = [_job(store, f"{name}-{budget.joules}") for name in "abcd"]
        schedule = _schedule(jobs, budget)
        done = []
        for job in jobs:
            if schedule.decide(job) != "run":
                break
            store.write_record(make_run(job.run_id, WINDOWS, environment=_here()))
            schedule.note(job)
            done.append(job.run_id)
        assert len(done) == 2, "13 s and 122 J a run: a third does not fit"
        assert "estimated from 2 finished runs" in (schedule.stopped or "")


def _here():
    environment = make_run("x", ()).environment
    assert environment is not None
    return dataclasses.replace(environment, device=MACHINE.device, device_name=MACHINE.name, num_cpus=2, num_threads=2)
