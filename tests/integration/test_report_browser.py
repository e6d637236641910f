"""The page in a real browser: no console message, nothing asked for but the file, and its script works."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.report.page.tables import MAX_ROWS
from tests.integration.conftest import NUM_RUNS, BuiltPage
from tests.integration.opened import open_page, until
from tests.unit.report.pages import Page

ROWS = "Array.from(document.querySelectorAll('#t-runs tbody tr'))"
# Fifty rows a page; the columns are found by their titles.
PAGE_ROWS = 50
SHOWN = MAX_ROWS["numbers"][1]
LOSS = "Loss"


@pytest.fixture
def toy(browser: Any, toy_page: BuiltPage) -> Iterator[Any]:
    """Return the synthetic page, opened at 1280 px."""
    with open_page(browser, toy_page.path) as page:
        yield page


def column_of(page: Any, title: str, table: str = "runs") -> int:
    titles = page.evaluate(f"Array.from(document.querySelectorAll('#t-{table} thead .h'), h => h.textContent)")
    return int(titles.index(title))


def shown(page: Any, column: int) -> list[str]:
    found = page.evaluate(f"{ROWS}.map(r => r.cells[{column}].querySelector('[data-value]').dataset.value)")
    return list(found)


def turn(page: Any, way: str) -> None:
    page.click(f"[data-tools=t-runs] [data-turn={way}]")


def loss_of(record: Any) -> float | None:
    return next((q.value for q in record.quality if q.metric == "validation_bits_per_byte"), None)


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light"), (1600, "light")])
def test_page_is_quiet_self_contained_and_fits(
    browser: Any, toy_page: BuiltPage, tasks_page: Path, width: int, scheme: str
) -> None:
    for path in (toy_page.path, tasks_page):
        with open_page(browser, path, width, scheme) as page:
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            kind, other = ("narrow", "wide") if width < 640 else ("wide", "narrow")
            assert page.locator(f"svg.plot.{kind}:visible").count() == page.locator(f"svg.plot.{kind}").count() > 5
            assert page.locator(f"svg.plot.{other}:visible").count() == 0
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_sorting_goes_over_all_pages_and_leaves_the_unknown_at_the_end(toy: Any, toy_page: BuiltPage) -> None:
    column = column_of(toy, LOSS)
    losses = [loss_of(record) for record in toy_page.records]
    known = sorted(value for value in losses if value is not None)
    for up in (True, False):
        toy.click(f"#t-runs th:nth-child({column + 1}) button.h")
        assert toy.get_attribute(f"#t-runs th:nth-child({column + 1})", "aria-sort") == (
            "ascending" if up else "descending"
        )
        first = shown(toy, column)
        turn(toy, "next")
        values = first + shown(toy, column)
        assert [float(v) for v in values if v] == (known if up else known[::-1])
        assert values[len(known) :] == [""] * losses.count(None)
        assert len(values) == NUM_RUNS


def test_sorting_by_words_follows_the_records(toy: Any, toy_page: BuiltPage) -> None:
    column = column_of(toy, "Family")
    toy.click(f"#t-runs th:nth-child({column + 1}) button.h")
    arms = toy.evaluate(f"{ROWS}.map(r => r.cells[{column}].textContent.trim())")
    turn(toy, "last")
    arms += toy.evaluate(f"{ROWS}.map(r => r.cells[{column}].textContent.trim())")
    assert arms == sorted(arms)
    assert len(set(arms)) == 2


def test_filter_looks_at_all_rows_and_says_how_many(toy: Any) -> None:
    output = toy.locator("[data-tools=t-runs] output")
    assert output.text_content() == f"{NUM_RUNS} rows"
    toy.fill("[data-tools=t-runs] input", "MOE  failed")
    assert output.text_content() == f"6 of {NUM_RUNS} rows"
    assert toy.locator("#t-runs tbody tr").count() == 6
    assert not toy.locator("[data-tools=t-runs] .pager").is_visible()
    toy.fill("[data-tools=t-runs] input", "no such words")
    assert output.text_content() == f"0 of {NUM_RUNS} rows"
    toy.fill("[data-tools=t-runs] input", "")
    assert toy.locator("#t-runs tbody tr").count() == PAGE_ROWS
    assert toy.locator("[data-tools=t-runs] .pager").is_visible()


def test_pager_turns_and_stops_at_both_ends(toy: Any) -> None:
    where = toy.locator("[data-tools=t-runs] .where")
    names = "Array.from(document.querySelectorAll('#t-runs tbody tr'), r => r.cells[0].textContent)"
    first = toy.evaluate(names)
    assert where.text_content() == "page 1 of 2"
    assert toy.is_disabled("[data-tools=t-runs] [data-turn=previous]")
    turn(toy, "next")
    last = toy.evaluate(names)
    assert len({*first, *last}) == len(first) + len(last) == NUM_RUNS
    assert where.text_content() == "page 2 of 2"
    assert toy.is_disabled("[data-tools=t-runs] [data-turn=next]")
    turn(toy, "previous")
    assert toy.evaluate(names) == first
    turn(toy, "last")
    assert toy.evaluate(names) == last
    turn(toy, "first")
    assert toy.evaluate(names) == first


def test_csv_of_a_table_holds_every_row_to_the_last_digit(toy: Any, toy_page: BuiltPage) -> None:
    toy.fill("[data-tools=t-runs] input", "moe")
    with toy.expect_download() as waited:
        toy.click("[data-tools=t-runs] button.csv")
    assert waited.value.suggested_filename == "toy-runs.csv"
    text = Path(waited.value.path()).read_bytes().decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert {len(row) for row in rows} == {len(rows[0])}
    head, *body = rows
    assert len(body) == NUM_RUNS
    values = [row[head.index(LOSS)] for row in body]
    by_run = {row[0]: value for row, value in zip(body, values, strict=True)}
    for record in toy_page.records:
        loss = loss_of(record)
        assert by_run[record.run_id] == ("" if loss is None else repr(loss))
    known = Page(toy_page.path.read_text()).rows["t-runs"][1:]
    numbers = [[("" if n.value is None else n.value) for n in row] for row in known]
    shown_columns = [i for i, name in enumerate(head) if f"{name}, as shown" in head or re.search(r" \(\d\)$", name)]
    read = [[float(row[i]) if row[i] else "" for i in shown_columns] for row in body]
    assert sorted(map(str, read)) == sorted(map(str, numbers))
    assert [cell for row in body for cell in row if cell.startswith(("=", "+", "@"))] == []


def test_json_of_every_run_holds_numbers_as_numbers_and_the_unknown_as_null(toy: Any, toy_page: BuiltPage) -> None:
    with toy.expect_download() as waited:
        toy.click("[data-tools=t-runs] button.json")
    assert waited.value.suggested_filename == "toy-runs.json"
    rows = {row["Run"]: row for row in json.loads(Path(waited.value.path()).read_text())}
    assert len(rows) == NUM_RUNS
    for record in toy_page.records:
        assert rows[record.run_id][LOSS] == loss_of(record)
        assert rows[record.run_id]["Seed"] == record.seed
    assert any(row[LOSS] is None for row in rows.values())


@pytest.mark.parametrize("which", ["toy", "tasks"])
def test_downloads_give_the_bytes_that_the_page_carries(
    browser: Any, toy_page: BuiltPage, tasks_page: Path, which: str
) -> None:
    import pyarrow.parquet as pq

    path = toy_page.path if which == "toy" else tasks_page
    carried = re.findall(r'<a download="([^"]+)" href="data:[^;]+;base64,([^"]*)"', path.read_text())
    assert {name.removesuffix(".gz") for name, _ in carried} >= {"runs.csv", "runs.parquet"}
    with open_page(browser, path) as page:
        for name, content in carried:
            with page.expect_download() as waited:
                page.click(f'a[download="{name}"]')
            assert waited.value.suggested_filename == name
            got = Path(waited.value.path())
            assert got.read_bytes() == base64.b64decode(content)
            if name == "runs.parquet":
                table = pq.read_table(io.BytesIO(got.read_bytes()))
                assert table.num_rows == (
                    NUM_RUNS if which == "toy" else page.evaluate("grids.get('t-runs').strings.length")
                )


def test_theme_and_copy_buttons_work(toy: Any) -> None:
    before = toy.evaluate("getComputedStyle(document.body).backgroundColor")
    toy.click("#theme")
    assert toy.evaluate("getComputedStyle(document.body).backgroundColor") != before
    toy.click("#theme")
    assert toy.evaluate("getComputedStyle(document.body).backgroundColor") == before
    button = toy.locator("button.copy").first
    button.click()
    until(toy, "document.querySelector('button.copy').textContent === 'Copied'")


def test_a_pressed_number_shows_its_exact_value_and_its_runs(toy: Any, toy_page: BuiltPage) -> None:
    number = toy.locator("#t-headline [data-value][data-source*='§']").first
    number.scroll_into_view_if_needed()
    number.click()
    panel = toy.locator("#panel")
    panel.wait_for(state="visible")
    assert number.get_attribute("data-value") in panel.locator("dd").all_text_contents()
    finished = sorted(r.run_id for r in toy_page.records if r.status == "finished")
    assert panel.locator(".count").text_content() == f"{len(finished)} runs"
    assert panel.locator("ul a[href='#runs-section']").all_text_contents() == finished[:50]
    assert panel.locator("li").last.text_content() == f"and {len(finished) - 50} more runs"
    assert panel.locator("ul a", has_text="record").first.get_attribute("href") == f"records/{finished[0]}.json"
    panel.locator("button").click()
    assert not panel.is_visible()


def test_a_number_opens_by_keyboard_and_focus_comes_back(toy: Any) -> None:
    stop = toy.locator("#t-headline [data-value][tabindex='0']")
    assert stop.count() == 1
    stop.focus()
    toy.keyboard.press("ArrowRight")
    moved = toy.evaluate("document.activeElement.dataset.value")
    assert moved != toy.evaluate("document.querySelector('#t-headline [data-value]').dataset.value")
    assert toy.locator("#t-headline [data-value][tabindex='0']").count() == 1
    toy.keyboard.press("Enter")
    panel = toy.locator("#panel")
    panel.wait_for(state="visible")
    assert panel.locator("dd").first.text_content() == moved
    assert toy.evaluate("document.activeElement.closest('#panel') !== null")
    toy.keyboard.press("Escape")
    assert not panel.is_visible()
    assert toy.evaluate("document.activeElement.dataset.value") == moved
    toy.keyboard.press("ArrowDown")
    toy.keyboard.press(" ")
    panel.wait_for(state="visible")


def test_a_run_in_the_panel_leads_to_its_row_on_whatever_page_it_is(toy: Any) -> None:
    toy.fill("[data-tools=t-runs] input", "no such words")
    toy.locator("#t-headline [data-value][data-source*='§']").first.click()
    link = toy.locator("#panel ul a[href='#runs-section']").last
    run = link.text_content()
    turned = toy.evaluate("run => grids.get('t-runs').strings.findIndex(s => s.includes(run))", run) >= PAGE_ROWS
    link.click()
    assert not toy.locator("#panel").is_visible()
    row = toy.locator("#t-runs tr.hit")
    assert row.count() == 1
    assert run in row.text_content()
    assert row.is_visible()
    assert toy.evaluate("document.activeElement.classList.contains('hit')")
    assert toy.input_value("[data-tools=t-runs] input") == ""
    assert toy.locator("[data-tools=t-runs] .where").text_content() == f"page {2 if turned else 1} of 2"


def test_a_mark_of_a_figure_tells_its_row_and_leads_to_it(toy: Any) -> None:
    figures = toy.evaluate(
        "Array.from(document.querySelectorAll('figure'))"
        ".filter(f => f.querySelector('svg.wide [data-row]')).map(f => f.id)"
    )
    assert len(figures) > 3
    for figure in figures[:3]:
        mark = toy.locator(f"#{figure} svg.wide [data-row]").first
        mark.scroll_into_view_if_needed()
        mark.dispatch_event("pointermove", {"bubbles": True, "clientX": 300, "clientY": 300})
        place = int(mark.get_attribute("data-row"))
        rows = toy.locator(f"details[data-figure={figure}] tbody tr")
        wanted = [" ".join(t.split()) for t in rows.nth(place).locator("td").all_text_contents()]
        assert toy.locator("#tip").is_visible()
        assert toy.locator("#tip dd").all_text_contents() == wanted
        mark.dispatch_event("click", {"bubbles": True})
        assert toy.locator(f"details[data-figure={figure}]").get_attribute("open") is not None
        assert not toy.locator("#tip").is_visible()
        assert "hit" in (rows.nth(place).get_attribute("class") or "")


def test_the_pointer_itself_finds_a_mark(toy: Any) -> None:
    figure = toy.evaluate("document.querySelector('figure svg.wide use[data-row]').closest('figure').id")
    marks = toy.locator(f"#{figure} svg.wide use[data-row]")
    marks.first.scroll_into_view_if_needed()
    box = marks.last.bounding_box()
    toy.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    toy.locator("#tip").wait_for(state="visible")
    toy.mouse.move(2, 2)
    toy.locator("#tip").wait_for(state="hidden")


def test_a_term_opens_by_keyboard_and_closes_with_escape(toy: Any) -> None:
    term = toy.locator("main p .term").first
    target = term.get_attribute("popovertarget")
    term.focus()
    toy.keyboard.press("Enter")
    assert toy.locator(f"#{target}").is_visible()
    toy.keyboard.press("Escape")
    assert not toy.locator(f"#{target}").is_visible()
    assert toy.evaluate("document.activeElement.getAttribute('popovertarget')") == target


def test_links_inside_the_page_lead_somewhere(toy: Any) -> None:
    lost = "Array.from(document.querySelectorAll('a[href^=\"#\"]'), a => a.getAttribute('href').slice(1))"
    assert toy.evaluate(f"{lost}.filter(id => !document.getElementById(id))") == []
    toy.click("#runs-section h2 .anchor")
    assert toy.url.endswith("#runs-section")


def test_contents_stand_open_beside_a_wide_page_and_mark_the_section(browser: Any, toy_page: BuiltPage) -> None:
    with open_page(browser, toy_page.path, 1600, reduced_motion="reduce") as page:
        assert page.locator(".contents a").first.is_visible()
        for section in ("runs-section", "verdicts"):
            page.evaluate(f"document.getElementById('{section}').scrollIntoView()")
            until(page, f"document.querySelector('.contents a[aria-current]')?.getAttribute('href') === '#{section}'")
        assert page.locator(".contents a[aria-current]").count() == 1
        page.set_viewport_size({"width": 1000, "height": 900})
        until(page, "!document.querySelector('.contents details').open")


def test_page_reads_without_script(browser: Any, toy_page: BuiltPage) -> None:
    with open_page(browser, toy_page.path, java_script_enabled=False) as page:
        assert page.locator("#t-runs tbody tr").count() == SHOWN
        note = page.locator(".rest:visible", has_text=f"The first {SHOWN} of {NUM_RUNS} rows")
        assert note.count() == 1
        assert page.locator("#theme").is_hidden()
        assert page.locator(".tools:visible").count() == 0
        assert page.locator("button.copy:visible").count() == 0
        assert page.locator("#tip:visible").count() == page.locator("#panel:visible").count() == 0
        assert page.locator("#terms dt:visible").count() > 20
        assert page.locator("svg.plot.wide:visible").count() == page.locator("svg.plot.wide").count()


def test_a_page_whose_rows_cannot_be_unpacked_says_that_they_are_missing(browser: Any, toy_page: BuiltPage) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(toy_page.path.as_uri())
    page.evaluate("payload")
    assert page.locator("#t-runs tbody tr").count() == SHOWN
    assert page.locator(".rest:visible").count() >= 1
    told = page.locator('[data-tools="t-runs"] output').text_content()
    assert told == f"{SHOWN} of {NUM_RUNS} rows"
    number = page.locator("#t-headline [data-value]").first
    number.click()
    page.locator("#panel").wait_for(state="visible")
    assert number.get_attribute("data-value") in page.locator("#panel dd").all_text_contents()
    context.close()
