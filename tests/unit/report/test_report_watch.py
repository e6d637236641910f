"""A page that follows a study: rebuilt when the store changes, live until every planned run has a record."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

from harness.core.store import Store
from harness.core.study import save_study
from harness.report.build import build_report
from harness.report.watch import make_live, take_signature, watch_report

REFRESH = '<meta http-equiv="refresh" content="'


def promise(root: Path, factory: ModuleType) -> list:
    records = factory.make_records()
    save_study(root, factory.make_study(records))
    return records


def test_pages_are_live_until_the_plan_is_done(tmp_path: Path, factory: ModuleType) -> None:
    """A store that grows between two looks gives one page each; the last one is the page of `isojoule report`."""
    records = promise(tmp_path, factory)
    out = tmp_path / "report.html"
    lines: list[str] = []
    seen: list[str] = []
    waiting = list(records)

    def grow(_: float) -> None:
        seen.append(out.read_text())
        for record in waiting[:12]:
            Store(tmp_path).write_record(record)
        del waiting[:12]

    content = watch_report(tmp_path, out, every_s=7, tell=lines.append, sleep=grow)
    assert content["study"] == "toy"
    assert len(lines) == len(seen) + 1 == 4
    for number, page in enumerate(seen):
        assert page.count(f'{REFRESH}7">') == 1
        assert f"{12 * number} of 36 runs have a record" in page
    last = out.read_text()
    assert REFRESH not in last
    assert "live: built at" not in last
    assert "the page is complete" in lines[-1]
    assert last == build_report(tmp_path, tmp_path / "again.html").read_text()


def test_a_store_that_does_not_change_is_not_built_again(tmp_path: Path, factory: ModuleType) -> None:
    records = promise(tmp_path, factory)
    Store(tmp_path).write_record(records[0])
    lines: list[str] = []
    looks = 0

    def look(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 5:
            for record in records:
                Store(tmp_path).write_record(record)

    watch_report(tmp_path, tmp_path / "report.html", every_s=1, tell=lines.append, sleep=look)
    assert len(lines) == 2
    assert looks == 5


def test_failed_runs_end_the_watch_too(tmp_path: Path, factory: ModuleType) -> None:
    records = [factory.make_record(arm, status="failed", error="out of memory") for arm in ("dense", "moe")]
    save_study(tmp_path, factory.make_study(records))
    for record in records:
        Store(tmp_path).write_record(record)
    lines: list[str] = []
    watch_report(tmp_path, tmp_path / "report.html", every_s=1, tell=lines.append)
    assert len(lines) == 1
    assert "2 of 2 runs have a record" in lines[0]


def test_a_store_that_grows_in_a_thread(tmp_path: Path, factory: ModuleType) -> None:
    """With a real clock: whoever reads the page at any moment reads a whole one."""
    records = promise(tmp_path, factory)
    out = tmp_path / "report.html"
    lines: list[str] = []

    def write() -> None:
        for record in records:
            Store(tmp_path).write_record(record)
            time.sleep(0.01)

    pages: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            if out.exists():
                pages.append(out.read_text())
            time.sleep(0.02)

    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    watch_report(tmp_path, out, every_s=0.05, tell=lines.append)
    done.set()
    for thread in threads:
        thread.join()
    assert pages
    assert all(page.rstrip().endswith("</html>") for page in pages)
    assert "36 of 36 runs have a record" in lines[-1]
    assert REFRESH not in out.read_text()


def test_the_signature_follows_what_the_page_is_made_of(tmp_path: Path, factory: ModuleType) -> None:
    store = Store(tmp_path)
    records = promise(tmp_path, factory)
    before = take_signature(tmp_path)
    store.log_path("x").parent.mkdir()
    store.log_path("x").write_text("a line")
    assert take_signature(tmp_path) == before
    store.write_record(records[0])
    after = take_signature(tmp_path)
    assert after != before
    store.write_trace(records[0].run_id, factory.make_trace())
    assert take_signature(tmp_path) != after


def test_a_page_without_a_head_cannot_be_made_live() -> None:
    with pytest.raises(ValueError, match="cannot be made live"):
        make_live("<p>nothing", "live", 5)
