"""The dry run behind ``isojoule plan``: composes every run as ``isojoule run`` does, and starts none."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

from harness.experiments.arguments import RunArguments
from harness.experiments.combinations import has_comma_lists, plan_combinations
from harness.experiments.compose import CONFIG_MODULE, CONFIG_NAME, compose_app, explain
from harness.experiments.preflight import check_before_run, check_budget
from harness.experiments.schedule import find_job_state, plan_estimates
from harness.experiments.schema import AppConfig, register_schemas
from harness.experiments.study import plan_study
from harness.experiments.study_job import Compose, StudyJob, build_study_job
from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from harness.core.config import is_inference
from harness.core.errors import ConfigError, RecordError
from harness.run.estimate import Estimate, Estimator
from harness.run.run_figures import RunFigures, read_figures
from harness.run.study_budget import Spent, StudyBudget, add_up, why_stop
from harness.run.study_plan import TO_COME, PlanRow, StudyPlan


def make_plan(typed: RunArguments) -> StudyPlan:
    """Return the plan of what ``isojoule run`` would do with the same arguments; writes nothing but caches.

    Raises:
        HarnessError: the first mistake in the overrides, in one line.
    """
    first = typed.first_choices()
    app = compose_app(first, typed.config_dir)
    is_many = typed.multirun or bool(app.sweep.cells) or has_comma_lists(typed.overrides)
    budget = check_budget(app, multirun=is_many)
    check_before_run(app, lambda more: compose_app([*first, *more], typed.config_dir))
    with _composer(typed.config_dir) as build:
        jobs = _list_jobs(build, typed.overrides, app)
    figures = _read_all(jobs)
    estimator = plan_estimates(jobs)
    spent = add_up(figures.values(), estimator.between_s)
    rows = tuple(_build_row(index, job, figures.get(job.run_id), estimator) for index, job in enumerate(jobs))
    if typed.retry_failed:
        rows = tuple(_retried(row) for row in rows)
    stop = _find_stop(rows, budget, spent)
    return StudyPlan(
        title=app.sweep.title if app.sweep.cells and app.sweep.title else app.study,
        store=str(jobs[0].store.root),
        rows=rows,
        device=estimator.store.device,
        between_s=estimator.between_s,
        budget=budget,
        spent=spent,
        stops_before=stop[0] if stop else None,
        stop_reason=stop[1] if stop else None,
    )


@contextlib.contextmanager
def _composer(config_dir: str | None) -> Iterator[Compose]:
    """Give what composes one run after the other, with one clear line for what Hydra says."""
    register_schemas()
    extra = [f"hydra.searchpath=[file://{config_dir}]"] if config_dir else []

    def build(overrides: Sequence[str]) -> DictConfig:
        return compose(CONFIG_NAME, overrides=[*extra, *overrides])

    try:
        with initialize_config_module(CONFIG_MODULE, version_base="1.3"):
            yield build
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error)) from error


def _list_jobs(build: Compose, overrides: Sequence[str], app: AppConfig) -> list[StudyJob]:
    if has_comma_lists(overrides):
        return plan_combinations(build, overrides)
    if app.sweep.cells:
        return plan_study(build, overrides)[0]
    return [build_study_job(build(overrides), overrides, 0)]


def _read_all(jobs: Sequence[StudyJob]) -> dict[str, RunFigures]:
    found = {}
    for job in jobs:
        path = job.store.record_path(job.run_id)
        with contextlib.suppress(RecordError):
            if path.exists():
                found[job.run_id] = read_figures(path)
    return found


def _build_row(index: int, job: StudyJob, figures: RunFigures | None, estimator: Estimator) -> PlanRow:
    config = job.config
    state = find_job_state(job) or "finished"
    is_done = state == "finished" and figures is not None
    return PlanRow(
        index=index,
        run_id=job.run_id,
        block=job.block,
        role=config.role,
        arm=config.arm,
        size=config.model.size,
        seed=config.seed,
        budget_tokens=None if is_inference(config) else config.train.budget.tokens,
        train_flops=job.train_flops,
        state=state,
        measured=figures if is_done else None,
        estimate=None if is_done else estimator.estimate(job.to_come()),
    )


def _retried(row: PlanRow) -> PlanRow:
    """Return a failed run as one that waits, as ``--retry-failed`` makes it."""
    return dataclasses.replace(row, state="waiting") if row.state == "failed" else row


def _find_stop(rows: Sequence[PlanRow], budget: StudyBudget, spent: Spent) -> tuple[str, str] | None:
    """Return the first run that `budget` does not hold by the estimates, and why; ``None``: as far as is known, all."""
    seconds, joules, flops = spent.seconds, spent.joules or 0.0, spent.flops
    for row in rows:
        if row.state not in TO_COME:
            continue
        before = Spent(
            seconds=seconds,
            joules=joules,
            flops=flops,
            unknown_joules=spent.unknown_joules,
            energy_reason=spent.energy_reason,
        )
        estimate = row.estimate or Estimate()
        reason = why_stop(budget, before, row.run_id, estimate, row.train_flops)
        if reason is not None:
            return row.run_id, reason
        seconds, joules = seconds + (estimate.seconds or 0.0), joules + (estimate.joules or 0.0)
        flops += row.train_flops
    return None
