"""One trial in a process of its own: ``python -m bench.meter.trial LIBRARY_FOLDER OUT``, the trial as JSON on stdin."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
import time
from pathlib import Path


def main(folder: str, out: str) -> None:
    """Run the trial and write its windows with the truth beside them."""
    from bench.meter.tools import TOOLS
    from tests.standin.truth import Truth

    logging.disable(logging.CRITICAL)
    trial = json.loads(sys.stdin.read())
    windows = [tuple(window) for window in trial["windows"]]
    used_s, began_s = sum(os.times()[:4]), time.monotonic()
    measured = list(TOOLS[trial["tool"]](windows, trial["gpus"]))
    cpu_share = (sum(os.times()[:4]) - used_s) / (time.monotonic() - began_s)
    truth = Truth(Path(folder))
    rows = []
    for window in measured:
        true_j = [truth.energy_j(gpu, window.begin_s, window.end_s) for gpu in range(trial["gpus"])]
        rows.append({**dataclasses.asdict(window), "truth_j": sum(true_j), "truth_per_gpu_j": true_j})
    kept = {key: value for key, value in trial.items() if key not in ("windows", "environ")}
    Path(out).write_text(json.dumps({**kept, "cpu_share": cpu_share, "rows": rows}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
