"""A wall clock that jumps while a study runs changes no duration, no energy and no result."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.tiny_study import COMMAND, STUDY, TIMEOUT_S, read_essence, run, store_in

pytestmark = pytest.mark.faults
_LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
_JUMPS = ("+0d", "-30d", "+400d", "-1h")


@pytest.mark.skipif(_LIBRARY is None, reason="libfaketime is not installed (Debian: faketime)")
def test_a_clock_that_jumps_by_days_changes_nothing(undisturbed: Path, tmp_path: Path) -> None:
    jump = tmp_path / "jump"
    jump.write_text(_JUMPS[0])
    clock = {
        "LD_PRELOAD": str(_LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(jump),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
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
            jump.write_text(_JUMPS[turn % len(_JUMPS)])
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
