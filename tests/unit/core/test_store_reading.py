"""Reading a store: the same records in the same order whatever else stands there, and traces only when asked for."""

from __future__ import annotations

import dataclasses
import gc
import json
from pathlib import Path

import pytest

from harness.core.collector import pause_collector
from harness.core.records import SCHEMA_VERSION, RunRecord, record_from_json
from harness.core.store import Store

COMMITTED = Path(__file__).parents[3] / "reports" / "2026-11_iso_loss_quick_cpu"


def make_store(root: Path) -> Store:
    store = Store(root)
    record = RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id="b",
        study="toy",
        role="single",
        arm="dense",
        size="s",
        seed=0,
        status="finished",
        started_utc="2026-01-01T00:00:00+00:00",
        config={},
        config_hash="x",
    )
    for run_id in ("c", "a", "b"):
        store.write_record(dataclasses.replace(record, run_id=run_id))
    return store


def test_records_are_those_of_their_files_in_order_of_names() -> None:
    records, unreadable = Store(COMMITTED).load_records()
    paths = sorted((COMMITTED / "records").glob("*.json"))
    assert records == [record_from_json(path.read_text(), path.name) for path in paths]
    assert unreadable == []


def test_broken_and_newer_files_are_listed_in_order_and_old_ones_are_read(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    text = store.record_path("a").read_text()
    store.record_path("a2").write_text(text[: len(text) // 2])
    store.record_path("b2").write_bytes(b"\xff\xfe not text")
    store.record_path("d").write_text(json.dumps({**json.loads(text), "schema_version": SCHEMA_VERSION + 1}))
    old = {key: value for key, value in json.loads(text).items() if key not in {"batches", "task_routing", "serving"}}
    store.record_path("e").write_text(json.dumps({**old, "run_id": "e", "schema_version": 1}))
    records, unreadable = store.load_records()
    assert [record.run_id for record in records] == ["a", "b", "c", "e"]
    assert records[-1].task_routing == ()
    assert len(unreadable) == 3
    assert [line.partition(" ")[0] for line in unreadable if line.startswith(("a2", "d"))] == ["a2.json", "d.json"]
    assert "newer than this isojoule" in unreadable[2]


def test_the_collector_is_on_again_after_reading_even_after_an_error(tmp_path: Path) -> None:
    make_store(tmp_path).load_records()
    assert gc.isenabled()
    with pause_collector():
        assert not gc.isenabled()
    with pytest.raises(ZeroDivisionError), pause_collector():
        _ = 1 / 0
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    try:
        with pause_collector():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_traces_are_found_in_the_order_of_runs_and_read_when_asked_for(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.write_trace("a", {"series": []})
    store.write_trace("c", {"series": [1]})
    store.trace_path("b").write_text("{ broken")
    traces = store.find_traces(["c", "b", "none", "a"])
    assert list(traces) == ["c", "b", "a"]
    assert len(traces) == 3
    store.write_trace("c", {"series": [2]})
    assert traces["c"] == {"series": [2]}
    assert traces["b"] == {}
    with pytest.raises(KeyError):
        traces["none"]


def test_a_store_without_traces_has_none(tmp_path: Path) -> None:
    assert not make_store(tmp_path).find_traces(["a", "b"])
