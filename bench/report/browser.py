"""Seconds that a page takes in headless Chromium: to open, and to sort and filter the table of every run."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
REPEATS = 3
SORTED_COLUMNS = ("Run", "Loss", "FLOPs")
FILTER_WORD = "moe"
_TIMEOUT_MS = 120_000

# A frame that was asked for twice comes after the one before it was painted.
_PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
_TIMES = """() => {
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const navigation = performance.getEntriesByType("navigation")[0];
  return {
    paint_s: paint ? paint.startTime / 1000 : null,
    load_s: navigation.loadEventEnd / 1000,
    elements: document.getElementsByTagName("*").length,
    rows: document.querySelectorAll("#t-runs tbody tr").length,
  };
}"""
# The note on rows that are still packed goes once they are there.
_ALL_THERE = "document.querySelectorAll('#t-runs tbody tr').length > 0 && document.querySelector('.rest') === null"
# Resolves once the rows that stand there are in order and were painted; a page that sorts wrongly never gets there.
_SORT = """async (name) => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const heads = Array.from(document.querySelectorAll("#t-runs thead th"));
  const column = heads.findIndex((head) => head.querySelector("button.h").textContent.trim().startsWith(name));
  const key = (row) => {
    const number = row.cells[column].querySelector("[data-value]");
    return number === null ? row.cells[column].textContent.trim() : number.dataset.value;
  };
  const ordered = () => {
    const keys = Array.from(document.querySelectorAll("#t-runs tbody tr")).map(key).filter((text) => text !== "");
    const numeric = keys.every((text) => Number.isFinite(Number(text)));
    const compare = (a, b) => (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
    const sign = heads[column].getAttribute("aria-sort") === "descending" ? -1 : 1;
    return keys.every((text, i) => i === 0 || sign * compare(keys[i - 1], text) <= 0);
  };
  const begin = performance.now();
  heads[column].querySelector("button.h").click();
  while (!heads[column].hasAttribute("aria-sort")) await frame();
  await frame();
  await frame();
  let spent = performance.now() - begin;
  while (!ordered()) {
    await frame();
    spent = performance.now() - begin;
    if (spent > 30000) throw new Error(`the table is not in order of ${name}`);
  }
  return spent / 1000;
}"""
_FILTER = """async (word) => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const input = document.querySelector('[data-tools="t-runs"] input');
  const rows = () => Array.from(document.querySelectorAll("#t-runs tbody tr"));
  const shown = () => rows().filter((row) => !row.hidden).map((row) => row.textContent);
  const begin = performance.now();
  input.value = word;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  await frame();
  await frame();
  let spent = performance.now() - begin;
  while (shown().length === 0 || !shown().every((text) => text.toLowerCase().includes(word))) {
    await frame();
    spent = performance.now() - begin;
    if (spent > 30000) throw new Error(`the table does not filter by ${word}`);
  }
  return spent / 1000;
}"""


def time_page(path: Path) -> dict[str, Any]:
    """Return medians over `REPEATS` openings of a report: paint, load, ready for clicks, table there, sort and filter.

    Raises:
        RuntimeError: the page logs an error, or a table does not sort.
    """
    return _repeat(path, _time_report)


def time_bare(path: Path) -> dict[str, Any]:
    """Return medians over `REPEATS` openings of a page without any script."""
    return _repeat(path, lambda _: {})


def _time_report(page: Page) -> dict[str, Any]:
    begin = time.perf_counter()
    page.locator("#t-runs").scroll_into_view_if_needed(timeout=_TIMEOUT_MS)
    page.wait_for_function(_ALL_THERE, timeout=_TIMEOUT_MS)
    page.evaluate(_PAINTED)
    reached = time.perf_counter() - begin
    sorts = {name: page.evaluate(_SORT, name) for name in SORTED_COLUMNS}
    return {"table_s": reached, "sort_s": max(sorts.values()), "filter_s": page.evaluate(_FILTER, FILTER_WORD)}


def _repeat(path: Path, measure: Any) -> dict[str, Any]:
    found = []
    with sync_playwright() as driver:
        options = {"executable_path": str(CHROMIUM)} if CHROMIUM.exists() else {}
        browser = driver.chromium.launch(args=["--no-sandbox"], **options)
        try:
            found = [_open(browser, path, measure) for _ in range(REPEATS)]
            version = browser.version
        finally:
            browser.close()
    figures = {name: _median([one[name] for one in found]) for name in found[0]}
    return {**figures, "chromium": version}


def _open(browser: Browser, path: Path, measure: Any) -> dict[str, Any]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.set_default_timeout(_TIMEOUT_MS)
    begin = time.perf_counter()
    page.goto(path.resolve().as_uri(), wait_until="load", timeout=_TIMEOUT_MS)
    page.evaluate(_PAINTED)
    ready = time.perf_counter() - begin
    figures = {"open_s": ready, **page.evaluate(_TIMES), **measure(page)}
    page.close()
    if problems:
        raise RuntimeError(f"'{path.name}' logs an error: {problems[0]}")
    return figures


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
