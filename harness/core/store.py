"""A folder of run records: written whole or not at all, found again by run id.

Layout under the root: ``records/<run_id>.json``, ``traces/<run_id>.json`` (power), ``logs/<run_id>.log``,
``started/<run_id>.json`` (marker of a run under way), ``checkpoints/<run_id>/``, ``models/<run_id>/`` (trained),
``answers/<run_id>.jsonl`` (one line for each task that was asked).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.core.answers import TaskResult, answers_from_jsonl, answers_to_jsonl
from harness.core.collector import pause_collector
from harness.core.errors import RecordError
from harness.core.markers import describe_owner
from harness.core.plain_json import (
    PlainJsonError,
    check_file_name,
    parse_json,
    read_bytes,
    read_text,
    why_unreadable,
)
from harness.core.records import RunRecord, record_from_json, record_to_json

MAX_RECORD_BYTES = 2**26


class Store:
    """One study's records on disk; reading never changes anything."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def _place(self, folder: str, run_id: str, ending: str = "") -> Path:
        """Return a path inside the store.

        Raises:
            RecordError: `run_id` leads out of its folder.
        """
        try:
            check_file_name(run_id, "run id")
        except PlainJsonError as error:
            raise RecordError(f"'{self.root}': {error}; a run id is part of file names.") from None
        return self.root / folder / f"{run_id}{ending}"

    def record_path(self, run_id: str) -> Path:
        """Return where the record of `run_id` stands."""
        return self._place("records", run_id, ".json")

    def trace_path(self, run_id: str) -> Path:
        """Return where the power trace of `run_id` stands."""
        return self._place("traces", run_id, ".json")

    def log_path(self, run_id: str) -> Path:
        """Return where the worker of `run_id` logs."""
        return self._place("logs", run_id, ".log")

    def samples_dir(self, run_id: str) -> Path:
        """Return a folder of this process for the samples of `run_id`; only a run that crashed leaves it behind."""
        owner = describe_owner()  # process ids of several hosts, or containers, may be the same
        place = hashlib.sha256(f"{owner.host}:{owner.boot_id}:{owner.pid_namespace}".encode()).hexdigest()[:8]
        return self._place("samples", run_id, f"-{place}-{owner.pid}")

    def marker_path(self, run_id: str) -> Path:
        """Return the start marker of `run_id`: it stands while the run is under way."""
        return self._place("started", run_id, ".json")

    def checkpoint_dir(self, run_id: str) -> Path:
        """Return the folder of the checkpoints of `run_id`."""
        return self._place("checkpoints", run_id)

    def model_dir(self, run_id: str) -> Path:
        """Return the folder of the trained model of `run_id`, which is there where it was to be kept."""
        return self._place("models", run_id)

    def answers_path(self, run_id: str) -> Path:
        """Return where the answers of `run_id` stand, one task a line."""
        return self._place("answers", run_id, ".jsonl")

    def write_answers(self, run_id: str, results: Iterable[TaskResult]) -> None:
        """Write the answers of a run, one task a line."""
        write_text_atomically(self.answers_path(run_id), answers_to_jsonl(results))

    def load_answers(self, run_id: str) -> list[TaskResult]:
        """Return the answers of `run_id`, an empty list where the run kept none.

        Raises:
            RecordError: there is a file, and a line of it cannot be read.
        """
        path = self.answers_path(run_id)
        try:
            return answers_from_jsonl(read_text(path), str(path))
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(f"{path} is no file of answers: {why_unreadable(error)}") from error

    def write_record(self, record: RunRecord) -> Path:
        """Write `record` atomically and remove its start marker; return the path."""
        path = self.record_path(record.run_id)
        write_text_atomically(path, record_to_json(record))
        self.marker_path(record.run_id).unlink(missing_ok=True)
        return path

    def write_failure(self, record: RunRecord) -> Path:
        """Write the record of a run that left nothing else; answers and trace of an earlier try go with its record.

        A finished record of an earlier try stays as it is.
        """
        if self.is_finished(record.run_id):
            self.marker_path(record.run_id).unlink(missing_ok=True)
            return self.record_path(record.run_id)
        self.answers_path(record.run_id).unlink(missing_ok=True)
        self.trace_path(record.run_id).unlink(missing_ok=True)
        return self.write_record(record)

    def write_trace(self, run_id: str, trace: dict[str, Any]) -> None:
        """Write the power trace of a run: ``{"series": [{sensor, domain, times_s, power_w}], "windows": [...]}``."""
        write_text_atomically(self.trace_path(run_id), json.dumps(trace, allow_nan=False))

    def load_record(self, run_id: str) -> RunRecord | None:
        """Return the record of `run_id`, or ``None`` when there is none.

        Raises:
            RecordError: there is one, and it cannot be read.
        """
        path = self.record_path(run_id)
        try:
            record = record_from_json(read_bytes(path, MAX_RECORD_BYTES), str(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RecordError(f"{path} is not a readable run record: {why_unreadable(error)}") from error
        if record.run_id != run_id:
            raise RecordError(f"{path} is not a readable run record: it is of another run, '{record.run_id}'")
        return record

    def hash_records(self) -> str | None:
        """Return the SHA-256 over the bytes of all record files in the order of their names.

        ``None`` where there are none, or one cannot be read.

        ``LC_ALL=C sh -c 'cat records/*.json' | sha256sum`` gives the same.
        """
        digest = hashlib.sha256()
        try:
            names = [name for name in list_records(self.root) if not name.startswith(".")]
            for name in sorted(names, key=os.fsencode):
                digest.update(read_bytes(self.root / "records" / name))
        except (OSError, RecordError):
            return None
        return digest.hexdigest() if names else None

    def count_records(self) -> int:
        """Return how many record files there are, readable or not."""
        return sum(1 for _ in (self.root / "records").glob("*.json"))

    def is_finished(self, run_id: str) -> bool:
        """Return whether `run_id` has a readable record with status ``finished``."""
        try:
            record = self.load_record(run_id)
        except RecordError:
            return False
        return record is not None and record.status == "finished"

    def load_trace(self, run_id: str) -> dict[str, Any] | None:
        """Return the power trace of `run_id`, or ``None`` when there is none that can be read."""
        path = self.trace_path(run_id)
        try:
            trace = parse_json(read_bytes(path))
        except (OSError, ValueError):
            return None
        return trace if isinstance(trace, dict) else None

    def find_traces(self, run_ids: Iterable[str]) -> StoredTraces:
        """Return the power traces that stand in the store for `run_ids`; each is read when it is asked for."""
        folder = self.root / "traces"
        there = {path.stem for path in folder.glob("*.json")}
        return StoredTraces(self, tuple(run_id for run_id in run_ids if run_id in there))

    def load_records(self, see: Callable[[RunRecord], object] | None = None) -> tuple[list[RunRecord], list[str]]:
        """Return all readable records sorted by run id, and one line for each file that cannot be read.

        `see` gets each record as soon as it is read. Of a store that may be large, take `iterate_records` where one
        record at a time will do.

        Raises:
            RecordError: the folder is not there or holds no record file at all.
        """
        unreadable: list[str] = []
        with pause_collector():  # it doubles the time of 10 000 records
            records = []
            for record in self.iterate_records(unreadable):
                records.append(record)
                if see is not None:
                    see(record)
        return records, unreadable

    def iterate_records(self, unreadable: list[str] | None = None) -> Iterator[RunRecord]:
        """Yield the readable records in the order of their file names, one in memory at a time.

        `unreadable` gets one line for each file that cannot be read, or holds a run that an earlier file holds.

        Raises:
            RecordError: the folder is not there or holds no record file at all.
        """
        names = list_records(self.root)
        if not names:
            raise RecordError(f"no run records under '{self.root}'; give the folder of a study (it holds records/).")
        seen: dict[str, str] = {}
        problems = [] if unreadable is None else unreadable
        for name in names:
            try:
                record = read_record(self.root / "records" / name)
            except RecordError as error:
                problems.append(str(error))
                continue
            first = seen.setdefault(record.run_id, name)
            if first != name:
                problems.append(f"{name} is not a readable run record: {first} holds the run '{record.run_id}'")
                continue
            yield record


class StoredTraces(Mapping[str, Mapping[str, Any]]):
    """Power traces by run id, none of them in memory: a page of thousands of runs shows one.

    A file that cannot be read, or holds something else, is a trace without any series.
    """

    def __init__(self, store: Store, run_ids: tuple[str, ...]) -> None:
        self._store = store
        self._run_ids = dict.fromkeys(run_ids)

    def __getitem__(self, run_id: str) -> Mapping[str, Any]:
        """Read the trace of `run_id`."""
        if run_id not in self._run_ids:
            raise KeyError(run_id)
        trace = self._store.load_trace(run_id)
        return trace if isinstance(trace, dict) else {}

    def __iter__(self) -> Iterator[str]:
        """Go through the run ids in their order."""
        return iter(self._run_ids)

    def __len__(self) -> int:
        """Return how many traces there are."""
        return len(self._run_ids)


def list_records(root: Path) -> list[str]:
    """Return the names of the record files of the store at `root` in order, an empty list where there are none.

    Raises:
        RecordError: there is a folder of records, and it cannot be read.
    """
    try:
        with os.scandir(root / "records") as entries:
            return sorted(entry.name for entry in entries if entry.name.endswith(".json"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RecordError(f"the records under '{root}' cannot be read: {why_unreadable(error)}") from error


def read_record(path: Path) -> RunRecord:
    """Return the record in the file `path`, whatever it is called.

    Raises:
        RecordError: it cannot be read; the line begins with the file's name.
    """
    try:
        return record_from_json(read_bytes(path, MAX_RECORD_BYTES), path.name)
    except OSError as error:
        raise RecordError(f"{path.name} is not a readable run record: {why_unreadable(error)}") from error


def write_text_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader, or a crash, sees the old file or the new one, never a part.

    Raises:
        OSError: it cannot be written; it names `path`, and nothing is left beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")  # hosts share process ids
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
