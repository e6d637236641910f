"""Seconds, memory and bytes of one build of a report, in a process of its own."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from harness.report.build import VERDICTS_FILE

REPEATS = 3


def time_build(store: Path, out: Path) -> dict[str, Any]:
    """Return the medians of a whole ``isojoule report``, start of the program included, and each build's seconds."""
    found = [_build(store, out) for _ in range(REPEATS)]
    return {
        **{name: statistics.median(one[name] for one in found) for name in found[0]},
        "repeats": REPEATS,
        "builds_s": [one["build_s"] for one in found],
        "page_bytes": out.stat().st_size,
        "verdicts_bytes": out.with_name(VERDICTS_FILE).stat().st_size,
        "record_bytes": sum(path.stat().st_size for path in (store / "records").iterdir()),
    }


def _build(store: Path, out: Path) -> dict[str, float]:
    """Build once; `cpu_s` adds both cores, `peak_rss_bytes` is the most that the process held."""
    command = [str(Path(sys.executable).with_name("isojoule")), "report", str(store), "--out", str(out)]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"isojoule report ended with exit code {process.returncode} on '{store.name}'")
    return {
        "build_s": wall,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_rss_bytes": usage.ru_maxrss * 1024,
    }
