"""Runs that cannot end well: each is one failed record with its reason, and the others go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.core.records import RunRecord
from harness.core.store import Store
from tests.faults.tiny_study import COMMAND, STUDY, TIMEOUT_S, read_essence, run, store_in
from tests.workers import workers_of

pytestmark = pytest.mark.faults
ONE_SEED = (*STUDY, "sweep.seeds=[0]")


def _records(folder: Path) -> dict[str, list[RunRecord]]:
    records, unreadable = store_in(folder).load_records()
    assert unreadable == []
    return {arm: [record for record in records if record.arm == arm] for arm in ("dense", "moe")}


def _expect_one_arm_to_fail(folder: Path, done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 3, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    records = _records(folder)
    assert {record.status for record in records["dense"]} == {"finished"}
    trunks = [record for record in records["moe"] if record.role == "trunk"]
    assert [record.status for record in trunks] == ["failed"]
    assert any(word in (trunks[0].error or "") for word in words), trunks[0].error


def _arm(setting: str) -> str:
    cells = (
        "{arm: dense, model: dense_s, tokens: [15360, 30720]}",
        f"{{arm: moe, model: moe_s, tokens: [15360, 30720], overrides: ['{setting}']}}",
    )
    return f"sweep.cells=[{', '.join(cells)}]"


def test_a_loss_that_is_not_finite_fails_its_run_alone(tmp_path: Path) -> None:
    done = run(*ONE_SEED, _arm("train.learning_rate=1e30"), cwd=tmp_path)
    _expect_one_arm_to_fail(tmp_path, done, "loss is nan", "loss is inf", "learning_rate")


def test_a_model_that_does_not_fit_the_memory_fails_its_run_alone(tmp_path: Path) -> None:
    done = run(*ONE_SEED, _arm("model.d_expert=400000000"), cwd=tmp_path)
    _expect_one_arm_to_fail(tmp_path, done, "memory", "killed by SIGKILL")


@pytest.mark.parametrize("num_readings", [3, 12])
def test_a_sensor_that_dies_leaves_energy_unknown_and_no_number_is_made_up(tmp_path: Path, num_readings: int) -> None:
    """An external meter fails from some reading on: that run finishes without its joules, later ones find no meter."""
    meter = tmp_path / "meter.py"
    meter.write_text(
        "import pathlib, sys\n"
        f"count = pathlib.Path({str(tmp_path / 'count')!r})\n"
        "n = int(count.read_text()) if count.exists() else 0\n"
        "count.write_text(str(n + 1))\n"
        f"sys.exit(1) if n >= {num_readings} else print(100.0)\n"
    )
    sensor = f"measure.sensor.external.command={sys.executable} {meter}"
    done = run(*ONE_SEED, "measure.sensor.names=[external]", sensor, "measure.poll_interval_s=0.2", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    records = [record for arm in _records(tmp_path).values() for record in arm]
    finished = [record for record in records if record.status == "finished"]
    assert len(finished) == 1
    readings = [reading for window in finished[0].windows for reading in window.energy]
    unknown = [reading for reading in readings if reading.energy_j is None]
    assert unknown
    assert all(reading.reason for reading in unknown)
    assert all(reading.energy_j != 0 for reading in readings)
    failed = [record.error or "" for record in records if record.status == "failed"]
    assert all("external meter" in error or "its trunk" in error for error in failed), failed
    assert any("external meter" in error for error in failed), failed


def test_a_worker_that_hangs_is_ended_by_the_watchdog(undisturbed: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        (*COMMAND, *STUDY, "watchdog_s=20"), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as command:
        worker = _find_worker(store_in(tmp_path))
        os.kill(worker.pid, signal.SIGSTOP)
        _, stderr = command.communicate(timeout=TIMEOUT_S * 3)
    assert command.returncode == 3, stderr
    failed = [record for records in _records(tmp_path).values() for record in records if record.status == "failed"]
    errors = [record.error or "" for record in failed]
    assert any("nothing was heard from it" in error for error in errors), errors
    again = run(*STUDY, "--retry-failed", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert read_essence(store_in(tmp_path)) == read_essence(store_in(undisturbed))


def _find_worker(store: Store) -> psutil.Process:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        for worker in workers_of(store):
            return worker
        time.sleep(0.05)
    raise AssertionError("no worker was started")
