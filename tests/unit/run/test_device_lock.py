"""Two measured runs never share a device by accident: who waits, who is told, and what frees a lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.errors import ConfigError, DeviceBusyError
from harness.run.device_lock import CPU, describe_holder, hold_devices, list_holders, lock_folder, name_gpu

HOLDER = (
    "import sys, time; from harness.run.device_lock import hold_devices\n"
    "with hold_devices(['cpu'], 'a-run\\x1b[2J'):\n"
    "    print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture
def holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Another process that holds the CPU's lock."""
    monkeypatch.setenv("ISOJOULE_LOCK_DIR", str(tmp_path / "locks"))
    with subprocess.Popen(
        (sys.executable, "-c", HOLDER), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_device_in_use_is_named_with_its_holder(holder: subprocess.Popen[str]) -> None:
    said = describe_holder(CPU)
    assert said is not None
    assert f"process {holder.pid} with run a-run" in said
    assert list_holders() == [f"cpu: {said}"]
    assert "\x1b" not in said, "another's text does not drive the terminal"
    held = hold_devices([CPU], "mine", fail=True)
    with pytest.raises(DeviceBusyError, match=f"cpu is in use: process {holder.pid} .*lock=off"):
        held.__enter__()


def test_a_killed_holder_frees_the_device_and_who_waits_is_told_once(holder: subprocess.Popen[str]) -> None:
    said: list[str] = []

    def on_wait(text: str) -> None:
        said.append(text)
        os.kill(holder.pid, signal.SIGKILL)

    with hold_devices([CPU], "mine", on_wait=on_wait):
        assert describe_holder(CPU) is None
    assert len(said) == 1
    assert f"process {holder.pid}" in said[0]


def test_a_process_never_waits_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOJOULE_LOCK_DIR", str(tmp_path))
    with hold_devices([CPU, CPU], "outer", fail=True), hold_devices([CPU], "inner", fail=True):
        assert describe_holder(CPU) is None
    with hold_devices([CPU], "later", fail=True):
        pass


def test_gpus_have_locks_of_their_own_and_names_hold_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOJOULE_LOCK_DIR", str(tmp_path))
    assert name_gpu("GPU-5a1d/../x") == "gpu-5a1d"
    with hold_devices([name_gpu("GPU-aa"), CPU], "one", fail=True):
        assert {path.name for path in tmp_path.glob("*.lock")} == {"gpu-aa.lock", "cpu.lock"}
        assert describe_holder(name_gpu("GPU-bb")) is None


def test_a_folder_that_cannot_be_used_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ISOJOULE_LOCK_DIR", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="set ISOJOULE_LOCK_DIR"), hold_devices([CPU], "mine"):
        pass


def test_the_common_folder_is_open_to_every_user_and_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ISOJOULE_LOCK_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert lock_folder().stat().st_mode & 0o7777 == 0o777
    with hold_devices([CPU], "mine"):
        assert (lock_folder() / "cpu.lock").stat().st_mode & 0o666 == 0o666
    other = tmp_path / "other"
    (other / "elsewhere").mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(other))
    (other / "isojoule-locks").symlink_to(other / "elsewhere")
    with pytest.raises(ConfigError, match="no folder"):
        lock_folder()
