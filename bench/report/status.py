"""Time ``isojoule status`` on large stores: ``python -m bench.report.status [NUM_RUNS]``; 10 000 within 20 s."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.report.stores import TEMPLATES, write_store

NUM_RUNS = 10_000
LIMIT_S = 20.0


def main() -> int:
    """Print seconds and memory of both designs of store; return 1 where a store of 10 000 takes longer than the bar."""
    num_runs = int(sys.argv[1]) if len(sys.argv) > 1 else NUM_RUNS
    worst_s = 0.0
    for design in TEMPLATES:
        with tempfile.TemporaryDirectory(prefix="isojoule-bench-") as folder:
            store = write_store(Path(folder) / "store", num_runs, design)
            size = sum(path.stat().st_size for path in (store / "records").iterdir())
            command = [str(Path(sys.executable).with_name("isojoule")), "status", str(store), "--json", f"{folder}/out"]
            begin = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            _, code, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(code)
            counts = json.loads(Path(folder, "out").read_text())["counts"]
        worst_s = max(worst_s, wall_s)
        print(
            f"{design}: {num_runs} runs ({counts['finished']} finished), {size / 1e6:.0f} MB of records: "
            f"{wall_s:.1f} s, {usage.ru_utime + usage.ru_stime:.1f} s of CPU, {usage.ru_maxrss / 1024:.0f} MiB"
        )
    return 1 if num_runs <= NUM_RUNS and worst_s > LIMIT_S else 0


if __name__ == "__main__":
    sys.exit(main())
