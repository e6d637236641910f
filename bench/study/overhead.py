"""Overhead of a run in a study over bare training: ``python -m bench.study.overhead [--runs N]``.

Overhead of a run = wall time of `run_isolated` - the windows in its record (training, answers, warm-up, idle) - what
the same run does outside its windows when it is done bare: data, model, prompts and evaluation, in one process that
has all of torch imported, without sensors, records or checks. All else counts as machinery: processes, imports,
sensors, the traced check of the FLOP formulas, peaks, markers, locks, the record. Bare runs are made before and after
all others; a figure is the median over runs. Of a warm worker the first run, which starts it, is told apart and shared
out over the runs that a worker makes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from harness.core.clock import now_s
from harness.core.config import Budget, DataConfig, MeasureConfig, RunConfig, TaskConfig, TrainConfig
from harness.core.model_config import ModelConfig
from harness.core.store import Store
from harness.data import prepare_data
from harness.models import build_model
from harness.run.answering import build_asked
from harness.run.device import prepare_device
from harness.run.identity import identify
from harness.run.isolate import run_isolated
from harness.run.options import WorkerOptions
from harness.run.warm import MAX_RUNS, end_warm
from harness.train.evaluate import evaluate

ROOT = Path(__file__).parents[2]
BARS = {"process": 3.0, "warm": 0.3}
BEGIN, END = "<!-- study: begin -->", "<!-- study: end -->"


def main() -> int:
    """Measure both isolations and the bare runs; return 1 if a bar fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="runs of each isolation")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="write bench/study.json and the table of bench/README.md")
    options = parser.parse_args()
    if options.bare:
        print(json.dumps([_time_bare(_config(seed)) for seed in range(options.runs)]))
        return 0
    bare_s = _run_bare(options.runs)
    rows = [_measure(isolation, options.runs) for isolation in BARS]
    bare_s = statistics.median([*bare_s[1:], *_run_bare(options.runs)[1:]])
    result = _judge(rows, bare_s)
    print(_render(result))
    if options.write:
        (ROOT / "bench" / "study.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
        path = ROOT / "bench" / "README.md"
        before, _, rest = path.read_text().partition(BEGIN)
        path.write_text(f"{before}{BEGIN}\n{_render(result)}\n{END}{rest.partition(END)[2]}")
    return 0 if all(bar["passed"] for bar in result["bars"]) else 1


def _config(seed: int) -> RunConfig:
    """Return a run of about a second of training with answers; the sensors are those of this machine."""
    return RunConfig(
        seed=seed,
        num_threads=1,
        device="cpu",
        model=ModelConfig(d_model=64, num_layers=2, num_heads=2, num_kv_heads=1, d_ff=128),
        data=DataConfig(corpus="text_files", globs=[f"{ROOT}/harness/**/*.py"]),
        train=TrainConfig(
            budget=Budget(tokens=60 * 1024), batch_size=8, context_length=128, warmup_tokens=4096, eval_bytes=32768
        ),
        task=TaskConfig(num_examples=8, min_window_s=0.05),
        measure=MeasureConfig(idle_s=0.2, warmup_steps=1),
    )


def _measure(isolation: str, num_runs: int) -> dict[str, Any]:
    outside_s, loads = [], []
    with tempfile.TemporaryDirectory(prefix="isojoule-bench-") as folder:
        store = Store(folder)
        for seed in range(num_runs):
            config = _config(seed)
            run_id = identify(config)[0]
            began_s = now_s()
            record = run_isolated(config, run_id, store, options=WorkerOptions(isolation=isolation))
            wall_s = now_s() - began_s
            if record.status != "finished":
                raise SystemExit(f"{run_id} failed: {record.error}")
            outside_s.append(wall_s - sum(window.duration_s for window in record.windows))
            loads.append(os.getloadavg()[0])
        end_warm()
    return {"isolation": isolation, "outside_s": outside_s, "load_average": statistics.median(loads)}


def _run_bare(num_runs: int) -> list[float]:
    command = (sys.executable, "-m", "bench.study.overhead", "--bare", "--runs", str(num_runs))
    seconds: list[float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return seconds


def _time_bare(config: RunConfig) -> float:
    """Return the seconds of what a run does outside its windows, done bare."""
    device = prepare_device(config)
    began_s = time.monotonic()
    data = prepare_data(config.data)
    build_asked(config.task, data.test_documents, data.tokenizer.encode)
    model = build_model(dataclasses.replace(config.model, vocab_size=data.info.vocab_size), config.seed).to(device)
    evaluate(
        model,
        data.validation,
        data.tokenizer.token_num_bytes,
        context_length=config.train.context_length,
        batch_size=config.train.eval_batch_size,
        max_bytes=config.train.eval_bytes,
    )
    return time.monotonic() - began_s


def _judge(rows: list[dict[str, Any]], bare_s: float) -> dict[str, Any]:
    bars = []
    for row in rows:
        later = row["outside_s"][1:] if row["isolation"] == "warm" else row["outside_s"]
        row["overhead_s"] = statistics.median(later) - bare_s
        row["fastest_s"] = min(later) - bare_s
        row["first_s"] = row["outside_s"][0] - bare_s
        row["shared_s"] = (row["first_s"] + (MAX_RUNS - 1) * row["overhead_s"]) / MAX_RUNS
        limit = BARS[row["isolation"]]
        bars.append(
            {
                "bar": f"{row['isolation']}: overhead of a run below {limit:g} s",
                "figures": f"{row['overhead_s']:.2f} s (fastest {row['fastest_s']:.2f} s)",
                "passed": row["overhead_s"] < limit,
            }
        )
    versions = {"python": platform.python_version(), "torch": torch.__version__, "num_cpus": os.cpu_count()}
    return {**versions, "bare_s": bare_s, "rows": rows, "bars": bars}


def _render(result: dict[str, Any]) -> str:
    lines = ["| bar | figures | |", "|---|---|---|"]
    lines += [f"| {b['bar']} | {b['figures']} | {'pass' if b['passed'] else '**FAIL**'} |" for b in result["bars"]]
    lines += ["", "| isolation | runs | overhead, s | fastest, s | first run, s | shared out, s | load average |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row in result["rows"]:
        figures = (row["overhead_s"], row["fastest_s"], row["first_s"], row["shared_s"])
        cells = " | ".join(f"{value:.2f}" for value in figures)
        lines.append(f"| {row['isolation']} | {len(row['outside_s'])} | {cells} | {row['load_average']:.1f} |")
    lines += ["", f"Bare work outside windows: {result['bare_s']:.3f} s a run."]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
