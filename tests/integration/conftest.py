"""Pages of reports on disk, and one browser a module, for tests that open them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.report.build import build_report
from harness.report.matched_page import render_report
from harness.report.page.render import PageOrigin
from tests.tools import require_module, require_tool

_ARGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
)
REPORTS = Path(__file__).resolve().parents[2] / "reports"
NUM_RUNS = 90


@dataclasses.dataclass(frozen=True)
class BuiltPage:
    """A page on disk with the records that it shows."""

    path: Path
    records: list[Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a headless Chromium."""
    executable = require_tool("chromium")
    require_module("playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=list(_ARGS))
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def toy_page(tmp_path_factory: pytest.TempPathFactory) -> BuiltPage:
    """Return the page of a synthetic study of 90 runs, six of them failed, so that its table of runs is long."""
    from tests.unit.report import factory

    records = [
        factory.make_record(a, s, k, t) for a in factory.ARMS for s in factory.SIZES for k in range(7)
        for t in factory.TOKENS
    ]  # fmt: skip
    error = "<img src=x onerror=alert(1)> =1+2"
    records += [factory.make_record("moe", "s", 20 + k, status="failed", error=error) for k in range(6)]
    assert len(records) == NUM_RUNS
    match = factory.make_match(records)
    verdicts = factory.make_verdicts(match)
    traces = {records[-7].run_id: factory.make_trace()}
    path = tmp_path_factory.mktemp("toy") / "report.html"
    origin = PageOrigin(records_href="records/")
    study = factory.make_study(records)
    path.write_text(render_report(records, study, match, verdicts, (), traces, origin=origin), encoding="utf-8")
    return BuiltPage(path, records)


@pytest.fixture(scope="session")
def tasks_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of the committed study of tasks, built anew."""
    return build_report(REPORTS / "2026-11_tasks_cpu", tmp_path_factory.mktemp("tasks") / "report.html")
