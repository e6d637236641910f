"""The page that puts studies side by side: its numbers are those of the comparison, and names do nothing."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.analysis.comparison.compare import compare_studies
from harness.analysis.comparison.load import JudgedStore, StoreContent, judge_content
from harness.analysis.comparison.results import StudyComparison
from harness.core.readings import Grade
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.core.study import save_study
from harness.report.compare_page import build_comparison, render_comparison
from tests.unit.analysis.factory import make_records, make_study
from tests.unit.report.pages import Page

HOSTILE = "<script>alert(1)</script>\u202e\"'</title><svg onload=alert(2)>"
CLAIMS = ("training_compute_tenth", "energy_per_task_90")


def judge(records: Sequence[RunRecord], name: str, unreadable: tuple[str, ...] = ()) -> JudgedStore:
    study = make_study(records, study=name, title=name, claims=CLAIMS)
    content = StoreContent(
        folder="store", records=tuple(records), unreadable=unreadable, study=study, answers={}, traces={}
    )
    return judge_content(content)


def make(grade: Grade = "A", start: int = 0) -> list[RunRecord]:
    rng = random.Random(start)
    return make_records(2.0, grade=grade, noise=lambda arm, seed, flops: rng.gauss(0.0, 0.004))


@pytest.fixture(scope="module")
def comparison() -> StudyComparison:
    """Return a measured study beside a modelled one."""
    return compare_studies([judge(make(), "first"), judge(make("C", 1), "second")])


@pytest.fixture(scope="module")
def html(comparison: StudyComparison) -> str:
    """Return their page."""
    return render_comparison(comparison)


def test_the_page_is_the_same_bytes_again(comparison: StudyComparison, html: str) -> None:
    assert render_comparison(comparison) == html


def test_ratios_on_the_page_are_those_of_the_studies(comparison: StudyComparison, html: str) -> None:
    page = Page(html)
    shown = {number.value for number in page.numbers}
    for row in comparison.ratios:
        if row.estimate is not None:
            assert row.estimate in shown
        if row.interval is not None:
            assert {row.interval.low, row.interval.high} <= shown
    for difference in comparison.differences:
        if difference.ratio.value is not None:
            assert difference.ratio.value in shown
        else:
            assert difference.reason
    sources = {number.source for number in page.numbers}
    flops = next(row for row in comparison.ratios if row.code == "flops" and row.letter == "B")
    assert f"study B; runs: {', '.join(flops.run_ids)}" in sources


def test_modelled_ratios_are_hollow_and_say_so(html: str) -> None:
    assert "hollow: modelled, not measured" in html
    assert "C modelled" in html
    measured = render_comparison(compare_studies([judge(make(), "one"), judge(make(start=2), "two")]))
    assert "hollow: modelled" not in measured


def test_every_quantity_has_its_line_and_its_reasons(comparison: StudyComparison, html: str) -> None:
    for line in comparison.pooling:
        assert line.title in html
        for reason in (*line.against_comparing, *line.against_pooling):
            assert reason in html
    assert "other energy grade (A against C)" in html


def test_names_and_errors_are_text() -> None:
    """A hostile study name, device and file name are shown as text, in tables, figures and the head."""
    records = [
        dataclasses.replace(r, environment=dataclasses.replace(r.environment, device_name=HOSTILE, os=HOSTILE))
        for r in make()
        if r.environment is not None
    ]
    page = render_comparison(compare_studies([judge(records, HOSTILE, (HOSTILE,)), judge(make(start=1), "plain")]))
    assert "alert(1)</script>" not in page
    assert "<svg onload" not in page
    assert page.count("</title><svg onload") == 0
    assert "&lt;script&gt;alert(1)" in page


def test_empty_and_failed_studies_are_compared_without_a_number() -> None:
    failed = [dataclasses.replace(r, status="failed", path=None, windows=(), quality=(), error="lost") for r in make()]
    page = render_comparison(compare_studies([judge(failed, "failed"), judge((), "nothing")]))
    assert "not measured" in page
    assert "No study has a ratio to show." in page
    assert "There is no ratio to hold against another." in page
    zeros = [number.text for number in Page(page).numbers if number.value == 0]
    assert set(zeros) == {"0"}, "only counts are zero"


def test_eight_studies_fit_one_page() -> None:
    page = render_comparison(compare_studies([judge(make(start=k), f"study {k}") for k in range(8)]))
    assert "H: study 7" in page


def test_paths_and_users_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    """Settings may hold folders: the page and the JSON keep what differs and leave out where it stood."""
    for number, folder in enumerate(("/home/alice/corpus", "/home/bob/texts")):
        records = [dataclasses.replace(r, config={**r.config, "data": {"roots": [folder]}}) for r in make(start=number)]
        for record in records:
            Store(tmp_path / str(number)).write_record(record)
        save_study(tmp_path / str(number), make_study(records))
    stores = [tmp_path / "0", tmp_path / "1"]
    report = build_comparison(stores)
    for text in (report.page, json.dumps(report.content)):
        assert "alice" not in text
        assert "bob" not in text
    assert "data.roots" in report.page
    assert "other settings (data.roots)" in report.page
    assert "/home/alice/corpus" in build_comparison(stores, with_paths=True).page
