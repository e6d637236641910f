"""Accessibility by axe-core: no violation on any kind of page, in light and dark, narrow and wide."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from harness.report.build import build_report
from tests.integration.conftest import BuiltPage
from tests.integration.opened import open_page
from tests.tools import require_module

RUN = "options => axe.run(document, options).then(r => [r.passes.length, r.violations])"
OPTIONS = {"resultTypes": ["violations"], "preload": False}


@pytest.fixture(scope="module")
def axe() -> str:
    """Return axe-core as a script."""
    require_module("axe_playwright_python")
    spec = importlib.util.find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")


def find_violations(page: Any, axe: str, **options: Any) -> list[str]:
    page.evaluate(axe)
    passed, violations = page.evaluate(RUN, OPTIONS | options)
    assert passed > (0 if options else 20)
    return [f"{v['id']}: {len(v['nodes'])} times, e.g. {v['nodes'][0]['html'][:200]}" for v in violations]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_matched_study_has_no_violation(browser: Any, toy_page: BuiltPage, axe: str, width: int, scheme: str) -> None:
    with open_page(browser, toy_page.path, width, scheme) as page:
        assert find_violations(page, axe) == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_colours_differ_enough_with_folds_open_and_the_panel_shown(
    browser: Any, toy_page: BuiltPage, axe: str, width: int, scheme: str
) -> None:
    with open_page(browser, toy_page.path, width, scheme) as page:
        page.evaluate("all('main details').slice(0, 12).forEach(d => d.open = true)")
        page.locator("#t-headline [data-value]").first.click()
        page.locator("#panel").wait_for(state="visible")
        assert find_violations(page, axe, runOnly=["color-contrast", "aria-dialog-name", "link-name"]) == []


def test_a_page_of_published_models_has_no_violation(browser: Any, axe: str, tmp_path: Path) -> None:
    from tests.unit.analysis.inference.factory import fill_store, make_inference_study, make_pair

    records, answers = make_pair(0.5)
    fill_store(tmp_path, records, answers, make_inference_study(records))
    path = build_report(tmp_path, tmp_path / "report.html")
    with open_page(browser, path, 1280, "dark") as page:
        assert find_violations(page, axe) == []


def test_the_search_finds_what_is_wrong(browser: Any, toy_page: BuiltPage, axe: str, tmp_path: Path) -> None:
    broken = re.sub(r"<title>.*?</title>", "", toy_page.path.read_text(), count=1)
    broken = broken.replace('<html lang="en">', "<html>")
    path = tmp_path / "broken.html"
    path.write_text(broken)
    with open_page(browser, path) as page:
        rules = ["html-has-lang", "document-title", "color-contrast"]
        found = {text.split(":")[0] for text in find_violations(page, axe, runOnly=rules)}
    assert found == {"html-has-lang", "document-title"}
