"""Status of a store: the state of every run, what was spent and is left; nothing is written, no torch, no hydra."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.command import main
from harness.core.errors import RecordError
from harness.core.store import Store
from harness.run.schedule_file import SCHEDULE_FILE, ScheduleFile, save_schedule
from harness.run.study_budget import StudyBudget
from harness.run.study_status import read_status
from harness.run.study_status_text import status_to_json, status_to_text
from tests.unit.run.study_factory import fail_run, make_run, make_window, mark_alive, mark_dead, plan_store, set_age

WINDOWS = (
    make_window("idle_before", 0.0, 1.0, 2.0),
    make_window("pretrain", 1.0, 10.0, 100.0),
    make_window("decode", 11.0, 2.0, 20.0),
)
IDS = ["done", "failed", "going", "broken_off", "to_come"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A study with one run in each state."""
    store = plan_store(tmp_path / "study", IDS)
    store.write_record(make_run("done", WINDOWS, role="branch"))
    store.write_record(fail_run("failed"))
    store.log_path("failed").parent.mkdir()
    store.log_path("failed").write_text("\n".join(f"line {n}" for n in range(20)))
    mark_alive(store, "going")
    mark_dead(store, "broken_off")
    return store


def _states(store: Store) -> dict[str, str]:
    return {run.run_id: run.state for run in read_status(store.root).runs}


def test_each_run_is_in_its_state(store: Store) -> None:
    assert _states(store) == {
        "done": "finished", "failed": "failed", "going": "running", "broken_off": "interrupted", "to_come": "waiting",
    }  # fmt: skip


def test_an_owner_that_beats_no_more_is_dead_and_a_newer_try_of_a_failed_run_counts(store: Store) -> None:
    mark_alive(store, "failed")
    assert _states(store)["failed"] == "running"
    store.marker_path("failed").write_text("{}")
    set_age(store.marker_path("failed"), 3600)
    assert _states(store)["failed"] == "interrupted"
    assert store.marker_path("failed").exists(), "status writes nothing"


def test_a_record_that_cannot_be_read_is_waiting_and_told(store: Store) -> None:
    store.record_path("done").write_text("{")
    status = read_status(store.root)
    assert status.runs[0].state == "waiting"
    assert "done.json is not a readable run record" in status_to_text(status)


def test_text_says_who_runs_where_it_failed_what_was_spent_and_what_is_left(store: Store) -> None:
    save_schedule(store.root, ScheduleFile(budget=StudyBudget(joules=1000.0), train_flops=dict.fromkeys(IDS, 5e9)))
    status = read_status(store.root, now_s=1767323045.0 + 4)
    text = status_to_text(status)
    assert "5 runs planned: 1 finished, 1 failed, 1 running, 1 interrupted, 1 waiting" in text
    assert "for 4.00 s of ~8.00 s" in text
    assert "the worker was killed by SIGKILL\n    | line 15" in text
    assert "spent  13.0 s, 122 J (grade B), 10.0 GFLOP of training in 1 run; 1 failed run in the time alone" in text
    assert "left   3 runs, ~20.0 s, ~180 J, done at about" in text
    assert "budget.joules: 122 J of 1.00 kJ spent, 878 J left" in text
    assert "--retry-failed" in text


def test_a_log_that_the_error_quotes_is_not_shown_twice(store: Store) -> None:
    store.log_path("failed").write_text("Traceback\nthe worker was killed by SIGKILL\n")
    text = status_to_text(read_status(store.root))
    assert text.count("the worker was killed by SIGKILL") == 1
    assert "| Traceback" in text


def test_json_holds_every_run_and_names_estimates_so(store: Store) -> None:
    found = json.loads(json.dumps(status_to_json(read_status(store.root)), allow_nan=False))
    assert [run["run_id"] for run in found["runs"]] == IDS
    assert found["counts"]["interrupted"] == 1
    assert found["runs"][2]["pid"]
    assert found["runs"][1]["log_tail"] == [f"line {n}" for n in range(15, 20)]
    assert found["spent"]["joules"] == 122.0
    assert found["estimated_left_s"] is not None


def test_without_a_schedule_other_seeds_tell_what_a_run_trains_and_where_nothing_does_it_is_unknown(
    store: Store,
) -> None:
    assert read_status(store.root).runs[4].estimate.seconds == pytest.approx(13.0)  # type: ignore[union-attr]
    store.record_path("done").unlink()
    status = read_status(store.root)
    assert status.left_s is None
    assert "time unknown" in status_to_text(status)


def test_runs_made_one_by_one_have_a_status_too(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_record(make_run("alone", WINDOWS))
    mark_dead(store, "other")
    status = read_status(tmp_path)
    assert status.planned is None
    assert {run.run_id: run.state for run in status.runs} == {"alone": "finished", "other": "interrupted"}
    assert "2 runs made one by one" in status_to_text(status)


def test_records_of_runs_that_are_not_planned_count_nowhere(store: Store) -> None:
    store.write_record(make_run("stranger", WINDOWS))
    status = read_status(store.root)
    assert status.num_unplanned == 1
    assert status.spent.joules == 122.0


@pytest.mark.parametrize("there", [False, True])
def test_a_store_that_is_missing_or_empty_is_one_line(
    tmp_path: Path, there: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if there:
        (tmp_path / "x").mkdir()
    with pytest.raises(RecordError, match="no runs under"):
        read_status(tmp_path / "x")
    assert main(("status", str(tmp_path / "x"))) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "text"), [(SCHEDULE_FILE, '{"budget": 3}'), ("study.json", "[]"), (SCHEDULE_FILE, "x")]
)
def test_a_broken_file_of_the_study_is_one_line(
    store: Store, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (store.root / name).write_text(text)
    assert main(("status", str(store.root))) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_hostile_text_reaches_the_terminal_escaped(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.write_record(dataclasses.replace(fail_run("failed"), error="\x1b[31mred"))
    assert main(("status", str(store.root))) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_status_needs_neither_torch_nor_hydra(store: Store) -> None:
    code = (
        "import sys; sys.modules.update(torch=None, hydra=None, omegaconf=None); from harness.cli.command import main; "
        f"sys.exit(main(('status', {str(store.root)!r}, '--json', '-')))"
    )
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["finished"] == 1
