"""Tables as CSV or Parquet: ``tasks``, ``runs`` and ``windows`` in one folder, written run by run.

A row group of Parquet holds whole runs (one alone where it is large), and null is null. In CSV an unknown value is an
empty cell, while an empty text is ``""``; every text is quoted. A text that a spreadsheet would take for a formula (it
begins with ``=``, ``+``, ``-`` or ``@``, their full-width forms, a tab or an end of line) gets an apostrophe before it,
and one that begins with apostrophes and then such a character gets one more: taking one apostrophe away from a text
that begins so gives back what stood in the record (`restore`). Numbers are written as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from harness.exports.columns import Column, Row, build_table, make_schema
from harness.exports.files import make_folder, replace_file
from harness.exports.options import ExportOptions
from harness.exports.run_columns import collect_quality, make_run_columns
from harness.exports.source import ExportSource
from harness.exports.task_columns import TASK_COLUMNS, TaskRow
from harness.exports.window_columns import WINDOW_COLUMNS, iterate_window_rows

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
ROWS_AT_ONCE = 65536
# What is kept back to make row groups that are worth their header: small runs share one.
ROWS_OF_A_GROUP = 4096
BYTES_OF_A_GROUP = 2**23


def export_csv(source: ExportSource, out: Path, _: ExportOptions) -> tuple[list[Path], list[str]]:
    """Write ``tasks.csv``, ``runs.csv`` and ``windows.csv`` into the folder `out`."""
    return _export(source, make_folder(out), "csv")


def export_parquet(source: ExportSource, out: Path, _: ExportOptions) -> tuple[list[Path], list[str]]:
    """Write ``tasks.parquet``, ``runs.parquet`` and ``windows.parquet`` into the folder `out`."""
    return _export(source, make_folder(out), "parquet")


def neutralise(text: str | None) -> str | None:
    """Return `text` with an apostrophe before it where a spreadsheet would run it as a formula."""
    return f"'{text}" if text is not None and _FORMULA.match(text) else text


def restore(cell: str) -> str:
    """Return the text of the record that `neutralise` wrote as `cell`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def render_csv(table: Any) -> bytes:
    """Return an Arrow table as CSV (UTF-8); texts are quoted and neutralised as in the exported files."""
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(_neutralise(table), sink)
    return bytes(sink.getvalue())


def render_parquet(table: Any) -> bytes:
    """Return an Arrow table as one Parquet file, packed tightly; it holds no time, so equal tables are equal bytes."""
    texts = [field.name for field in table.schema if pa.types.is_string(field.type) or pa.types.is_boolean(field.type)]
    split = {field.name: "BYTE_STREAM_SPLIT" for field in table.schema if pa.types.is_floating(field.type)}
    sink = pa.BufferOutputStream()
    pq.write_table(
        table, sink, compression="zstd", compression_level=19, use_dictionary=texts, write_statistics=False,
        column_encoding=split, store_schema=False,
    )  # fmt: skip
    return bytes(sink.getvalue())


def _export(source: ExportSource, folder: Path, kind: str) -> tuple[list[Path], list[str]]:
    paths = [folder / f"{name}.{kind}" for name in ("tasks", "runs", "windows")]
    num_tasks = _write(paths[0], TASK_COLUMNS, _iterate_task_rows(source))
    runs = make_run_columns(collect_quality(source.iterate_records()))
    _write(paths[1], runs, ([record] for record in source.iterate_records()))
    _write(paths[2], WINDOW_COLUMNS, (list(iterate_window_rows(record)) for record in source.iterate_records()))
    notes = [] if num_tasks else ["the runs kept no answers (answers/), so the table of tasks has no rows."]
    return paths, notes


def _iterate_task_rows(source: ExportSource) -> Iterator[list[TaskRow]]:
    for record in source.iterate_records():
        results = source.load_answers(record.run_id)
        results.sort(key=lambda result: (result.kind, result.repetition, result.index))
        yield [TaskRow(record, result) for result in results]


def _write(path: Path, columns: Sequence[Column[Row]], groups: Iterable[Sequence[Row]]) -> int:
    """Write one group of rows after the other; return how many rows there were."""
    schema, count = make_schema(columns), 0
    with replace_file(path) as temporary:
        is_csv = path.suffix == ".csv"
        writer: Any = pa_csv.CSVWriter(temporary, schema) if is_csv else pq.ParquetWriter(temporary, schema)
        with writer:
            for table in _gather(columns, groups):
                count += table.num_rows
                writer.write_table(_neutralise(table) if is_csv else table)
    return count


def _gather(columns: Sequence[Column[Row]], groups: Iterable[Sequence[Row]]) -> Iterator[Any]:
    """Yield tables of whole groups, large enough to be worth a row group; a very large group comes in pieces."""
    kept: list[Any] = []
    num_rows = num_bytes = 0
    for rows in groups:
        for begin in range(0, len(rows), ROWS_AT_ONCE):
            table = build_table(columns, rows[begin : begin + ROWS_AT_ONCE])
            kept.append(table)
            num_rows, num_bytes = num_rows + table.num_rows, num_bytes + table.nbytes
            if num_rows >= ROWS_OF_A_GROUP or num_bytes >= BYTES_OF_A_GROUP:
                yield pa.concat_tables(kept).combine_chunks()
                kept, num_rows, num_bytes = [], 0, 0
    if kept:
        yield pa.concat_tables(kept).combine_chunks()


def _neutralise(table: Any) -> Any:
    arrays = [
        pa.array([neutralise(text) for text in column.to_pylist()], type=pa.string())
        if pa.types.is_string(column.type)
        else column
        for column in table.columns
    ]
    return pa.Table.from_arrays(arrays, schema=table.schema)
