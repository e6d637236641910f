"""Texts of records are hostile and personal: planted in every free text, they do nothing and tell nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from harness.core.store import Store
from harness.core.study import save_study
from harness.report.build import build_report, render_store
from harness.report.page.escapes import show_controls
from harness.report.page.privacy import scrub_text
from tests.unit.report import pages
from tests.unit.report.planted import everything, plant

CANARY = "jane.canary"
PERSONAL = (
    "/home/jane.canary/secret/train.py failed, see C:\\\\Users\\\\jane.canary\\\\log.txt and ~jane.canary/x; "
    "jane.canary@canary-host"
)
HOSTILE = (
    '<script>window.__pwned=1</script>"><img src=x onerror=window.__pwned=1></style></title>]]><!--'
    "<svg/onload=window.__pwned=1> javascript:1 {{7*7}} \u202egnp.exe\u2066 \u200b\x00\x1b[31m =cmd|' /C calc'!A0"
)


def make_store(root: Path, factory: ModuleType, text: str) -> list[str]:
    """Write a study whose every free text is `text`, with failed runs, findings, a trace and a file that is none."""
    records = [
        *factory.make_records(),
        factory.make_record("moe", "s", 8, status="failed", error="x"),
        factory.make_record("dense", "s", 9, joules=None),
    ]
    found: list[str] = []
    store = Store(root)
    for record in records:
        store.write_record(plant(record, text, found))
    save_study(root, plant(factory.make_study(records), text, found))
    (root / "traces").mkdir(exist_ok=True)
    (root / "records" / "broken.json").write_text(text.replace("\x00", ""))
    return sorted(set(found))


def test_no_folder_user_or_host_reaches_page_payload_downloads_or_verdicts(tmp_path: Path, factory: ModuleType) -> None:
    fields = make_store(tmp_path, factory, PERSONAL)
    assert {".error", ".findings.text", ".environment.os", ".sensors.source", ".title", ".notes"} <= set(fields)
    report = render_store(tmp_path)
    assert CANARY not in everything(report.page)
    assert CANARY not in str(report.content)
    assert "canary-host" not in everything(report.page)
    assert "…/train.py" in report.page
    kept = render_store(tmp_path, with_paths=True)
    assert kept.page.count(CANARY) > 10


@pytest.mark.parametrize(
    "text",
    [
        "12 tokens/s and J/token", "1/2 or n/a, and/or", "org/model-7b", "https://arxiv.org/abs/2101.03961",
        "pass@1", "a ratio of 3 / 4", "http://127.0.0.1:8000/v1", "cpu/dram", "2.13.0+cpu", "docs/METHOD.md",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_path_stays(text: str) -> None:
    assert scrub_text(text) == text


@pytest.mark.parametrize(
    "text",
    ["/" * 4000, "/a" * 2000, "\\" * 4000, "C:\\a" * 900, "a@" * 1900, "'/" * 1900, "user=" * 800, "1.1." * 900],
    ids=lambda text: text[:6],
)
def test_texts_made_to_stall_the_patterns_come_through_and_are_clean_at_once(text: str) -> None:
    """A pattern that tries again and again would not end here; what is clean stays as it is."""
    once = scrub_text(text)
    assert scrub_text(once) == once


def test_hostile_texts_do_nothing_and_stand_as_escapes(tmp_path: Path, factory: ModuleType) -> None:
    make_store(tmp_path, factory, HOSTILE)
    report = render_store(tmp_path)
    page = pages.Page(report.page)
    assert page.tags["script"] == 2
    assert page.tags.get("img", 0) == 0
    assert "onerror=window" in report.page.replace("&#34;", '"')
    rows = [row for rows in pages.read_payload(report.page)["tables"].values() for row in rows]
    for markup in (report.page, *rows):
        assert "<img" not in markup
        assert "<script>window" not in markup
        assert not re.search("[\x00-\x08\x0b-\x1f\u200b\u202a-\u202e\u2066-\u2069]", markup)
    assert "\\u202e" in report.page
    assert {tag for tag in page.tags if tag.startswith("svg/")} == set()


def test_a_text_of_megabytes_is_cut_and_says_so(tmp_path: Path, factory: ModuleType) -> None:
    records = [factory.make_record("moe", "s", 8, status="failed", error="x" * 3_000_000)]
    Store(tmp_path).write_record(records[0])
    page = render_store(tmp_path).page
    assert len(page) < 600_000
    assert "the record holds 3000000 characters" in page


def test_controls_become_escapes_that_read_the_same() -> None:
    assert show_controls("a\u202eb\x00\u2028") == "a\\u202eb\\u0000\\u2028"
    assert show_controls("plain\ttext\n\u00d7") == "plain\ttext\n\u00d7"


def test_same_records_give_the_same_bytes_whatever_the_surroundings(tmp_path: Path, factory: ModuleType) -> None:
    records = factory.make_records()
    stores = [tmp_path / "one", tmp_path / "two"]
    for root, order in zip(stores, (records, records[::-1]), strict=True):
        for record in order:
            Store(root).write_record(record)
        save_study(root, factory.make_study(records))
    build_report(stores[0], stores[0] / "report.html")
    command = [
        sys.executable,
        "-c",
        "import sys; from harness.cli.command import main; sys.exit(main())",
        "report",
        stores[1],
    ]
    surroundings = {**os.environ, "PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo", "LC_ALL": "C", "LANG": "C"}
    done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("report.html", "verdicts.json"):
        assert (stores[0] / name).read_bytes() == (stores[1] / name).read_bytes()
