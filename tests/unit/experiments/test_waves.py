"""What goes at once, what comes back later, and what becomes of a run whose job ended without a record."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from harness.experiments import launchers, waves
from harness.experiments.compose import compose_app, to_run_config
from harness.experiments.launchers import register_launchers
from harness.experiments.study_job import StudyJob
from harness.experiments.waves import Decision, launch_wave, run_in_waves
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf

from harness.core.clock import utc_label
from harness.core.config import RunConfig
from harness.core.errors import ConfigError, RunInterruptedError, RunTakenError
from harness.core.markers import Owner, claim_marker, describe_owner
from harness.core.store import Store
from harness.run.outline import begin_record


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return to_run_config(compose_app([]))


@pytest.fixture
def make(config: RunConfig, tmp_path: Path) -> Callable[..., StudyJob]:
    store = Store(tmp_path / "store")

    def build(name: str, trunk_id: str | None = None) -> StudyJob:
        run_id = f"{name}-00000000"
        of_trunk = None if trunk_id is None else f"{trunk_id}-00000000"
        return StudyJob(run_id, (name,), dataclasses.replace(config, trunk_id=of_trunk), 0, store, 1.0)

    return build


class FakeLauncher(Launcher):
    """Does to each run what `ends` says: an exception is raised by the job, a callable makes its record."""

    def __init__(self, ends: dict[str, Any], error: Exception | None = None) -> None:
        self.ends = ends
        self.error = error
        self.calls: list[list[list[str]]] = []

    def setup(self, **_: Any) -> None:
        """Nothing to take."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        self.calls.append([list(item) for item in job_overrides])
        returned = []
        for (name,) in job_overrides:
            end = self.ends.get(name)
            if callable(end):
                end()
                end = None
            status = JobStatus.COMPLETED if end is None else JobStatus.FAILED
            returned.append(JobReturn(status=status, _return_value=end))
        if self.error is not None:
            raise self.error
        return returned


def _finish(job: StudyJob) -> None:
    job.store.write_record(begin_record(job.config, job.run_id, job.run_id[-8:], utc_label()))


def _order(jobs: Sequence[StudyJob], *, at_once: bool) -> list[list[str]]:
    """Return what is launched together, where every launched run finishes."""
    launched: list[list[str]] = []

    def decide(job: StudyJob, ahead: set[str]) -> Decision:
        if job.trunk_id in ahead:
            return "wait"
        return "done" if job.store.is_finished(job.run_id) else "run"

    def launch(wave: list[StudyJob]) -> list[StudyJob]:
        launched.append([job.overrides[0] for job in wave])
        for job in wave:
            _finish(job)
        return []

    run_in_waves(jobs, decide, launch, at_once=at_once, poll_s=0.0)
    return launched


@pytest.fixture
def jobs(make: Callable[..., StudyJob]) -> list[StudyJob]:
    return [make("t1"), make("b1", "t1"), make("single"), make("t2"), make("b2", "t2"), make("b3", "t2")]


def test_a_wave_is_every_run_whose_trunk_is_finished_in_the_order_of_the_plan(jobs: list[StudyJob]) -> None:
    assert _order(jobs, at_once=True) == [["t1", "single", "t2"], ["b1", "b2", "b3"]]


def test_in_turn_the_plan_is_followed_as_it_stands(jobs: list[StudyJob]) -> None:
    assert _order(jobs, at_once=False) == [[name] for name in ("t1", "b1", "single", "t2", "b2", "b3")]


def test_branches_of_a_finished_trunk_are_in_the_first_wave(jobs: list[StudyJob]) -> None:
    _finish(jobs[0])
    assert _order(jobs, at_once=True) == [["b1", "single", "t2"], ["b2", "b3"]]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_run_that_another_host_works_on_is_passed_over_and_looked_at_again(
    jobs: list[StudyJob], *, at_once: bool
) -> None:
    """Its branch waits with it; when the other host is done, both are settled and nothing is made twice."""
    looked: list[str] = []
    launched: list[str] = []

    def decide(job: StudyJob, ahead: set[str]) -> Decision:
        name = job.overrides[0]
        looked.append(name)
        if name == "t1" and looked.count("t1") < 3:
            return "wait"
        if name == "t1":
            _finish(job)  # the other host did
        if job.trunk_id in ahead:
            return "wait"
        return "done" if job.store.is_finished(job.run_id) else "run"

    def launch(wave: list[StudyJob]) -> list[StudyJob]:
        launched.extend(job.overrides[0] for job in wave)
        for job in wave:
            _finish(job)
        return []

    run_in_waves(jobs, decide, launch, at_once=at_once, poll_s=0.0)
    assert sorted(launched) == ["b1", "b2", "b3", "single", "t2"]
    assert launched[-1] == "b1"


def test_a_stop_lets_the_wave_so_far_go_and_nothing_after_it(jobs: list[StudyJob]) -> None:
    launched: list[list[str]] = []

    def decide(job: StudyJob, _: set[str]) -> Decision:
        return "stop" if job.overrides[0] == "single" else "run"

    def launch(wave: list[StudyJob]) -> list[StudyJob]:
        launched.append([job.overrides[0] for job in wave])
        return []

    run_in_waves(jobs, decide, launch, at_once=True, poll_s=0.0)
    assert launched == [["t1", "b1"]]


def test_a_job_that_ended_without_a_record_is_one_failed_record_with_the_launchers_words(
    make: Callable[..., StudyJob],
) -> None:
    good, killed = make("good"), make("killed")
    launcher = FakeLauncher({"good": lambda: _finish(good), "killed": "job 7_1 ended without a result (NODE_FAIL)"})
    told: list[str] = []
    assert launch_wave(launcher, [good, killed], 0, lambda record, _: told.append(record.status)) == []
    record = killed.store.load_record(killed.run_id)
    assert record is not None
    assert (record.status, record.error) == (
        "failed",
        "the launcher said: job 7_1 ended without a result (NODE_FAIL)",
    )
    assert good.store.is_finished(good.run_id)
    assert sorted(told) == ["failed", "finished"]


def test_a_launcher_that_raises_leaves_the_records_that_its_jobs_wrote(make: Callable[..., StudyJob]) -> None:
    good, lost = make("good"), make("lost")
    launcher = FakeLauncher({"good": lambda: _finish(good)}, error=RuntimeError("a worker died"))
    assert launch_wave(launcher, [good, lost], 0) == []
    assert good.store.is_finished(good.run_id)
    record = lost.store.load_record(lost.run_id)
    assert record is not None
    assert record.error == "the launcher said: a worker died"


def test_a_job_that_found_its_run_taken_leaves_it_to_its_owner_and_looks_again(make: Callable[..., StudyJob]) -> None:
    job = make("taken")
    assert claim_marker(job.store.marker_path(job.run_id), {}, describe_owner())
    assert launch_wave(FakeLauncher({"taken": RunTakenError("taken")}), [job], 0) == [job]
    assert job.store.load_record(job.run_id) is None


def test_an_interrupted_run_is_no_failure_and_is_not_launched_again(make: Callable[..., StudyJob]) -> None:
    """A job that was told to stop comes back without words; its marker's owner is dead."""
    job = make("stopped")
    dead = dataclasses.replace(describe_owner(), began_ticks=0)
    assert claim_marker(job.store.marker_path(job.run_id), {}, dead)
    assert launch_wave(FakeLauncher({}), [job], 0) == []
    assert job.store.load_record(job.run_id) is None


def test_a_run_that_somebody_else_goes_on_with_gets_no_failed_record(
    make: Callable[..., StudyJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another host an owner seems to live for a while; one that lives on after that is not the job that ended."""
    monkeypatch.setattr(waves, "DEAD_AFTER_S", 0.0)
    monkeypatch.setattr(waves, "BEAT_S", 0.0)
    monkeypatch.setattr(waves, "POLL_S", 0.0)
    job = make("other")
    elsewhere = Owner(host="another", boot_id="b", pid_namespace="n", pid=1, began_ticks=1)
    assert claim_marker(job.store.marker_path(job.run_id), {}, elsewhere)
    assert launch_wave(FakeLauncher({"other": "job 7 ended"}), [job], 0) == [job]
    assert job.store.load_record(job.run_id) is None


def test_a_command_that_is_told_to_stop_ends_and_writes_nothing(make: Callable[..., StudyJob]) -> None:
    job = make("here")
    with pytest.raises(RunInterruptedError):
        launch_wave(FakeLauncher({"here": RunInterruptedError("stopped", 15)}), [job], 0)
    assert job.store.load_record(job.run_id) is None


def test_a_launcher_that_could_submit_nothing_fails_no_run(make: Callable[..., StudyJob]) -> None:
    job = make("unsent")
    with pytest.raises(ConfigError, match="nothing was submitted"):
        launch_wave(FakeLauncher({}, error=ConfigError("nothing was submitted to slurm")), [job], 0)
    assert job.store.load_record(job.run_id) is None


@pytest.mark.parametrize(
    ("target", "extra"),
    [("_slurm.SlurmLauncher", "slurm"), ("_slurm.LocalLauncher", "slurm"), ("_ray.RayLauncher", "ray")],
)
def test_a_launcher_whose_package_is_missing_is_one_line_that_says_what_to_install(
    target: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launchers.importlib.util, "find_spec", lambda _: None)
    config = OmegaConf.create({"hydra": {"launcher": {"_target_": f"hydra_plugins.isojoule.{target}"}}})
    with pytest.raises(ConfigError, match=rf"pip install 'isojoule\[{extra}\]'"):
        register_launchers(config)


def test_slurm_without_its_plugin_is_the_same_line_at_composition(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    compose_app(["hydra/launcher=slurm", "hydra.launcher.partition=gpu"])
    monkeypatch.delitem(ConfigStore.instance().repo["hydra"]["launcher"], "submitit_slurm.yaml")
    with pytest.raises(ConfigError, match=r"pip install 'isojoule\[slurm\]'"):
        compose_app(["hydra/launcher=slurm"])


@pytest.mark.parametrize("name", ["ray", "ray_local"])
def test_ray_never_tries_a_task_again_whatever_is_asked(name: str) -> None:
    """The configuration composes; `max_retries` is not the user's to set, so that no run is made twice."""
    pytest.importorskip("ray")
    compose_app([f"hydra/launcher={name}", "hydra.launcher.ray.remote.num_gpus=1"])
    from hydra_plugins.isojoule._ray import RayLauncher

    launcher = RayLauncher(OmegaConf.create({"init": {"address": "auto"}, "remote": {"max_retries": 3}}))
    assert launcher.options["max_retries"] == 0
