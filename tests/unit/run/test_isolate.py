"""What a worker's death leaves in the store: a failed record of this try, and nothing of an earlier one beside it."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from pathlib import Path

import pytest

from harness.core.config import RunConfig
from harness.core.errors import RunInterruptedError, RunTakenError
from harness.core.markers import claim_marker, load_marker, owner_state
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.run import isolate
from harness.run.options import WorkerOptions
from harness.run.outline import failed_record
from harness.run.progress import StudyProgress

CONFIG = RunConfig()
RUN_ID = "adhoc-dense-s-1M-s0-00000000"
SPAWN = WorkerOptions(isolation="spawn")


def _run(store: Store, monkeypatch: pytest.MonkeyPatch, script: str) -> RunRecord:
    """Run with a worker that does what the Python `script` says."""
    monkeypatch.setattr(isolate, "worker_command", lambda marker: (sys.executable, "-c", script, str(marker)))
    return isolate.run_isolated(CONFIG, RUN_ID, store, options=SPAWN)


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


def test_a_run_that_a_living_process_works_on_is_taken(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert claim_marker(store.marker_path(RUN_ID), {"run_id": RUN_ID, "started_utc": "then"})
    with pytest.raises(RunTakenError, match=f"run {RUN_ID} is under way in process {os.getpid()} .*passed over"):
        isolate.run_isolated(CONFIG, RUN_ID, store)
    assert not store.record_path(RUN_ID).exists()


def test_a_run_that_another_host_finished_meanwhile_is_returned_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    finished = dataclasses.replace(failed_record(CONFIG, RUN_ID, "then", ""), status="finished", error=None)
    claim = isolate.claim_marker

    def and_finish(path: Path, content: dict[str, object]) -> bool:
        store.write_record(finished)
        return claim(path, content)

    monkeypatch.setattr(isolate, "claim_marker", and_finish)
    assert _run(store, monkeypatch, "raise SystemExit('it ran twice')") == finished
    assert not store.marker_path(RUN_ID).exists()
    assert isolate.run_isolated(CONFIG, RUN_ID, store, again=False) == finished


def test_a_finished_record_outlives_a_later_try_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    finished = dataclasses.replace(failed_record(CONFIG, RUN_ID, "then", ""), status="finished", error=None)
    store.write_record(finished)
    assert _run(store, monkeypatch, "import os; os.kill(os.getpid(), 9)").status == "failed"
    assert store.load_record(RUN_ID) == finished


def test_a_worker_that_died_after_its_record_has_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL between the record and the removal of the marker loses nothing."""
    store = Store(tmp_path)
    script = (
        "import dataclasses, os; from harness.core.config import RunConfig; from harness.core import store\n"
        "from harness.run.outline import failed_record\n"
        "store.Path.unlink = lambda *_, **__: os.kill(os.getpid(), 9)\n"
        f"record = failed_record(RunConfig(), {RUN_ID!r}, '', '')\n"
        f"store.Store({str(tmp_path)!r}).write_record(dataclasses.replace(record, status='finished', error=None))\n"
    )
    assert _run(store, monkeypatch, script).status == "finished"
    assert not store.marker_path(RUN_ID).exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_the_parent_goes_on_to_the_worker_and_leaves_an_interrupted_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    store = Store(tmp_path)
    before = signal.getsignal(number)
    script = (
        "import sys, time; from harness.run import stop; stop.install()\n"
        'print(\'{"event": "up"}\', flush=True); time.sleep(60)'
    )
    monkeypatch.setattr(isolate, "worker_command", lambda marker: (sys.executable, "-c", script, str(marker)))
    with pytest.raises(RunInterruptedError, match="goes on from there") as stopped:
        isolate.run_isolated(CONFIG, RUN_ID, store, lambda _: signal.raise_signal(number), SPAWN)
    assert stopped.value.exit_code == code
    assert owner_state(store.marker_path(RUN_ID)) == "dead"
    assert not store.record_path(RUN_ID).exists()
    assert signal.getsignal(number) == before, "handlers are put back"


def test_a_worker_that_does_not_stop_is_killed_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.run.supervise.STOP_GRACE_S", 0.1)
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        'print(\'{"event": "up"}\', flush=True); time.sleep(60)'
    )
    monkeypatch.setattr(isolate, "worker_command", lambda marker: (sys.executable, "-c", script, str(marker)))
    with pytest.raises(RunInterruptedError):
        isolate.run_isolated(CONFIG, RUN_ID, Store(tmp_path), lambda _: signal.raise_signal(signal.SIGTERM), SPAWN)
    assert owner_state(Store(tmp_path).marker_path(RUN_ID)) == "dead"


def test_a_worker_stopped_from_outside_is_interrupted_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunInterruptedError) as stopped:
        _run(Store(tmp_path), monkeypatch, "import os; os.kill(os.getpid(), 15)")
    assert stopped.value.exit_code == 143
    assert owner_state(Store(tmp_path).marker_path(RUN_ID)) == "dead"


def test_a_hung_worker_is_ended_and_its_record_shows_where_it_hung(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import faulthandler, signal, time; faulthandler.register(signal.SIGUSR1, all_threads=True)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "def waits_for_ever(): time.sleep(60)\n"
        "waits_for_ever()"
    )
    monkeypatch.setattr("harness.run.supervise._HUNG_GRACE_S", 0.2)
    monkeypatch.setattr(isolate, "worker_command", lambda marker: (sys.executable, "-c", script, str(marker)))
    store = Store(tmp_path)
    record = isolate.run_isolated(CONFIG, RUN_ID, store, options=WorkerOptions(isolation="spawn", watchdog_s=1.0))
    assert record.status == "failed"
    assert "nothing was heard from it for 1 s (watchdog_s)" in (record.error or "")
    assert "waits_for_ever" in (record.error or "")
    assert store.load_record(RUN_ID) == record
    assert not store.marker_path(RUN_ID).exists()


def test_a_worker_whose_marker_another_took_over_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.run.supervise.BEAT_S", 0.1)
    store = Store(tmp_path)
    script = 'print(\'{"event": "up"}\', flush=True); import time; time.sleep(60)'
    monkeypatch.setattr(isolate, "worker_command", lambda marker: (sys.executable, "-c", script, str(marker)))

    def take_over(_: object) -> None:
        store.marker_path(RUN_ID).unlink()
        assert claim_marker(store.marker_path(RUN_ID), {"claim": "another's"})

    with pytest.raises(RunTakenError):
        isolate.run_isolated(CONFIG, RUN_ID, store, take_over, SPAWN)
    assert (load_marker(store.marker_path(RUN_ID)) or {})["claim"] == "another's"


def test_a_marker_is_touched_while_the_worker_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.run.supervise.BEAT_S", 0.1)
    store = Store(tmp_path)
    touched: list[Path] = []
    monkeypatch.setattr("harness.run.supervise.touch_marker", touched.append)
    _run(store, monkeypatch, "import time; time.sleep(1)")
    assert set(touched) == {store.marker_path(RUN_ID)}
