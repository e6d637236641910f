"""The page on paper: whole, with folds open, and no table cut at the right edge."""

from __future__ import annotations

import io
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from tests.integration.conftest import NUM_RUNS, BuiltPage
from tests.integration.opened import open_page

# A4 less the margins of a browser's own print (1 cm on each side), at 96 pixels an inch.
PAPER_PX = 718
CLIPPED = """() => Array.from(document.querySelectorAll("main *")).filter(e => {
  if (!e.checkVisibility() || e.closest("svg")) return false;
  const style = getComputedStyle(e);
  const cuts = v => v !== "visible";
  return (cuts(style.overflowX) && e.scrollWidth > e.clientWidth + 1)
    || (cuts(style.overflowY) && e.scrollHeight > e.clientHeight + 1);
}).map(e => e.outerHTML.slice(0, 120))"""
BEYOND = f"""() => Array.from(document.querySelectorAll("main table, main p, main svg, main pre, main dl"))
  .filter(e => e.checkVisibility() && e.getBoundingClientRect().right > {PAPER_PX} + 1)
  .map(e => `${{e.id || e.className.baseVal || e.tagName}} ${{Math.round(e.getBoundingClientRect().right)}}`)"""
BEFORE = "window.dispatchEvent(new Event('beforeprint'))"
AFTER = "window.dispatchEvent(new Event('afterprint'))"


@pytest.mark.parametrize("which", ["toy", "tasks"])
def test_paper_holds_all_and_cuts_nothing(browser: Any, toy_page: BuiltPage, tasks_page: Path, which: str) -> None:
    path = toy_page.path if which == "toy" else tasks_page
    with open_page(browser, path, PAPER_PX, reduced_motion="reduce") as page:
        page.evaluate(BEFORE)
        page.emulate_media(media="print")
        assert page.evaluate("all('main details:not([open])').length") == 0
        headings = "Array.from(document.querySelectorAll('main h2')).filter(h => !h.checkVisibility()).length"
        assert page.evaluate(headings) == 0
        lost = (
            "Array.from(grids.values()).filter(g => g.strings.length <= 500 &&"
            " (g.table.tBodies[0].rows.length !== g.strings.length ||"
            " (g.strings.length && !g.table.tBodies[0].rows[g.strings.length - 1].checkVisibility())))"
            ".map(g => g.table.id)"
        )
        assert page.evaluate(lost) == []
        assert page.evaluate(CLIPPED) == []
        assert page.evaluate(BEYOND) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= PAPER_PX
        assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("which", ["toy", "tasks"])
def test_the_text_of_the_pdf_is_the_text_of_the_page(
    browser: Any, toy_page: BuiltPage, tasks_page: Path, which: str
) -> None:
    """Every heading, and the first and the last row of every table."""
    path = toy_page.path if which == "toy" else tasks_page
    with open_page(browser, path, PAPER_PX, reduced_motion="reduce") as page:
        pdf = page.pdf(format="A4")
        page.evaluate(BEFORE)
        page.emulate_media(media="print")
        headings = page.evaluate("all('main h2').map(h => h.innerText)")
        rows = page.evaluate(
            "all('main table').filter(t => t.checkVisibility() && t.tBodies[0] && t.tBodies[0].rows.length)"
            ".flatMap(t => [t.tBodies[0].rows[0], t.tBodies[0].rows[t.tBodies[0].rows.length - 1]])"
            ".map(r => Array.from(r.cells).filter(c => c.checkVisibility()).map(c => c.innerText))"
        )
    printed = _squeeze("".join(sheet.extract_text() for sheet in PdfReader(io.BytesIO(pdf)).pages))
    assert len(headings) > 15
    assert [heading for heading in headings if _squeeze(heading) not in printed] == []
    assert len(rows) > 20
    assert [cell for row in rows for cell in row if _squeeze(cell) not in printed] == []


def _squeeze(text: str) -> str:
    """Return `text` without ligatures, white space and soft hyphens: lines on paper break elsewhere."""
    return re.sub(r"[\s\u00ad\u200b]+", "", unicodedata.normalize("NFKC", text))


def test_after_printing_the_page_is_as_before(browser: Any, toy_page: BuiltPage) -> None:
    with open_page(browser, toy_page.path) as page:
        page.click("[data-tools=t-runs] [data-turn=next]")
        state = (
            "JSON.stringify([all('details[open]').length,"
            " all('#t-runs tbody tr').map(r => r.cells[0].textContent),"
            " document.querySelector('[data-tools=t-runs] .where').textContent])"
        )
        before = page.evaluate(state)
        page.evaluate(BEFORE)
        assert page.locator("#t-runs tbody tr").count() == NUM_RUNS
        page.evaluate(AFTER)
        assert page.evaluate(state) == before


def test_the_browser_says_when_it_prints(browser: Any, toy_page: BuiltPage) -> None:
    with open_page(browser, toy_page.path) as page:
        page.evaluate(
            "window.seen = []; addEventListener('beforeprint', () => seen.push(all('#t-runs tbody tr').length))"
        )
        page.pdf(format="A4")
        assert page.evaluate("seen") == [NUM_RUNS]
        assert page.locator("#t-runs tbody tr").count() == 50


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_is_white_even_where_the_screen_is_dark(browser: Any, toy_page: BuiltPage, scheme: str) -> None:
    with open_page(browser, toy_page.path, 900, scheme) as page:
        colour = "getComputedStyle(document.body).backgroundColor"
        page.click("#theme")
        page.emulate_media(media="print", color_scheme=scheme)
        assert page.evaluate(colour) == "rgb(255, 255, 255)"
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
