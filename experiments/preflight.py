"""Mistakes found before the first run starts: values across fields, corpus, model folder, device, sensors asked for."""

from __future__ import annotations

from collections.abc import Callable

from harness.experiments.compose import to_run_config
from harness.experiments.inference import check_places
from harness.experiments.schema import AppConfig
from harness.experiments.served import check_served

from harness.core.config import RunConfig, is_inference
from harness.core.model_config import HuggingFaceConfig
from harness.data import prepare_data
from harness.run.identity import needs_corpus
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
        from harness.infer.hf_checks import check_model  # noqa: PLC0415 - brings transformers in, only when needed

        check_model(config.model)
    if config.task.lm_eval:
        from harness.run.lm_eval_tasks import check_lm_eval  # noqa: PLC0415 - brings torch in, only when needed

        check_lm_eval(config.task)


def _check_device(config: RunConfig) -> None:
    if config.device in ("auto", "cpu"):
        return
    from harness.run.device import resolve_device  # noqa: PLC0415 - brings torch in, only when needed

    resolve_device(config.device)
