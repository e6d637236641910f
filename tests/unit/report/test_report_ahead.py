"""A page of records that were looked at while they were read is the page of the same records."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness.analysis.comparison.load import judge_content, load_content
from harness.core.store import Store
from harness.report.ahead import look_ahead, scrub_records
from harness.report.build import render_judged, render_store
from harness.report.page.privacy import scrub_inputs
from tests.unit.analysis.factory import make_records
from tests.unit.analysis.inference.factory import with_suite

NAMED = "/home/jane/secret/train.py"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store in which one run, neither the first nor the last, names a path of the machine."""
    records = [with_suite(r, {"arithmetic": 1.0, "sorting": 3.0}, {"arithmetic": 0.9}) for r in make_records()]
    names = sorted(record.run_id for record in records)
    for record in records:
        found = record if record.run_id != names[3] else dataclasses.replace(record, peak_source=NAMED)
        Store(tmp_path).write_record(found)
    return tmp_path


@pytest.mark.parametrize("stride", [1, 3, 1000])
@pytest.mark.parametrize("with_paths", [False, True])
def test_the_page_is_the_same(root: Path, stride: int, with_paths: bool) -> None:
    ahead = look_ahead(with_paths=with_paths, stride=stride)
    judged = judge_content(load_content(root, ahead))
    seen = ahead.results()
    records = judged.content.records
    assert scrub_records(records, seen, with_paths=with_paths) == scrub_inputs(records, with_paths=with_paths)
    assert all(part.is_clean for part in seen) == with_paths
    report = render_judged(judged, with_paths=with_paths, seen=seen)
    alone = render_judged(judged, with_paths=with_paths)
    assert report.page == alone.page
    assert report.results.text == alone.results.text
    assert render_store(root, with_paths=with_paths).page == alone.page
