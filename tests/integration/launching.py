"""Small studies through Hydra's launchers: started, waited for, killed, compared."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.core.store import Store
from tests.workers import workers_of

COMMAND = (sys.executable, "-c", "import sys; from harness.cli.command import main; sys.exit(main())")
CELLS = "sweep.cells=[{arm: dense, model: dense_s, tokens: %s}, {arm: moe, model: moe_s, tokens: %s}]"
SETTINGS = (
    "experiment=smoke",
    "num_threads=1",
    "lock=off",  # a figure of time or energy is not what these tests look at
    "train.eval_bytes=16384",
    "train.warmup_tokens=2048",
    "task.num_examples=8",
    "task.min_window_s=0.05",
    "measure.idle_s=0.05",
)
TIMEOUT_S = 300
WAIT_S = 120
CLUSTERS_VARIABLE = "ISOJOULE_TEST_CLUSTERS"


def study(dense_tokens: tuple[int, ...] = (12288,), moe_tokens: tuple[int, ...] = (10240,)) -> tuple[str, ...]:
    """Return the command's arguments for a study of two trunks with a branch for each of their budgets."""
    return ("run", *SETTINGS, CELLS % (list(dense_tokens), list(moe_tokens)))


def start(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the command in `folder`."""
    return subprocess.Popen(
        (*COMMAND, *arguments),
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(command: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the command; return its exit code and what it told."""
    try:
        _, told = command.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        command.kill()
        _, told = command.communicate()
        pytest.fail(f"the command did not end:\n{told}")
    return command.returncode, told


def store_in(folder: Path) -> Store:
    """Return the store of the study that ran in `folder`."""
    return Store(folder / "runs" / "smoke")


def essence(store: Store) -> dict[str, Any]:
    """Return everything of the records but measured time, memory, energy and the host."""
    records, unreadable = store.load_records()
    assert unreadable == []
    return {
        r.run_id: (
            r.status,
            r.quality,
            r.loss_curve,
            r.path and (r.path.tokens, r.path.flops),
            r.params,
            r.routing,
            [(answer.kind, answer.index, answer.answer, answer.correct) for answer in store.load_answers(r.run_id)],
        )
        for r in records
    }


def wait_for(what: str, look: Callable[[], Any]) -> Any:
    """Return the first true answer of `look`."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    return pytest.fail(f"waited in vain for {what}")


def wait_until_it_trains(store: Store, part: str) -> psutil.Process:
    """Wait until the worker of the trunk whose id holds `part` has its first checkpoint; return it."""
    wait_for("a checkpoint", lambda: list(store.root.glob(f"checkpoints/*{part}*/step-*")))
    (worker,) = wait_for("a worker", lambda: workers_of(store, part))
    return worker
