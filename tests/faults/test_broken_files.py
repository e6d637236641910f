"""A record or a checkpoint that was cut short or altered is never taken for a whole one; the study mends it."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.core.store import Store
from tests.faults.tiny_study import COMMAND, STUDY, TIMEOUT_S, check_store, read_essence, run, store_in

pytestmark = pytest.mark.faults


def _copy(source: Path, target: Path) -> Store:
    subprocess.run(["cp", "-a", str(source / "runs"), str(target / "runs")], check=True)
    return store_in(target)


@pytest.mark.parametrize("keep", [0, 1, 1000, -1])
def test_a_record_cut_short_is_named_and_made_again(undisturbed: Path, tmp_path: Path, keep: int) -> None:
    store = _copy(undisturbed, tmp_path)
    cut = max((store.root / "records").glob("*-moe-*.json"))
    cut.write_bytes(cut.read_bytes()[:keep])
    records, unreadable = store.load_records()
    assert len(unreadable) == 1
    assert cut.stem not in {record.run_id for record in records}
    told = run("report", str(store.root), cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert cut.name in (store.root / "report.html").read_text()
    status = run("status", str(store.root), cwd=tmp_path)
    assert status.returncode == 0, status.stderr
    done = run(*STUDY, "--retry-failed", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_essence(store) == read_essence(store_in(undisturbed))


@pytest.mark.parametrize("how", ["cut", "altered", "state", "gone"])
def test_a_broken_checkpoint_is_passed_over(undisturbed: Path, tmp_path: Path, how: str) -> None:
    """Killed between trunk and branches, with every checkpoint broken: trunks are made again, results are the same."""
    store = store_in(tmp_path)
    with subprocess.Popen(
        (*COMMAND, *STUDY), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as command:
        deadline = time.monotonic() + TIMEOUT_S
        while not list(store.root.glob("records/*trunk*.json")) and time.monotonic() < deadline:
            time.sleep(0.05)
        command.send_signal(signal.SIGKILL)
    files = [path for path in store.root.glob("checkpoints/*/step-*/*") if not path.name.startswith(".")]
    assert files
    for path in files:
        _break(path, how)
    before = check_store(store)
    done = run(*STUDY, "--retry-failed", cwd=tmp_path)
    again = run(*STUDY, "--retry-failed", cwd=tmp_path) if done.returncode else done
    assert again.returncode == 0, again.stderr
    assert "Traceback" not in done.stderr
    assert set(before) <= set(check_store(store))
    assert read_essence(store) == read_essence(store_in(undisturbed))


def _break(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "altered" and path.suffix == ".safetensors":
        middle = len(content) * 3 // 4
        path.write_bytes(
            content[:middle] + bytes(byte ^ 0xFF for byte in content[middle : middle + 64]) + content[middle + 64 :]
        )
    elif how == "state" and path.suffix == ".json":
        path.write_text("[" * 100_000)
    elif how == "gone":
        path.unlink()
