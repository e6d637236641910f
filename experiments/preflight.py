"""Mistakes found before the first run starts: values across fields, the corpus, the device, the sensors asked for."""

from __future__ import annotations

from harness.experiments.compose import to_run_config
from harness.experiments.schema import AppConfig

from harness.core.config import RunConfig
from harness.data import prepare_data
from harness.sensors.discover import open_sensors
from harness.tasks.suite import check_suite


def check_before_run(app: AppConfig) -> None:
    """Check everything that a run would stumble over, and prepare its corpus (cached).

    Raises:
        HarnessError: the first mistake, in one line.
    """
    config = to_run_config(app)
    if config.task.answer:
        check_suite(config.task)
    _check_device(config)
    if config.measure.sensor.names != ["auto"]:
        for sensor in open_sensors(config.measure.sensor):
            sensor.close()
    prepare_data(config.data)


def _check_device(config: RunConfig) -> None:
    if config.device in ("auto", "cpu"):
        return
    from harness.run.device import resolve_device  # noqa: PLC0415 - brings torch in, only when needed

    resolve_device(config.device)
