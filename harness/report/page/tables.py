"""Tables as markup: short ones whole, of long ones the first rows and the rest in the page's payload.

Ten thousand rows as elements make a page of 13 MB that takes seconds to open. A long table shows its first rows as they
are, and all of its rows, the same markup, travel compressed; the script pages, sorts and filters over all of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from harness.report.page.blocks import Cell, Column, Table
from harness.report.page.escapes import show_all_controls

# Rows that stand in the page itself, and how many of a longer table's do. Words (checks, failures) are read there and
# numbers compared; the table of a figure lies in a fold, below the drawing that says the same.
MAX_ROWS = {"words": (60, 40), "numbers": (8, 5), "figure": (5, 3)}
_MIN_SORTABLE = 3
_MIN_FILTERABLE = 13
_LONG_TEXT = 40
_IDS = ("Run", "Commit", "SHA-256", "SHA-256 of the weights")
# How an interval was made, as `numbers.interval` writes it: said once where a whole table shares it.
_HOW_MARK = '<small class="why how">'
_HOW = re.compile(rf" ?{_HOW_MARK}([^<]*)</small>")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableView:
    """A table as the template writes it; `hidden_rows` is empty where all rows stand in the page."""

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Markup, ...]
    num_rows: int
    sortable: bool
    filterable: bool
    common: str = ""
    hidden_rows: tuple[str, ...] = ()


def view_table(table: Table, *, of_figure: bool = False) -> TableView:
    """Return the table's rows as markup; of a long one the first rows, with all rows in `hidden_rows`."""
    is_wordy = not any(column.numeric for column in table.columns)
    longest, shown = MAX_ROWS["words" if is_wordy else "figure" if of_figure else "numbers"]
    looks = [_look_of(column) for column in table.columns]
    cells = [[_render_cell(*pair) for pair in zip(looks, row, strict=True)] for row in table.rows]
    cells, common = _say_once(table.columns, cells)
    rows = tuple(map(_render_row, cells))
    long = len(rows) > longest
    return TableView(
        id=table.id,
        caption=table.caption,
        columns=table.columns,
        rows=rows[:shown] if long else rows,
        num_rows=len(rows),
        sortable=table.sortable or len(rows) >= _MIN_SORTABLE,
        filterable=table.filterable or len(rows) >= _MIN_FILTERABLE,
        common=common,
        hidden_rows=show_all_controls(rows) if long else (),
    )


def _say_once(columns: Sequence[Column], rows: list[list[str]]) -> tuple[list[list[str]], str]:
    """Take out how intervals were made where most of a column says the same; return the rows and that text.

    Cells that say something else keep it, so the text tells how all others were made.
    """
    told: dict[str, list[str]] = {}
    for place, column in enumerate(columns):
        found = [how for row in rows if _HOW_MARK in row[place] for how in _HOW.findall(row[place])]
        how, times = max(((how, found.count(how)) for how in dict.fromkeys(found)), key=lambda x: x[1], default=("", 0))
        if times < 2 or 2 * times <= len(found):
            continue
        same = re.compile(rf" ?{_HOW_MARK}{re.escape(how)}</small>")
        for row in rows:
            row[place] = same.sub("", row[place])
        told.setdefault(Markup(how).unescape(), []).append(column.title)  # noqa: S704 - from a cell
    if len(told) == 1:
        return rows, next(iter(told))
    return rows, "; ".join(f"{', '.join(titles)}: {how}" for how, titles in told.items())


def _render_row(cells: Sequence[str]) -> Markup:
    return Markup(f"<tr>{''.join(cells)}</tr>")  # noqa: S704 - cells are markup


def _look_of(column: Column) -> str | None:
    """Return how all cells of `column` look, ``None`` where it is the length of their text that tells."""
    return ' class="id"' if column.title in _IDS else ' class="num"' if column.numeric else None


def _render_cell(look: str | None, cell: Cell) -> str:
    """Return a cell as markup."""
    text = cell if isinstance(cell, Markup) else escape(cell)
    if look is None:
        look = ' class="long"' if len(text) > _LONG_TEXT and len(text.striptags()) > _LONG_TEXT else ""
    return f"<td{look}>{text}</td>"
