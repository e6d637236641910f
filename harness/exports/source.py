"""The records of a store, one at a time, so that a large store needs no more memory than its largest run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core.answers import TaskResult
from harness.core.errors import RecordError, did_you_mean
from harness.core.records import RunRecord
from harness.core.store import Store, list_records, read_record


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSource:
    """Paths of the readable records in the order of their run ids, and one line for each file that is left out."""

    store: Store
    paths: tuple[Path, ...]
    unreadable: tuple[str, ...]

    def iterate_records(self) -> Iterator[RunRecord]:
        """Yield the records in the order of their run ids."""
        for path in self.paths:
            yield read_record(path)

    def load_answers(self, run_id: str) -> list[TaskResult]:
        """Return the answers of a run, an empty list where it kept none."""
        return self.store.load_answers(run_id)


def open_source(root: Path, run_id: str | None = None) -> ExportSource:
    """Find the records of the store at `root`, or that of `run_id` alone.

    Raises:
        RecordError: no record file, none that can be read, two records of one id, or no record of `run_id`.
    """
    store = Store(root)
    found: dict[str, Path] = {}
    unreadable: list[str] = []
    for name in list_records(root):
        path = root / "records" / name
        try:
            record = read_record(path)
        except RecordError as error:
            unreadable.append(f"left out: {error}")
            continue
        if record.run_id in found:
            raise RecordError(
                f"'{path.name}' and '{found[record.run_id].name}' hold the same run '{record.run_id}'; remove one."
            )
        found[record.run_id] = path
    if not found and not unreadable:
        raise RecordError(f"no run records under '{root}'; give the folder of a study (it holds records/).")
    if not found:
        raise RecordError(f"none of the {len(unreadable)} records under '{root}' can be read; {unreadable[0]}")
    if run_id is not None:
        if run_id not in found:
            raise RecordError(f"no run '{run_id}' under '{root}'.{did_you_mean(run_id, found)}")
        found = {run_id: found[run_id]}
    return ExportSource(store=store, paths=tuple(found[key] for key in sorted(found)), unreadable=tuple(unreadable))
