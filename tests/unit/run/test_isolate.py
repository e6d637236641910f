"""What a worker's death leaves in the store: a failed record of this try, and nothing of an earlier one beside it."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from harness.core.config import RunConfig
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.run import isolate
from harness.run.outline import failed_record
from harness.run.progress import StudyProgress

CONFIG = RunConfig()
RUN_ID = "adhoc-dense-s-1M-s0-00000000"


def _run(store: Store, monkeypatch: pytest.MonkeyPatch, script: str) -> RunRecord:
    """Run with a worker that does what the Python `script` says."""
    monkeypatch.setattr(isolate, "worker_command", lambda marker: (sys.executable, "-c", script, str(marker)))
    return isolate.run_isolated(CONFIG, RUN_ID, store)


def test_a_worker_that_is_killed_is_not_told_by_the_record_of_an_earlier_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.write_record(failed_record(CONFIG, RUN_ID, "2026-01-01T00:00:00+00:00", "no server answered"))
    store.write_answers(RUN_ID, [])
    store.write_trace(RUN_ID, {})
    record = _run(store, monkeypatch, "import os; os.kill(os.getpid(), 9)")
    assert "killed by SIGKILL" in record.error
    assert store.load_record(RUN_ID) == record
    assert not store.answers_path(RUN_ID).exists()
    assert not store.trace_path(RUN_ID).exists()
    assert not store.marker_path(RUN_ID).exists()


def test_the_record_that_a_worker_wrote_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import sys; from harness.core.config import RunConfig; from harness.core.store import Store\n"
        "from harness.run.outline import failed_record\n"
        f"Store({str(tmp_path)!r}).write_record(failed_record(RunConfig(), {RUN_ID!r}, '', 'its own words'))\n"
        "sys.exit(1)"
    )
    assert _run(Store(tmp_path), monkeypatch, script).error == "its own words"


def test_the_display_writes_control_characters_out(capsys: pytest.CaptureFixture[str]) -> None:
    record = failed_record(CONFIG, RUN_ID, "", "no model 'a\x1b[2J'")
    with StudyProgress("s", 1, 1.0) as display:
        display.end(dataclasses.replace(record), 0.0)
    assert r"a\x1b[2J" in capsys.readouterr().err
