"""What a record says of its run's cost: its own windows, what lies between them, every device once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness.core.errors import RecordError
from harness.core.readings import Finding
from harness.core.store import Store
from harness.run.run_figures import load_figures, read_figures
from tests.unit.report.record_factory import energy
from tests.unit.run.study_factory import edit_json, fail_run, make_run, make_window

WINDOWS = (
    make_window("idle_before", 0.0, 1.0, 2.0),
    make_window("pretrain", 1.0, 10.0, 100.0),
    make_window("decode", 14.0, 2.0, 20.0),
)


def test_time_holds_what_lies_between_windows_and_energy_all_windows(tmp_path: Path) -> None:
    one = read_figures(Store(tmp_path).write_record(make_run("a", WINDOWS)))
    assert (one.train_s, one.rest_s, one.seconds) == (10.0, 6.0, 16.0)
    assert (one.train_j, one.rest_j, one.joules, one.grade) == (100.0, 22.0, 122.0, "B")
    assert one.train_flops == 10e9


def test_a_device_that_two_sensors_read_counts_once(tmp_path: Path) -> None:
    system = dataclasses.replace(energy(500.0, "B", "system"), sensor="external")
    windows = (*WINDOWS[:2], dataclasses.replace(WINDOWS[2], energy=(*WINDOWS[2].energy, system)))
    assert read_figures(Store(tmp_path).write_record(make_run("a", windows))).joules == 122.0


def test_one_unknown_window_makes_the_energy_unknown_with_its_reason(tmp_path: Path) -> None:
    windows = (*WINDOWS[:2], make_window("decode", 14.0, 2.0, None))
    one = read_figures(Store(tmp_path).write_record(make_run("a", windows)))
    assert one.joules is None
    assert one.energy_reason == "nvml cpu: it was off"
    assert one.seconds == 16.0


def test_a_resumed_run_counts_no_time_between_processes(tmp_path: Path) -> None:
    windows = (
        make_window("idle_before", 0.0, 1.0),
        make_window("pretrain", 500.0, 10.0),
        make_window("pretrain", 1.0, 5.0),
        make_window("decode", 7.0, 2.0),
    )
    resumed = Finding(code="resumed", severity="info", text="")
    record = dataclasses.replace(make_run("a", windows), findings=(resumed,))
    assert read_figures(Store(tmp_path).write_record(record)).seconds == 1 + 10 + 5 + 1 + 2


def test_a_failed_run_has_the_time_to_its_end_and_nothing_else(tmp_path: Path) -> None:
    failed = dataclasses.replace(
        fail_run("a"), started_utc="2026-01-02T03:04:05+00:00", ended_utc="2026-01-02T03:05:05+00:00"
    )
    one = read_figures(Store(tmp_path).write_record(failed))
    assert (one.seconds, one.joules, one.train_flops) == (60.0, None, 0.0)
    assert read_figures(Store(tmp_path).write_record(fail_run("b"))).seconds is None, "an older record says no end"


@pytest.mark.parametrize(
    "changes",
    [{"schema_version": 99}, {"windows": "none"}, {"status": "done"}, {"windows": [{"phase": "x"}]}],
)
def test_what_is_no_record_is_one_line(tmp_path: Path, changes: dict[str, object]) -> None:
    path = Store(tmp_path).write_record(make_run("a", WINDOWS))
    edit_json(path, **changes)
    with pytest.raises(RecordError, match=r"^a\.json "):
        read_figures(path)


@pytest.mark.parametrize("text", ["", "{", '{"windows": NaN}', "[" * 5000, '{"schema_version": 1e999}', "null"])
def test_broken_files_are_lines_and_the_rest_is_read(tmp_path: Path, text: str) -> None:
    path = Store(tmp_path).write_record(make_run("a", WINDOWS))
    path.with_name("broken.json").write_text(text)
    figures, unreadable = load_figures(tmp_path)
    assert [one.run_id for one in figures] == ["a"]
    assert len(unreadable) == 1
    assert "\n" not in unreadable[0]


def test_a_huge_number_is_refused_and_not_added_up(tmp_path: Path) -> None:
    path = Store(tmp_path).write_record(make_run("a", (make_window("pretrain", 0.0, 7.25),)))
    text = path.read_text()
    assert "7.25" in text
    path.write_text(text.replace("7.25", "1e200"))
    assert load_figures(tmp_path)[0] == []
