"""Hydra sweeper of isojoule: trunks and branches in shuffled blocks; finished runs are skipped, failed ones passed by.

Comma lists without cells give single runs, shuffled too. Any Hydra launcher carries the jobs: in turn on this machine,
in waves elsewhere (`harness.experiments.waves`). Several commands may share one study: a run is claimed by its marker.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from harness.experiments.combinations import has_comma_lists, plan_combinations
from harness.experiments.compose import to_app_config
from harness.experiments.inference import hide_places
from harness.experiments.job import show_on
from harness.experiments.launchers import register_launchers
from harness.experiments.promise import build_budget, promise_study
from harness.experiments.schedule import Schedule, choices, outcome, plan_estimates
from harness.experiments.schema import AppConfig
from harness.experiments.study import plan_study
from harness.experiments.study_job import StudyJob
from harness.experiments.waves import Decision, launch_wave, run_in_waves, runs_at_once
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from harness.core.clock import utc_label
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.run.outline import failed_record
from harness.run.progress import StudyProgress
from harness.run.schedule_file import ScheduleFile, save_schedule


class BlockSweeper(Sweeper):
    """Lays out a study and launches what has no finished record yet."""

    def __init__(self) -> None:
        super().__init__()
        self.config: DictConfig
        self.launcher: Launcher
        self.hydra_context: HydraContext

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over and make the configured launcher."""
        self.config = config
        self.hydra_context = hydra_context
        register_launchers(config)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the study that `arguments` describe."""
        is_one_job = not self.config.sweep.cells and runs_at_once(self.launcher)
        if is_one_job or has_comma_lists(arguments, self.hydra_context.config_loader):
            jobs = plan_combinations(self._compose, arguments, self.hydra_context.config_loader)
            self._follow(jobs, to_app_config(self._compose(jobs[0].overrides)), "sweep")
            return
        jobs, app = plan_study(self._compose, arguments)
        store = Store(app.store)
        promise_study(store, app, jobs, _command(arguments))
        flops = {job.run_id: job.train_flops for job in jobs}
        save_schedule(store.root, ScheduleFile(budget=build_budget(app.sweep), train_flops=flops))
        self._follow(jobs, app, app.study)

    def _follow(self, jobs: Sequence[StudyJob], app: AppConfig, title: str) -> None:
        """Run the jobs in their order under a display, and leave for the command what became of them."""
        schedule = Schedule(jobs, build_budget(app.sweep), plan_estimates(jobs), choices)
        outcome.jobs = list(jobs)
        with StudyProgress(title, len(jobs), sum(job.weight for job in jobs)) as display:
            show_on(display)
            try:
                self._run_all(jobs, schedule, display)
            finally:
                show_on(None)
        outcome.stopped = schedule.stopped

    def _run_all(self, jobs: Sequence[StudyJob], schedule: Schedule, display: StudyProgress) -> None:
        places = {job.run_id: place for place, job in enumerate(jobs)}
        at_once = runs_at_once(self.launcher)

        def end(record: RunRecord, seconds: float) -> None:
            job = jobs[places[record.run_id]]
            display.begin(job.run_id, job.weight)
            display.end(record, seconds)

        def decide(job: StudyJob, ahead: set[str]) -> Decision:
            if job.trunk_id in ahead:
                return "wait"
            action = schedule.decide(job)
            if action in ("run", "stop"):
                return action
            if action == "leave":  # to another process, or until its interrupted trunk goes on
                return "wait" if schedule.state(job) == "running" else "done"
            if action == "fail":
                record = failed_record(job.config, job.run_id, utc_label(), _trunk_failed(job))
                job.store.write_failure(record)
                end(record, 0.0)
                schedule.note(job)
            else:
                display.skip(job.weight)
            _drop_checkpoints(schedule, job)
            return "done"

        def launch(wave: list[StudyJob]) -> list[StudyJob]:
            title = wave[0].run_id if len(wave) == 1 else f"{len(wave)} runs at once"
            display.begin(title, sum(job.weight for job in wave))
            elsewhere = launch_wave(self.launcher, wave, places[wave[0].run_id], end if at_once else None)
            for job in wave:
                schedule.note(job)
                _drop_checkpoints(schedule, job)
            return elsewhere

        run_in_waves(jobs, decide, launch, at_once=at_once)

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        composed: DictConfig = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        return composed


def _drop_checkpoints(schedule: Schedule, job: StudyJob) -> None:
    """Remove checkpoints that no run to come needs: those of a finished run, a trunk's after its last branch."""
    store = job.store
    if not store.is_finished(job.run_id):
        return
    if job.config.role != "trunk":
        shutil.rmtree(store.checkpoint_dir(job.run_id), ignore_errors=True)
    if job.trunk_id is not None and all(store.is_finished(other.run_id) for other in schedule.siblings_of(job)):
        shutil.rmtree(store.checkpoint_dir(job.trunk_id), ignore_errors=True)


def _trunk_failed(job: StudyJob) -> str:
    return f"its trunk {job.trunk_id} failed; see that record"


def _command(arguments: Sequence[str]) -> str:
    """Return the command as the promise keeps it: without places, and without the budget, which may change."""
    kept = [argument for argument in arguments if not argument.lstrip("+").startswith("sweep.budget")]
    return " ".join(("isojoule run -m", *map(hide_places, kept)))
