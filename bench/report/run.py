"""Run the bench: ``python -m bench.report.run [--quick]``; writes tables and ``bench/report.json``, judges the bars."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.report import table
from bench.report.browser import time_bare, time_page
from bench.report.building import time_build
from bench.report.peer import write_table
from bench.report.stores import Design, write_store

ROOT = Path(__file__).parents[2]
NUM_RUNS = (100, 200, 1000, 3000, 10_000)
DESIGNS: tuple[Design, ...] = ("seeds", "cells")


def main() -> int:
    """Build, open and sort pages of both designs and all sizes; return 1 if a bar fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to 1000 runs, for development; writes nothing")
    options = parser.parse_args()
    sizes = NUM_RUNS[:3] if options.quick else NUM_RUNS
    result: dict[str, Any] = {"python": platform.python_version(), "num_cpus": os.cpu_count(), "rows": []}
    with tempfile.TemporaryDirectory(prefix="isojoule-bench-") as folder:
        for design in DESIGNS:
            for num_runs in sizes:
                print(f"{design}, {num_runs} runs ...", flush=True)
                result["rows"].append(_measure(Path(folder), design, num_runs))
    result["bars"] = table.judge(result)
    print(table.render(result))
    if not options.quick:
        (ROOT / "bench" / "report.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
        table.write(ROOT / "bench" / "README.md", result)
    return 0 if all(bar["passed"] for bar in result["bars"]) else 1


def _measure(folder: Path, design: Design, num_runs: int) -> dict[str, Any]:
    store, page, bare = folder / "store", folder / "page" / "report.html", folder / "bare.html"
    page.parent.mkdir(exist_ok=True)
    write_store(store, num_runs, design)
    try:
        built = time_build(store, page)
        begin = time.perf_counter()
        write_table(store, bare)
        peer_build_s = time.perf_counter() - begin
        peer = time_bare(bare)
        shown = {"peer_bytes": bare.stat().st_size, "peer_build_s": peer_build_s, "peer_open_s": peer["open_s"]}
        return {"design": design, "num_runs": num_runs, **built, **time_page(page), **shown}
    finally:
        shutil.rmtree(store)


if __name__ == "__main__":
    sys.exit(main())
