"""MLflow in a local file store: one experiment a study, one run a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.tracking.sink import TrackedRun

# The most that MLflow takes in one batch.
_METRICS_AT_ONCE = 1000
_PARAMS_AT_ONCE = 100


class MLflowSink:
    """Read it with ``mlflow ui --backend-store-uri <store>/tracking/mlflow``."""

    def __init__(self, folder: Path) -> None:
        for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
            os.environ.setdefault(name, "true")  # the library sends usage home otherwise
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # versions that would rather have a database
        from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415 - takes seconds, only where asked for
        from mlflow.tracking import MlflowClient  # noqa: PLC0415

        folder.mkdir(parents=True, exist_ok=True)
        self._kinds = (Metric, Param, RunTag)
        self._client: Any = MlflowClient(tracking_uri=folder.resolve().as_uri())

    def write(self, run: TrackedRun) -> None:
        """Write one run as a run of the experiment that is called after its study."""
        metric, param, tag = self._kinds
        client = self._client
        known = client.get_experiment_by_name(run.study)
        experiment = client.create_experiment(run.study) if known is None else known.experiment_id
        start_s = run.points[0].time_s if run.points else run.end_s
        entry = client.create_run(experiment, start_time=_ms(start_s), run_name=run.run_id).info.run_id
        params = [param(name, value) for name, value in run.params.items()]
        metrics = [
            metric(name, value, _ms(point.time_s), point.step)
            for point in run.points
            for name, value in point.values.items()
        ]
        metrics += [metric(name, value, _ms(run.end_s), run.last_step) for name, value in run.metrics.items()]
        for part in _parts(params, _PARAMS_AT_ONCE):
            client.log_batch(entry, params=part)
        for part in _parts(metrics, _METRICS_AT_ONCE):
            client.log_batch(entry, metrics=part)
        client.log_batch(entry, tags=[tag(name, value) for name, value in {**run.tags, "run_id": run.run_id}.items()])
        client.set_terminated(entry, "FINISHED" if run.is_finished else "FAILED", end_time=_ms(run.end_s))

    def close(self) -> None:
        """Nothing stays open: each batch is on the disk."""


def _ms(time_s: float) -> int:
    return round(time_s * 1000)


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
