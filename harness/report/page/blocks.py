"""What a page is made of: sections of prose, figures and tables, all of them plain data for the template."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

Cell = Markup | str


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `numeric` aligns it to the right and sorts it by ``data-value``."""

    title: str
    numeric: bool = False


def text_columns(*names: str) -> tuple[Column, ...]:
    """Return columns of words."""
    return tuple(Column(name) for name in names)


def columns_of(names: Sequence[str], words: Collection[str] = (), *, first_numeric: int = 0) -> tuple[Column, ...]:
    """Return columns that hold numbers from `first_numeric` on, but for those named in `words`, which hold words."""
    return tuple(Column(name, i >= first_numeric and name not in words) for i, name in enumerate(names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table; cells that are plain `str` are escaped by the template."""

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    sortable: bool = False
    filterable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file that the page carries inside itself: its name, what it holds, and its bytes."""

    file_name: str
    title: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """An inline SVG, its caption, and the table that says the same in numbers.

    Marks of the drawing name rows of `table` (`plots.style.mark_rows`): pointing at a mark shows its row.
    """

    id: str
    caption: str
    svg: Markup | None
    table: Table | None
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section of the page, in the order lead, figures, code, facts, tables, downloads, notes."""

    id: str
    title: str
    lead: Cell = ""
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    facts: tuple[tuple[str, Cell], ...] = ()
    notes: tuple[Cell, ...] = ()
    code: str = ""
    downloads: tuple[Download, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One verdict: `tone` is ``good``, ``bad``, ``open`` or ``none`` and only repeats what `word` says."""

    claim_id: str
    statement: str
    source: str
    word: str
    tone: str
    text: str
    big: Markup
    big_label: str
    scale: Markup | None
    facts: tuple[tuple[str, Cell], ...] = field(default=())
    blocking: tuple[str, ...] = ()
    modelled: Cell = ""
