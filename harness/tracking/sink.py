"""What a tracker must be able to do, and the trackers by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.core.errors import ConfigError
from harness.core.registry import Registry

SINKS = Registry(
    "tracking sink",
    {
        "mlflow": "harness.tracking.mlflow_sink:MLflowSink",
        "tensorboard": "harness.tracking.tensorboard_sink:TensorBoardSink",
        "wandb": "harness.tracking.wandb_sink:WandbSink",
    },
)
# The module of each, to say before the first run that it is not installed.
MODULES = {"mlflow": "mlflow", "tensorboard": "tensorboard", "wandb": "wandb"}


class MissingSinkError(ConfigError):
    """A tracker that was asked for and is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Numbers at one moment of training; `step` counts tokens, `time_s` is wall time (Unix)."""

    step: int
    time_s: float
    values: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedRun:
    """One run that ended, as trackers get it; `metrics` hold nothing that is unknown."""

    run_id: str
    study: str
    is_finished: bool
    params: dict[str, str]
    tags: dict[str, str]
    points: Sequence[Point]
    metrics: dict[str, float]
    last_step: int
    end_s: float


class Sink(Protocol):
    """A tracker that keeps its files in a folder of its own. Made once a command; each run is written when it ended."""

    def __init__(self, folder: Path) -> None:
        """Import the tracker's library and get ready to write under `folder`."""

    def write(self, run: TrackedRun) -> None:
        """Write one run; a run of the same id again is another entry, or replaces the first."""

    def close(self) -> None:
        """Write what is buffered and end whatever the library started."""
