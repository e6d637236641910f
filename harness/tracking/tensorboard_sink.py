"""TensorBoard event files, one folder a run; written without torch and without TensorFlow."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from harness.tracking.sink import TrackedRun

_PROTOCOL = "tensorboard.compat.proto"
_WRITER = "tensorboard.summary.writer.event_file_writer"


class TensorBoardSink:
    """Read it with ``tensorboard --logdir <store>/tracking/tensorboard``."""

    def __init__(self, folder: Path) -> None:
        events, summaries, tensors = (
            import_module(f"{_PROTOCOL}.{name}_pb2") for name in ("event", "summary", "tensor")
        )
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._writer: Any = import_module(_WRITER).EventFileWriter
        self._event, self._summary, self._metadata = events.Event, summaries.Summary, summaries.SummaryMetadata
        self._tensor: Any = tensors.TensorProto

    def write(self, run: TrackedRun) -> None:
        """Write one run as an event file of its own; an earlier try of the same run stays beside it."""
        writer = self._writer(str(self._folder / run.run_id))
        try:
            for name, values in (("config", run.params), ("run", run.tags)):
                writer.add_event(self._event(summary=self._text(name, values), step=0, wall_time=run.end_s))
            for point in run.points:
                writer.add_event(self._scalars(point.values, point.step, point.time_s))
            writer.add_event(self._scalars(run.metrics, run.last_step, run.end_s))
        finally:
            writer.close()

    def close(self) -> None:
        """Nothing stays open: each run has a file of its own."""

    def _scalars(self, values: dict[str, float], step: int, time_s: float) -> object:
        parts = [self._summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        return self._event(summary=self._summary(value=parts), step=step, wall_time=time_s)

    def _text(self, name: str, values: dict[str, str]) -> object:
        """Return a table in Markdown, which the text dashboard shows."""
        rows = "\n".join(f"| {key} | {value} |".replace("\n", " ") for key, value in values.items())
        metadata = self._metadata(plugin_data=self._metadata.PluginData(plugin_name="text"))
        tensor = self._tensor(dtype="DT_STRING", string_val=[f"| name | value |\n|---|---|\n{rows}".encode()])
        return self._summary(value=[self._summary.Value(tag=name, metadata=metadata, tensor=tensor)])
