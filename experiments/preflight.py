"""Mistakes found before the first run starts: values across fields, corpus, model folder, device, sensors asked for."""

from __future__ import annotations

from collections.abc import Callable

from harness.experiments.compose import to_run_config
from harness.experiments.inference import check_places
from harness.experiments.promise import build_budget
from harness.experiments.schema import AppConfig
from harness.experiments.served import check_served

from harness.core.config import RunConfig, is_inference
from harness.core.errors import ConfigError
from harness.core.model_config import HuggingFaceConfig
from harness.data import prepare_data
from harness.run.identity import needs_corpus
from harness.run.study_budget import StudyBudget
from harness.sensors.discover import open_sensors
from harness.tasks.suite import check_suite


def check_before_run(app: AppConfig, compose: Callable[[list[str]], AppConfig]) -> None:
    """Check everything that a run would stumble over, and prepare its corpus (cached).

    The cells of a study in which nothing is trained are checked one by one: `compose` adds their overrides to those of
    the command.

    Raises:
        HarnessError: the first mistake, in one line.
    """
    cells = app.sweep.cells
    if not cells or not (is_inference(app) or any(cell.model == HuggingFaceConfig.family for cell in cells)):
        _check_run(to_run_config(app))
        return
    check_places(app)
    for cell in cells:
        _check_run(to_run_config(compose([f"arm={cell.arm}", f"model={cell.model}", *cell.overrides])))


def check_budget(app: AppConfig, *, multirun: bool) -> StudyBudget:
    """Return the budget of a study after a check that it can be followed.

    Raises:
        ConfigError: a limit is not above 0, there is no study, or no sensor for joules.
    """
    budget = build_budget(app.sweep)
    if budget and not multirun:
        raise ConfigError("sweep.budget is for a whole study; a run by itself stops at train.budget.seconds and such.")
    if budget.joules is None:
        return budget
    sensors = open_sensors(app.measure.sensor)
    for sensor in sensors:
        sensor.close()
    if not sensors:
        raise ConfigError(
            "sweep.budget.joules cannot be followed: no energy sensor is readable here (isojoule doctor says why); "
            "give sweep.budget.seconds or sweep.budget.flops instead."
        )
    return budget


def _check_run(config: RunConfig) -> None:
    if config.task.answer:
        check_suite(config.task)
    check_served(config)
    _check_device(config)
    if config.measure.sensor.names != ["auto"]:
        for sensor in open_sensors(config.measure.sensor):
            sensor.close()
    if needs_corpus(config):
        prepare_data(config.data)
    if isinstance(config.model, HuggingFaceConfig) and config.task.mode == "engine":
        from harness.run.published.run import check_published, prepare_questions  # noqa: PLC0415 - torch, where needed

        prepare_questions(config, check_published(config))


def _check_device(config: RunConfig) -> None:
    if config.device in ("auto", "cpu"):
        return
    from harness.run.device import resolve_device  # noqa: PLC0415 - brings torch in, only when needed

    resolve_device(config.device)
