"""The page by keyboard alone: everything is reached, focus is seen, nothing traps, and stops stay few."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import BuiltPage
from tests.integration.opened import open_page

# Walks are long: more stops than this would tire anyone, and a trap would never end.
MAX_STOPS = 700
HERE = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  if (!e.dataset.stop) e.dataset.stop = String(document.querySelectorAll("[data-stop]").length + 1);
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  return {
    stop: Number(e.dataset.stop),
    kind: e.id === "theme" ? "theme" : e.matches(".skip") ? "skip" : e.matches(".contents summary") ? "contents"
      : e.matches("th button.h") ? "sort" : e.matches(".tools input") ? "filter" : e.matches(".pager button") ? "pager"
      : e.matches(".csv") ? "csv" : e.matches("[data-value]") ? "number" : e.matches("summary") ? "fold"
      : e.matches("a[download]") ? "download" : e.matches(".term") ? "term" : e.matches(".copy") ? "copy"
      : e.matches(".anchor") ? "anchor" : e.matches(".table-wrap, .plot-wrap, pre") ? "region" : e.tagName,
    outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1,
    seen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0
      && box.left < innerWidth,
    html: e.outerHTML.slice(0, 160),
  };
}"""


def walk(page: Any) -> list[dict[str, Any]]:
    """Press Tab from the top until the page is left; return what had the focus."""
    page.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
    found: list[dict[str, Any]] = []
    for _ in range(MAX_STOPS):
        page.keyboard.press("Tab")
        here = page.evaluate(HERE)
        if here is None or (found and here["stop"] <= len(found)):
            return found
        found.append(here)
    pytest.fail(f"more than {MAX_STOPS} stops; the last: {found[-1]['html']}")


@pytest.fixture(scope="module", params=["toy", "tasks"])
def walked(request: pytest.FixtureRequest, browser: Any, toy_page: BuiltPage, tasks_page: Path) -> dict[str, Any]:
    """Return the stops of a page and how many elements of each kind it has."""
    path = toy_page.path if request.param == "toy" else tasks_page
    counts = {
        "theme": "#theme", "sort": "th button.h", "filter": ".tools input", "csv": ".csv", "fold": "main summary",
        "download": "a[download]", "copy": ".copy", "term": ".term", "pager": ".pager button:enabled",
    }  # fmt: skip
    visible = "s => Array.from(document.querySelectorAll(s)).filter(e => e.checkVisibility()).length"
    with open_page(browser, path, reduced_motion="reduce") as page:
        wanted = {kind: page.evaluate(visible, selector) for kind, selector in counts.items()}
        groups = page.evaluate(
            "new Set(Array.from(document.querySelectorAll('main [data-value]')).filter(e => e.checkVisibility())"
            ".map(e => e.closest('tbody, p, dl, ul, figcaption, caption, .card') || e.parentElement)).size"
        )
        stops = walk(page)
    return {"stops": stops, "wanted": wanted, "groups": groups}


def test_all_that_can_be_pressed_is_reached_once(walked: dict[str, Any]) -> None:
    kinds = [stop["kind"] for stop in walked["stops"]]
    assert {kind: kinds.count(kind) for kind in walked["wanted"]} == walked["wanted"]
    assert kinds[0] == "skip"
    assert kinds.count("contents") == 1
    assert min(walked["wanted"][kind] for kind in ("theme", "sort", "filter", "csv", "fold", "download", "copy")) > 0


def test_a_table_or_paragraph_of_numbers_is_one_stop(walked: dict[str, Any]) -> None:
    kinds = [stop["kind"] for stop in walked["stops"]]
    assert kinds.count("number") == walked["groups"] > 10


def test_what_has_the_focus_is_always_seen(walked: dict[str, Any]) -> None:
    assert [stop["html"] for stop in walked["stops"] if not stop["outline"]] == []
    assert [stop["html"] for stop in walked["stops"] if not stop["seen"]] == []


def test_focus_is_not_hidden_behind_the_head_of_a_table(browser: Any, toy_page: BuiltPage) -> None:
    with open_page(browser, toy_page.path, reduced_motion="reduce") as page:
        page.locator("#t-runs [data-value][tabindex='0']").focus()
        for _ in range(30):
            page.keyboard.press("ArrowDown")
        for _ in range(25):
            page.keyboard.press("ArrowUp")
            assert page.evaluate(
                "(() => { const b = document.activeElement.getBoundingClientRect();"
                " const h = document.activeElement.closest('table').tHead.rows[0].cells[0].getBoundingClientRect();"
                " return b.top >= h.bottom - 1; })()"
            )


def test_sorting_by_keyboard_and_the_stop_stays_one(browser: Any, toy_page: BuiltPage) -> None:
    with open_page(browser, toy_page.path) as page:
        page.locator("[data-tools=t-runs] [data-turn=next]").focus()
        page.keyboard.press("Enter")
        head = page.locator("#t-runs th button.h").nth(5)
        head.focus()
        for key in ("Enter", " "):
            page.keyboard.press(key)
            assert page.locator("#t-runs [data-value][tabindex='0']").count() == 1
        assert page.get_attribute("#t-runs th:nth-child(6)", "aria-sort") == "descending"
        assert page.evaluate("document.activeElement.classList.contains('h')")
