"""From a store on disk to the two files, through the real matching and judging."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import ModuleType

import pytest

from harness.core.errors import RecordError
from harness.core.store import Store
from harness.core.study import STUDY_FILE, save_study
from harness.report.build import VERDICTS_FILE, build_report
from tests.unit.report.pages import read_payload

CLAIMS = ("training_compute_tenth", "energy_per_task_90")


def fill(root: Path, factory: ModuleType) -> None:
    records = factory.make_records()
    store = Store(root)
    for record in records:
        store.write_record(record)
    store.write_trace(records[-1].run_id, factory.make_trace())
    save_study(root, dataclasses.replace(factory.make_study(records), claims=CLAIMS))


def test_build_writes_the_page_and_the_verdicts_twice_alike(tmp_path: Path, factory: ModuleType) -> None:
    store = tmp_path / "store"
    fill(store, factory)
    (store / "records" / "torn.json").write_text("{")
    first = build_report(store, tmp_path / "a" / "report.html")
    second = build_report(store, tmp_path / "b" / "report.html")
    assert first.read_bytes() == second.read_bytes()
    verdicts = [path.with_name(VERDICTS_FILE).read_bytes() for path in (first, second)]
    assert verdicts[0] == verdicts[1]
    assert json.loads(verdicts[0])["study"] == "toy"
    page = first.read_text()
    assert "torn.json is not a readable run record" in page
    assert str(tmp_path) not in page
    assert all(f'id="claim-{claim}"' in page for claim in CLAIMS)


def test_a_broken_promise_is_reported_and_the_records_still_shown(tmp_path: Path, factory: ModuleType) -> None:
    fill(tmp_path, factory)
    (tmp_path / STUDY_FILE).write_text("[]")
    page = build_report(tmp_path, tmp_path / "report.html").read_text()
    assert "study.json is not a readable study file" in page
    rows = read_payload(page)["tables"].get("t-runs", [page])
    assert any("toy-moe-s-1M-s0-abc12345" in row for row in rows)


def test_an_empty_store_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no run records"):
        build_report(tmp_path, tmp_path / "report.html")
