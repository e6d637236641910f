"""Made-up runs, stores and markers of studies: figures follow a known rate, so that estimates have a known answer."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.core import records as c
from harness.core.markers import claim_marker, describe_owner
from harness.core.store import Store
from harness.core.study import MatchRule, PlannedRun, StudyInfo, save_study
from harness.run.run_figures import DeviceKey, RunFigures
from tests.unit.report.record_factory import energy, make_record

MACHINE = DeviceKey("cpu", "Test CPU", 2, 2)
S_PER_FLOP, J_PER_FLOP, REST_S, REST_J = 1e-10, 2e-9, 5.0, 40.0


def make_figures(run_id: str = "run", flops: float = 1e11, **changes: Any) -> RunFigures:
    """A finished run that trained at the known rates."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "arm": "dense",
        "size": "s",
        "role": "branch",
        "seed": 0,
        "status": "finished",
        "started_s": 1000.0,
        "device": MACHINE,
        "train_flops": flops,
        "train_s": flops * S_PER_FLOP,
        "train_j": flops * J_PER_FLOP,
        "rest_s": REST_S,
        "rest_j": REST_J,
        "grade": "B",
    }
    return RunFigures(**{**values, **changes})


def make_window(phase: str, begin_s: float, duration_s: float, joules: float | None = 1.0) -> c.WindowRecord:
    """A window with one reading; training windows did 1 GFLOP a second."""
    work = c.Work(unit="token", amount=1.0, flops=duration_s * 1e9) if phase == "pretrain" else None
    reading = energy(joules, "B", reason=None if joules is not None else "it was off")
    return c.WindowRecord(
        phase=phase, repetition=0, begin_s=begin_s, duration_s=duration_s, synced=True, work=work, energy=(reading,)
    )


def make_run(run_id: str, windows: tuple[c.WindowRecord, ...], **changes: Any) -> c.RunRecord:
    """A record of the factory with these windows and this id."""
    return dataclasses.replace(make_record(), run_id=run_id, windows=windows, findings=(), **changes)


def fail_run(run_id: str, **changes: Any) -> c.RunRecord:
    """A failed record, as a worker that died leaves it."""
    return dataclasses.replace(
        make_record(status="failed", error="the worker was killed by SIGKILL\nmore", **changes), run_id=run_id
    )


def plan_store(root: Path, run_ids: list[str], **changes: Any) -> Store:
    """A store that promises these runs, all of one arm and size, and has none of them yet."""
    runs = tuple(
        PlannedRun(run_id=run_id, arm="dense", size="s", role="branch", seed=0, tokens=1000, block=0)
        for run_id in run_ids
    )
    values: dict[str, Any] = {
        "study": "toy",
        "title": "A toy study",
        "command": "isojoule run -m",
        "baseline_arm": "dense",
        "candidate_arm": "moe",
        "match": MatchRule(),
        "order_seed": 0,
        "runs": runs,
        "claims": (),
    }
    save_study(root, StudyInfo(**{**values, **changes}))
    return Store(root)


def mark_alive(store: Store, run_id: str, since: str = "2026-01-02T03:04:05+00:00") -> None:
    """A start marker whose owner is this process."""
    assert claim_marker(store.marker_path(run_id), {"started_utc": since})


def mark_dead(store: Store, run_id: str, since: str = "2026-01-02T03:04:05+00:00") -> None:
    """A start marker whose owner was a process of this machine that has ended."""
    with subprocess.Popen((sys.executable, "-c", "input()"), stdin=subprocess.PIPE) as process:
        owner = describe_owner(process.pid)
        assert claim_marker(store.marker_path(run_id), {"started_utc": since}, owner)
        process.kill()


def set_age(path: Path, seconds: float) -> None:
    """Let a file seem to be written that long ago."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def edit_json(path: Path, **changes: Any) -> None:
    """Replace fields of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
