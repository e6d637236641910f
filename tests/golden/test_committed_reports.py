"""Committed reports hold: their verdicts follow from their records, and no number in them is simulated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.claims import judge_all, load_claims, verdicts_to_json
from harness.analysis.match import load_and_match
from harness.analysis.sensitivity.study import estimate_sensitivity
from harness.core.store import Store
from harness.core.study import load_study
from tests.unit.report.pages import read_payload

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted(path.parent for path in (ROOT / "reports").glob("*/study.json"))


def _assert_same(found: Any, expected: Any, where: str) -> None:
    if isinstance(expected, dict):
        assert set(found) == set(expected), where
        for key, value in expected.items():
            _assert_same(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for index, value in enumerate(expected):
            _assert_same(found[index], value, f"{where}[{index}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-6), where
    else:
        assert found == expected, where


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_verdicts_follow_from_the_records(folder: Path) -> None:
    study = load_study(folder)
    assert study is not None
    match = load_and_match(folder)
    verdicts = judge_all(load_claims(study.claims), match)
    sensitivity = estimate_sensitivity(Store(folder).load_records()[0], study, match, verdicts)
    found = json.loads(json.dumps(verdicts_to_json(verdicts, match, sensitivity)))
    _assert_same(found, json.loads((folder / "verdicts.json").read_text()), folder.name)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_records_are_whole_real_and_as_promised(folder: Path) -> None:
    records, unreadable = Store(folder).load_records()
    study = load_study(folder)
    assert unreadable == []
    assert study is not None
    assert {record.run_id for record in records} == {run.run_id for run in study.runs}
    for record in records:
        assert record.status == "finished"
        assert record.environment is not None
        assert record.environment.git_dirty is False, "a committed study ran from a commit"
        assert not any(reading.simulated for window in record.windows for reading in window.energy)
        assert record.flops is not None
        assert abs(record.flops.relative_gap or 0.0) < 0.01


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_page_names_every_run_and_loads_nothing(folder: Path) -> None:
    html = (folder / "report.html").read_text()
    study = load_study(folder)
    assert study is not None
    rows = "".join(read_payload(html)["tables"]["t-runs"])
    assert all(run.run_id in rows for run in study.runs)
    for mark in ('src="http', "@import", 'rel="stylesheet"', "url(http"):
        assert mark not in html
