"""A study of seconds that faults are played on, and what must be the same in it whatever happened on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.core.store import Store
from harness.core.study import load_study

COMMAND = (sys.executable, "-c", "import sys; from harness.cli.command import main; sys.exit(main())")
_CELLS = (
    "{arm: dense, model: dense_s, tokens: [15360, 30720]}",
    "{arm: moe, model: moe_s, tokens: [15360, 30720]}",
)
STUDY = (
    "run",
    "experiment=smoke",
    "num_threads=1",
    f"sweep.cells=[{', '.join(_CELLS)}]",
    "sweep.seeds=[0,1]",
    "train.checkpoint_interval_s=0.5",
    "train.eval_bytes=16384",
    "task.num_examples=16",
    "task.min_window_s=0.05",
    "measure.idle_s=0.05",
)
TIMEOUT_S = 300


def run(*arguments: str, cwd: Path, timeout_s: float = TIMEOUT_S, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the command to its end in `cwd` and return what it said."""
    return subprocess.run(
        (*COMMAND, *arguments), cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False, **more
    )


def store_in(folder: Path) -> Store:
    """Return the store of `STUDY` when it runs in `folder`."""
    return Store(folder / "runs" / "smoke")


def read_essence(store: Store) -> dict[str, Any]:
    """Return everything of the records but measured time, memory and energy, and what was found on the way."""
    records, unreadable = store.load_records()
    assert unreadable == []
    return {
        record.run_id: (
            record.status,
            record.quality,
            record.loss_curve,
            record.path and (record.path.tokens, record.path.flops, record.path.trunk_run_id),
            record.flops,
            record.params,
            record.routing,
            sorted((a.kind, a.index, a.status, a.answer, a.correct) for a in store.load_answers(record.run_id))[:64],
        )
        for record in records
    }


def read_flop_verdicts(store: Store, folder: Path) -> dict[str, Any]:
    """Return verdict, ratio and interval of each claim that rests on counted FLOPs, as the command prints them."""
    path = folder / "claims.json"
    done = run("claims", str(store.root), "--json", str(path), cwd=folder)
    assert done.returncode == 0, done.stderr
    content = json.loads(path.read_text())
    return {
        claim["id"]: (claim["verdict"], claim["estimate"], claim["interval"])
        for claim in content["claims"]
        if claim["kind"] == "counted"
    }


def check_store(store: Store) -> dict[str, bytes]:
    """Check that every record file is a whole one of the plan; return the bytes of the finished ones by run id."""
    finished: dict[str, bytes] = {}
    study = load_study(store.root)
    planned = {planned.run_id for planned in study.runs} if study is not None else set()
    for path in (store.root / "records").glob("*.json"):
        if path.name.startswith("."):
            continue
        record = store.load_record(path.stem)  # raises where it is half written
        assert record is not None
        assert record.run_id == path.stem
        assert record.run_id in planned
        if record.status == "finished":
            finished[record.run_id] = path.read_bytes()
    return finished
