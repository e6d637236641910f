"""What a person sees while a study runs: one bar for the study with its ETA, one for the run."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness.core.records import RunRecord
from harness.core.terminal import escape_controls
from harness.core.units import format_duration, format_si


class StudyProgress:
    """A display of `total_weight` units of work; a line stays for every run that ends."""

    def __init__(self, title: str, num_runs: int, total_weight: float) -> None:
        self.console = Console(stderr=True)
        self._num_runs = num_runs
        self._num_done = 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._study = self._progress.add_task(title, total=total_weight, note="")
        self._run: TaskID | None = None
        self._weight = 0.0
        self._base = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, run_id: str, weight: float) -> None:
        """Show that `run_id`, worth `weight`, has begun."""
        self._weight = weight
        if self._run is not None:
            self._progress.remove_task(self._run)
        self._run = self._progress.add_task(run_id, total=None, note="starting")

    def on_event(self, event: dict[str, Any]) -> None:
        """Take an event of the worker: a phase, or steps done with the current loss."""
        if self._run is None:
            return
        if event.get("event") == "phase":
            self._progress.update(self._run, note=str(event.get("phase")))
        elif event.get("event") == "progress" and event.get("total"):
            done, total = float(event["done"]), float(event["total"])
            loss = event.get("loss")
            note = f"{loss:.3f} bits/byte" if isinstance(loss, float) else ""
            self._progress.update(self._run, total=total, completed=done, note=note)
            self._progress.update(self._study, completed=self._base + self._weight * min(1.0, done / total))

    def end(self, record: RunRecord, seconds: float) -> None:
        """Leave a line for a run that ended."""
        self._skip()
        loss = record.quality_value("validation_bits_per_byte")
        parts = [f"[{self._num_done}/{self._num_runs}]", record.run_id, record.status, format_duration(seconds)]
        if loss is not None and record.path is not None:
            parts += [f"{loss:.4f} bits/byte", format_si(record.path.flops, "FLOP")]
        if record.status == "failed":
            parts.append((record.error or "").splitlines()[0] if record.error else "")
        self.console.print(escape_controls("  ".join(parts)), markup=False, highlight=False, soft_wrap=True)

    def skip(self, weight: float) -> None:
        """Count a run that was finished before."""
        self._weight = weight
        self._skip()

    def _skip(self) -> None:
        self._num_done += 1
        self._base += self._weight
        self._weight = 0.0
        self._progress.update(self._study, completed=self._base, note=f"{self._num_done}/{self._num_runs} runs")
