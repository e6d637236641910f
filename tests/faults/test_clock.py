"""A wall clock that jumps while a study runs changes no duration, no energy and no result."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.tiny_study import COMMAND, STUDY, TIMEOUT_S, read_essence, run, store_in
from tests.tools import require_tool

pytestmark = pytest.mark.faults
DAY_S = 86_400
JUMPS_S = (0, -30 * DAY_S, 400 * DAY_S, -3600)


def test_a_clock_that_jumps_by_days_changes_nothing(undisturbed: Path, tmp_path: Path) -> None:
    jump = tmp_path / "jump"
    _set(jump, JUMPS_S[0])
    clock = {"LD_PRELOAD": str(_build(tmp_path)), "ISOJOULE_WALL_CLOCK": str(jump)}
    began = time.monotonic()
    with subprocess.Popen(
        (*COMMAND, *STUDY),
        cwd=tmp_path,
        env={**os.environ, **clock},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        turn = 0
        while command.poll() is None and time.monotonic() < began + TIMEOUT_S * 2:
            time.sleep(1.5)
            turn += 1
            _set(jump, JUMPS_S[turn % len(JUMPS_S)])
        _, stderr = command.communicate(timeout=TIMEOUT_S)
    took_s = time.monotonic() - began
    assert command.returncode == 0, stderr
    store = store_in(tmp_path)
    assert read_essence(store) == read_essence(store_in(undisturbed))
    records, _ = store.load_records()
    starts = {record.started_utc[:7] for record in records}
    assert len(starts) > 1, "the clock did jump"
    for record in records:
        assert 0 < sum(window.duration_s for window in record.windows) < took_s
        assert all(window.duration_s > 0 for window in record.windows)
    again = run(*STUDY, cwd=tmp_path)
    assert again.returncode == 0, again.stderr


def _build(folder: Path) -> Path:
    library = folder / "wall_clock.so"
    source = Path(__file__).with_name("wall_clock.c")
    subprocess.run([require_tool("gcc"), "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    return library


def _set(file: Path, step_s: int) -> None:
    """Write in place, so that whoever has the file open reads the new step."""
    with file.open("r+b" if file.exists() else "wb") as opened:
        opened.write(struct.pack("q", step_s))
