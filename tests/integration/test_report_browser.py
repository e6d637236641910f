"""The page in a real browser: no console error, nothing asked for but the file, and its script works."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.report.matched_page import render_report

_ROOT = Path(__file__).resolve().parents[1]
_ARGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
)


def _load(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    factory = _load("isojoule_report_factory_browser", _ROOT / "unit" / "report" / "factory.py")
    records = [
        *factory.make_records(),
        factory.make_record("moe", "s", 8, status="failed", error="<img src=x onerror=alert(1)>"),
    ]
    match = factory.make_match(records)
    traces = {records[3].run_id: factory.make_trace()}
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(
        render_report(records, factory.make_study(records), match, factory.make_verdicts(match), (), traces)
    )
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    tools = _load("isojoule_test_tools", _ROOT / "tools.py")
    executable = tools.require_tool("chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=list(_ARGS))
        yield opened
        opened.close()


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_page_is_quiet_self_contained_and_fits(browser: Any, page_path: Path, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append("a dialog opened"))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_path.as_uri())
    page.wait_for_load_state("networkidle")
    assert problems == []
    assert [url for url in requests if url not in (page_path.as_uri(), "data:,")] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    kind = "narrow" if width < 640 else "wide"
    assert page.locator("svg.plot:visible").count() == page.locator(f"svg.plot.{kind}:visible").count() == 6
    page.close()


def test_sort_filter_and_theme_work(browser: Any, page_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page.goto(page_path.as_uri())
    rows = "Array.from(document.querySelectorAll('#t-runs tbody tr'))"
    column = f"{rows}.map(r => r.cells[5].querySelector('[data-value]').dataset.value)"
    page.click("#t-runs th:nth-child(6) button")
    losses = page.evaluate(column)
    known = [float(value) for value in losses if value]
    assert known == sorted(known)
    assert losses[-1] == ""
    page.click("#t-runs th:nth-child(6) button")
    assert [float(value) for value in page.evaluate(column) if value] == sorted(known, reverse=True)
    page.fill("input[data-table=t-runs]", "moe failed")
    assert page.locator("#t-runs tbody tr:visible").count() == 1
    page.click("button.copy")
    page.wait_for_function("document.querySelector('button.copy').textContent === 'Copied'")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.close()


def test_page_reads_without_script(browser: Any, page_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(page_path.as_uri())
    assert page.locator("#t-runs tbody tr").count() == 37
    assert page.locator("#theme").is_hidden()
    assert page.locator("svg.plot:visible").count() == 6
    context.close()


def test_paper_is_white_even_where_the_screen_is_dark(browser: Any, page_path: Path) -> None:
    page = browser.new_page(viewport={"width": 900, "height": 900}, color_scheme="dark")
    page.goto(page_path.as_uri())
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) != "rgb(255, 255, 255)"
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(colour) == "rgb(255, 255, 255)"
    page.close()
