"""Columns of a table: a name with its unit, a type, and where its value comes from; the unknown is null."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import pyarrow as pa

ColumnType = Literal["text", "float", "int", "bool"]
Row = TypeVar("Row")
_ARROW: dict[ColumnType, Any] = {
    "text": pa.string(),
    "float": pa.float64(),
    "int": pa.int64(),
    "bool": pa.bool_(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[Row]):
    """One column of a table of `Row`; `read` returns the value of a row, ``None`` where it is not known."""

    name: str
    type: ColumnType
    read: Callable[[Row], Any]


def make_schema(columns: Sequence[Column[Row]]) -> Any:
    """Return the Arrow schema of the columns; every column may be null."""
    return pa.schema([pa.field(column.name, _ARROW[column.type]) for column in columns])


def build_table(columns: Sequence[Column[Row]], rows: Iterable[Row]) -> Any:
    """Return an Arrow table with one row for each of `rows`."""
    kept = list(rows)
    arrays = [pa.array([column.read(row) for row in kept], type=_ARROW[column.type]) for column in columns]
    return pa.Table.from_arrays(arrays, schema=make_schema(columns))
