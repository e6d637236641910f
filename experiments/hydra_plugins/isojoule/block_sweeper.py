"""Hydra sweeper of isojoule: trunks and branches in shuffled blocks; finished runs are skipped, failed ones passed by.

Comma lists without cells give single runs, shuffled too. Any Hydra launcher carries the jobs: in turn on this machine, in
waves elsewhere (`harness.experiments.waves`).
"""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Sequence
from typing import Any

from harness.experiments.inference import hide_places
from harness.experiments.job import build_job, ended, show_on
from harness.experiments.launchers import register_launchers
from harness.experiments.study import StudyJob, is_settled, plan_study, promise_study, trunk_is_needed
from harness.experiments.waves import Decision, LaunchedRun, launch_wave, run_in_waves, runs_at_once
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from harness.core.clock import utc_label
from harness.core.config import is_inference
from harness.core.errors import ConfigError
from harness.core.markers import owner_state
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.run.outline import failed_record
from harness.run.progress import StudyProgress


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
        if _has_comma_lists(arguments, self.hydra_context) or not self.config.sweep.cells:
            self._sweep_singles(arguments)
            return
        jobs, app = plan_study(self._compose, arguments)
        store = Store(app.store)
        try:
            promise_study(store, app, jobs, " ".join(("isojoule run -m", *map(hide_places, arguments))))
            with StudyProgress(app.study, len(jobs), sum(job.weight for job in jobs)) as display:
                show_on(display)
                self._run_all(jobs, store, display)
        finally:
            show_on(None)

    def _run_all(self, jobs: Sequence[StudyJob], store: Store, display: StudyProgress) -> None:
        branches = {job.run_id: [other for other in jobs if other.trunk_id == job.run_id] for job in jobs}
        places = {job.run_id: place for place, job in enumerate(jobs)}
        at_once = runs_at_once(self.launcher)

        def decide(job: StudyJob, ahead: set[str]) -> Decision:
            if owner_state(store.marker_path(job.run_id)) == "alive" or job.trunk_id in ahead:
                return "wait"
            is_trial = job.config.role == "single" and not is_inference(job.config)
            settled = is_settled(store, job.run_id, is_trial=is_trial)
            if not (trunk_is_needed(store, job, branches[job.run_id]) if branches[job.run_id] else not settled):
                display.skip(job.weight)
                self._drop_checkpoints(jobs, job, store)
                return "done"
            if job.trunk_id is None or store.is_finished(job.trunk_id):
                return "run"
            if store.record_path(job.trunk_id).exists():  # without one it was interrupted, and can go on
                text = f"its trunk {job.trunk_id} failed; see that record"
                record = failed_record(job.config, job.run_id, utc_label(), text)
                store.write_failure(record)
                display.end(record, 0.0)
            return "done"

        def launch(wave: list[StudyJob]) -> list[StudyJob]:
            runs = [LaunchedRun(job.run_id, job.overrides, job.config, store) for job in wave]

            def end(record: RunRecord, seconds: float) -> None:
                display.begin(record.run_id, jobs[places[record.run_id]].weight)
                display.end(record, seconds)

            display.begin(wave[0].run_id if len(wave) == 1 else f"{len(wave)} runs at once", wave[0].weight)
            taken = launch_wave(self.launcher, runs, places[wave[0].run_id], end if at_once else None)
            for job in wave:
                self._drop_checkpoints(jobs, job, store)
            return [jobs[places[run.run_id]] for run in taken]

        run_in_waves(jobs, decide, launch, at_once=at_once)

    def _drop_checkpoints(self, jobs: Sequence[StudyJob], job: StudyJob, store: Store) -> None:
        """Remove checkpoints that no run to come needs: those of a finished run, a trunk's after its last branch."""
        if store.is_finished(job.run_id) and job.config.role != "trunk":
            shutil.rmtree(store.checkpoint_dir(job.run_id), ignore_errors=True)
        if store.is_finished(job.run_id) and job.trunk_id is not None:
            siblings = [other for other in jobs if other.trunk_id == job.trunk_id]
            if all(store.is_finished(other.run_id) for other in siblings):
                shutil.rmtree(store.checkpoint_dir(job.trunk_id), ignore_errors=True)

    def _sweep_singles(self, arguments: list[str]) -> None:
        batch = _product(arguments, self.hydra_context)
        random.Random(len(batch)).shuffle(batch)
        if any(job.config.role != "single" for job in (build_job(self._compose(item)) for item in batch[:1])):
            raise ConfigError("comma lists make single runs; this experiment lists cells of its own (sweep.cells).")
        todo: list[LaunchedRun] = []
        seen = set()
        for overrides in batch:
            job = build_job(self._compose(overrides))
            if job.store.record_path(job.run_id) in seen:
                raise ConfigError(
                    f"two of the combinations ask for the same run '{job.run_id}' (an address or a folder is no part "
                    "of it); run them one by one, each with a study of its own (study=NAME)."
                )
            seen.add(job.store.record_path(job.run_id))
            if not job.store.is_finished(job.run_id):
                todo.append(LaunchedRun(job.run_id, tuple(overrides), job.config, job.store))
        at_once = runs_at_once(self.launcher)
        with StudyProgress("sweep", len(todo), len(todo)) as display:
            show_on(display)

            def decide(run: LaunchedRun, _: set[str]) -> Decision:
                if owner_state(run.store.marker_path(run.run_id)) == "alive":
                    return "wait"
                return "done" if run.store.is_finished(run.run_id) else "run"

            def launch(wave: list[LaunchedRun]) -> list[LaunchedRun]:
                def end(record: RunRecord, seconds: float) -> None:
                    ended.append(record)
                    display.begin(record.run_id, 1)
                    display.end(record, seconds)

                display.begin(" ".join(wave[0].overrides[-2:]) if len(wave) == 1 else f"{len(wave)} runs at once", 1)
                return launch_wave(self.launcher, wave, todo.index(wave[0]), end if at_once else None)

            run_in_waves(todo, decide, launch, at_once=at_once)
        show_on(None)

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        composed: DictConfig = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        return composed


def _parse(arguments: Sequence[str], context: HydraContext) -> list[Any]:
    parsed: list[Any] = OverridesParser.create(config_loader=context.config_loader).parse_overrides(list(arguments))
    return parsed


def _has_comma_lists(arguments: Sequence[str], context: HydraContext) -> bool:
    return any(override.is_sweep_override() for override in _parse(arguments, context))


def _product(arguments: Sequence[str], context: HydraContext) -> list[list[str]]:
    """Return one list of overrides for each combination of the comma lists."""
    choices = []
    for override in _parse(arguments, context):
        key = override.get_key_element()
        if not override.is_sweep_override():
            choices.append([f"{key}={override.get_value_element_as_str()}"])
        elif override.is_discrete_sweep():
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            raise ConfigError(f"'{key}' asks for a range that is not a list; write {key}=1,2,3.")
    return [list(item) for item in itertools.product(*choices)]
