"""The page's numbers as files inside the page: runs as CSV, JSON and Parquet, and the results as JSON.

How much is carried follows from its size: CSV while it is small; JSON plain, then packed, then left out with the
command that writes it; Parquet always, with fewer columns in large studies.
"""

from __future__ import annotations

import gzip
import json
import shlex
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.records import RunRecord
from harness.exports.columns import build_table
from harness.exports.run_columns import collect_quality, make_compact_columns
from harness.exports.tables import render_csv, render_parquet
from harness.report.page.blocks import Cell, Download, Section
from harness.report.results_file import ResultsFile

# A page of up to 200 runs is to stay below 600 kB and one of 10,000 below 3 MB; base64 makes a third more of each.
PLAIN_BYTES = 32_000
PACKED_BYTES = 20_000
RESULTS_BYTES = 28_000
NARROW_RUNS = 2_000
_ROWS_AT_ONCE = 200
_BYTES_AT_ONCE = 2**18
_NARROW = ("run_id", "role", "arm", "size", "seed", "status", "path_tokens", "path_flops", "path_duration_s")
_NARROW_ENERGY = ("path_total_energy_j", "path_total_energy_grade", "path_total_energy_kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """The files that hold the runs, and what is to be said of those that would be too large."""

    files: tuple[Download, ...]
    notes: tuple[Cell, ...]


def make_run_files(records: Sequence[RunRecord], study: str) -> RunFiles:
    """Return all runs as files of the sizes that a page can carry; pure."""
    table = build_run_table(records)
    store = f"runs/{shlex.quote(study)}"
    files: list[Download] = []
    notes: list[Cell] = []
    left_out: list[str] = []
    if table.num_rows:
        csv = render_csv(table)
        found = {
            "CSV": _fit("runs.csv", "All runs as CSV", "text/csv", csv, 0) if len(csv) <= PLAIN_BYTES else None,
            "JSON": _fit_rows("runs.json", "All runs as JSON", table),
        }
        files += [file for file in found.values() if file is not None]
        left_out += [kind for kind, file in found.items() if file is None]
        if left_out:
            notes.append(
                f"As {' and '.join(left_out)} the runs come from the buttons of the table of every run, out of rows "
                f"that the page holds already; with all columns: isojoule export {store} --to csv --out tables"
            )
        title = f"All runs as Parquet, {table.num_columns} columns"
        parquet = render_parquet(table)
        files.append(
            Download(
                file_name="runs.parquet", title=title, media_type="application/vnd.apache.parquet", content=parquet
            )
        )
    else:
        notes.append("There is no readable record, so there is no table of runs.")
    return RunFiles(files=tuple(files), notes=tuple(notes))


def downloads_section(runs: RunFiles, results: ResultsFile) -> Section:
    """Return the files of runs and of `results`; pure."""
    files, notes = list(runs.files), list(runs.notes)
    text = results.text.encode()
    file = _fit("verdicts.json", "Results and verdicts as JSON", "application/json", text, RESULTS_BYTES)
    if file is not None:
        files.append(file)
    else:
        notes.append("The results are too large to stand here once more; verdicts.json is written beside this page.")
    lead = (
        "The same numbers as on this page and in the records, to the last digit; an unknown value is empty (CSV) or "
        "null. Names ending in .gz are packed with gzip. All columns, windows and tasks: isojoule export."
    )
    return Section(id="downloads", title="Downloads", lead=lead, downloads=tuple(files), notes=tuple(notes))


def build_run_table(records: Sequence[RunRecord]) -> Any:
    """Return an Arrow table with one row a run in the order of run ids; columns that no run knows are left out."""
    ordered = sorted(records, key=lambda record: record.run_id)
    columns = make_compact_columns(collect_quality(ordered))
    if len(ordered) > NARROW_RUNS:
        kept = {*_NARROW, *_NARROW_ENERGY}
        columns = tuple(c for c in columns if c.name in kept or (c.name.startswith("quality_") and _is_value(c.name)))
    table = build_table(columns, ordered)
    known = [name for name in table.column_names if table.column(name).null_count < table.num_rows]
    return table.select(known)


def _is_value(name: str) -> bool:
    return not name.endswith(("_stderr", "_n", "_chance", "_reason"))


def _fit_rows(name: str, title: str, table: Any) -> Download | None:
    """Return the rows of `table` as JSON, ``None`` where even a part of them is too large, which is seen early."""
    parts: list[bytes] = []

    def write_rows() -> Iterator[bytes]:
        for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
            text = json.dumps(batch.to_pylist(), indent=1, allow_nan=False, ensure_ascii=False)
            parts.append(text.removeprefix("[\n").removesuffix("\n]").encode("utf-8", "backslashreplace"))
            yield parts[-1]

    if not _packs_within(write_rows(), PACKED_BYTES):
        return None
    return _fit(name, title, "application/json", b"[\n" + b",\n".join(parts) + b"\n]\n", PACKED_BYTES)


def _fit(name: str, title: str, media_type: str, content: bytes, packed_bytes: int) -> Download | None:
    """Return `content` as a file, packed where it is larger, ``None`` where it is too large even so."""
    if len(content) <= PLAIN_BYTES:
        return Download(file_name=name, title=title, media_type=media_type, content=content)
    parts = (content[place : place + _BYTES_AT_ONCE] for place in range(0, len(content), _BYTES_AT_ONCE))
    if not _packs_within(parts, packed_bytes):
        return None
    packed = gzip.compress(content, 9, mtime=0)
    if len(packed) > packed_bytes:
        return None
    # the byte that names the system that packed it says unknown everywhere
    packed = packed[:9] + b"\xff" + packed[10:]
    return Download(file_name=f"{name}.gz", title=f"{title}, packed", media_type="application/gzip", content=packed)


def _packs_within(parts: Iterable[bytes], packed_bytes: int) -> bool:
    """Return whether the first of `parts` do not already make more when packed: most of a large file is not read."""
    packer = zlib.compressobj(9)
    num_bytes = 0
    for part in parts:
        num_bytes += len(packer.compress(part))
        if num_bytes > packed_bytes:
            return False
    return True
