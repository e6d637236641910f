"""Tables as markup: what is shown, what travels in the payload, and what is said once for all rows."""

from __future__ import annotations

import base64
import gzip
import re
from typing import Any

import pytest
from markupsafe import Markup

from harness.analysis.results import Interval
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Table, columns_of
from harness.report.page.payload import PayloadPacker
from harness.report.page.tables import MAX_ROWS, view_table
from tests.unit.report.pages import read_payload

MAX_SHORT, SHOWN_OF_LONG = MAX_ROWS["numbers"]
HOSTILE = "</script><td data-value='0'><b>\u202e\x00\u2028"


def make_table(num_rows: int, text: str = "name") -> Table:
    rows = tuple((f"{text} {i}", n.count(i, f"runs: run-{i}")) for i in range(num_rows))
    return Table(id="toy", caption="A table", columns=columns_of(("Name", "Count"), first_numeric=1), rows=rows)


def interval(low: float, method: str = "paired t", level: float = 0.95) -> Markup:
    return n.interval(Interval(low=low, high=low + 1, level=level, method=method), "runs: a")


def table_of(cells: list[Cell]) -> Table:
    return Table(
        id="toy", caption="c", columns=columns_of(("X", "Y")), rows=tuple((cell, n.count(1, "f")) for cell in cells)
    )


@pytest.mark.parametrize("num_rows", [0, 1, 2, MAX_SHORT])
def test_a_short_table_stands_whole_in_the_page(num_rows: int) -> None:
    view = view_table(make_table(num_rows))
    assert len(view.rows) == view.num_rows == num_rows
    assert view.hidden_rows == ()


def test_a_long_table_shows_its_first_rows_and_carries_all_of_them() -> None:
    view = view_table(make_table(MAX_SHORT + 1))
    assert len(view.rows) == SHOWN_OF_LONG
    assert len(view.hidden_rows) == view.num_rows == MAX_SHORT + 1
    assert view.hidden_rows[:SHOWN_OF_LONG] == tuple(map(str, view.rows))
    values = [re.findall(r'data-value="(\d+)"', row) for row in view.hidden_rows]
    assert values == [[str(i)] for i in range(MAX_SHORT + 1)]


def test_tools_come_where_they_help() -> None:
    assert [view_table(make_table(k)).sortable for k in (2, 3)] == [False, True]
    assert [view_table(make_table(k)).filterable for k in (12, 13)] == [False, True]


def test_texts_are_escaped_in_shown_and_in_hidden_rows() -> None:
    view = view_table(make_table(MAX_SHORT + 1, HOSTILE))
    for row in (*map(str, view.rows), *view.hidden_rows):
        assert "<b>" not in row
        assert "</script" not in row
        assert row.count("<td") == 2
    assert "\\u202e\\u0000\\u2028" in view.hidden_rows[-1]


def test_how_intervals_were_made_is_said_once_where_all_agree() -> None:
    view = view_table(table_of([interval(1), interval(2), interval(3)]))
    assert view.common == "95%, paired t"
    assert [row for row in view.rows if "paired t" in row] == []
    assert [row.count("data-value") for row in view.rows] == [3, 3, 3]


@pytest.mark.parametrize("other", [interval(2, "bootstrap"), interval(2, level=0.9)])
def test_how_intervals_were_made_stays_in_each_row_where_they_differ(other: Markup) -> None:
    view = view_table(table_of([interval(1), other]))
    assert view.common == ""
    assert [("%, " in row) for row in view.rows] == [True, True]


def test_a_single_interval_keeps_its_own_words() -> None:
    view = view_table(table_of([interval(1), n.interval(None, "f")]))
    assert view.common == ""
    assert "95%, paired t" in view.rows[0]
    assert "no interval" in view.rows[1]


def test_how_is_lost_neither_from_long_tables_nor_when_its_words_need_escapes() -> None:
    method = "bias-corrected & <accelerated>"
    view = view_table(table_of([interval(i, method) for i in range(MAX_SHORT + 1)]))
    assert view.common == f"95%, {method}"
    assert [row for row in view.hidden_rows if "accelerated" in row] == []


def test_free_text_that_looks_like_the_small_print_is_no_small_print() -> None:
    text = '<small class="why how">95%, forged</small>'
    view = view_table(table_of([text, text]))
    assert view.common == ""
    assert all("&lt;small" in row for row in view.rows)


def pack_payload(content: dict[str, Any]) -> str:
    packer = PayloadPacker()
    for name, part in content.items():
        packer.add(name, part)
    return packer.finish()


def test_the_payload_reads_back_and_is_the_same_each_time() -> None:
    content = {"tables": {"t-x": [HOSTILE, "§ \N{MULTIPLICATION SIGN}"]}, "sources": {"runs": ["a"], "sets": []}}
    packed = pack_payload(content)
    assert packed == pack_payload(content)
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", packed)
    assert read_payload(f'<script id="payload">{packed}</script>') == content
    assert gzip.decompress(base64.b64decode(pack_payload({}))) == b"{}"


def test_a_lone_surrogate_does_not_stop_the_page() -> None:
    shown = view_table(make_table(MAX_SHORT + 1, "\ud800")).hidden_rows
    found = read_payload(f'<script id="payload">{pack_payload({"tables": {"t-x": shown}})}</script>')
    assert "\\ud800" in found["tables"]["t-x"][0]


def test_words_stand_in_the_page_longer_than_numbers_and_tables_of_figures_shorter() -> None:
    words = Table(id="w", caption="c", columns=columns_of(("A",), ("A",)), rows=tuple((str(i),) for i in range(50)))
    assert view_table(words).hidden_rows == ()
    numbers = make_table(7)
    assert view_table(numbers).hidden_rows == ()
    assert len(view_table(numbers, of_figure=True).rows) == MAX_ROWS["figure"][1]
    assert len(view_table(numbers, of_figure=True).hidden_rows) == 7
