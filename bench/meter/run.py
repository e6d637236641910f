"""Run the bench: ``python -m bench.meter.run [--quick] [--fresh] [--seed N]``; trials that are done are skipped.

Accuracy trials mostly sleep and run a few at once; what costs time is measured alone. Ends with the bars' verdict.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.meter import bars, table
from bench.meter.plan import FAULT_AT_S, Trial, make_trials
from tests.standin.build import build_nvml

ROOT = Path(__file__).parents[2]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
AT_ONCE = 10
_STARTING_S = 3.0


def main() -> int:
    """Run what is missing, write the tables, return 1 if a bar fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few waveforms, for development")
    parser.add_argument("--fresh", action="store_true", help="forget trials that are done")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    work = ROOT / "runs" / ("bench_meter_quick" if options.quick else "bench_meter")
    if options.fresh:
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    library = work / "nvml"
    library.mkdir(exist_ok=True)
    build_nvml(library)
    trials = make_trials(options.seed, quick=options.quick)
    left = [trial for trial in trials if not (work / f"{trial.name}.json").exists()]
    print(f"{len(trials)} trials, {len(left)} to run, {AT_ONCE} at once", flush=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number, line in enumerate(pool.map(lambda trial: _run_trial(trial, library, work), left), 1):
            print(f"[{number}/{len(left)}] {line}", flush=True)
    costs = _measure_costs(library, work)
    done = [json.loads(path.read_text()) for t in trials if (path := work / f"{t.name}.json").exists()]
    result = bars.judge(done, costs)
    result["peers"] = [line for line in (ROOT / "bench/meter/peers.txt").read_text().splitlines() if "==" in line]
    result["num_trials"], result["num_failed"] = len(trials), len(trials) - len(done)
    (work / "windows.json").write_text(json.dumps(done))
    if not options.quick:
        (ROOT / "bench" / "meter.json").write_text(json.dumps(result, indent=1) + "\n")
        table.write(ROOT / "bench" / "README.md", result)
    print(table.render(result))
    return 0 if all(bar["passed"] for bar in result["bars"]) else 1


def _run_trial(trial: Trial, library: Path, work: Path) -> str:
    out = work / f"{trial.name}.json"
    fault_at = time.monotonic() + _STARTING_S + FAULT_AT_S
    environ = {key: f"{fault_at:.3f}" if value == "AT" else value for key, value in trial.environ.items()}
    python = sys.executable if trial.tool == "isojoule" else str(PEERS_PYTHON)
    done = subprocess.run(
        [python, "-m", "bench.meter.trial", str(library), str(out)],
        input=json.dumps(dataclasses.asdict(trial)),
        env=_environ(library, environ),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    if done.returncode != 0 or not out.exists():
        return f"{trial.name}: FAILED {done.stderr.strip().splitlines()[-1:] or ''}"
    return trial.name


def _measure_costs(library: Path, work: Path) -> dict[str, dict[str, float]]:
    """Return what windows and the sampler cost, measured with nothing beside it."""
    costs = {}
    for what, python in (("edges", str(PEERS_PYTHON)), ("cpu", sys.executable), ("loop", sys.executable)):
        path = work / f"cost-{what}.json"
        if not path.exists():
            print(f"measuring cost: {what}", flush=True)
            done = subprocess.run(
                [python, "-m", "bench.meter.cost", what],
                env=_environ(library, {"STANDIN_GENERATION": "A100", "STANDIN_WAVE": "square:100:400:1"}),
                capture_output=True,
                text=True,
                cwd=ROOT,
                timeout=300,
                check=True,
            )
            path.write_text(done.stdout.strip().splitlines()[-1])
        costs[what] = json.loads(path.read_text())
    return costs


def _environ(library: Path, extra: dict[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("STANDIN_", "CUDA_"))}
    path = f"{library}:{kept.get('PATH', '')}"
    return {**kept, "LD_LIBRARY_PATH": str(library), "PATH": path, "PYTHONPATH": str(ROOT), **extra}


if __name__ == "__main__":
    sys.exit(main())
