"""One fresh process for each run: its death becomes a failed record, never the end of a study."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from harness.core.clock import utc_label
from harness.core.config import RunConfig, config_to_dict
from harness.core.records import RunRecord
from harness.core.store import Store, write_text_atomically
from harness.run.outline import failed_record

LOG_TAIL_LINES = 15


def run_isolated(
    config: RunConfig, run_id: str, store: Store, on_event: Callable[[dict[str, Any]], None] | None = None
) -> RunRecord:
    """Run `config` in a process of its own and return its record, finished or failed.

    The worker's standard error goes to the store's log of the run; `on_event` gets its progress events.
    """
    started = utc_label()
    job: dict[str, Any] = {"run_id": run_id, "store": str(store.root.resolve()), "config": config_to_dict(config)}
    job["parent_pid"] = os.getpid()
    marker = store.marker_path(run_id)
    write_text_atomically(marker, json.dumps({**job, "started_utc": started}))
    log = store.log_path(run_id)
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("a", encoding="utf-8") as log_file,
        subprocess.Popen(
            (sys.executable, "-m", "harness.run.worker", str(marker)),
            stdout=subprocess.PIPE,
            stderr=log_file,
            text=True,
        ) as worker,
    ):
        try:
            _relay(worker, on_event)
        except BaseException:
            worker.kill()
            raise
    # writing a record removes the marker; while it stands, a record is of an earlier try
    record = None if marker.exists() else store.load_record(run_id)
    if record is not None and (record.status == "failed" or worker.returncode == 0):
        return record
    record = failed_record(config, run_id, started, _death_notice(worker.returncode, log.read_text(errors="replace")))
    store.write_failure(record)
    return record


def _relay(worker: subprocess.Popen[str], on_event: Callable[[dict[str, Any]], None] | None) -> None:
    if worker.stdout is None:
        return
    for line in worker.stdout:
        if on_event is None:
            continue
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            on_event(event)


def _death_notice(returncode: int, log: str) -> str:
    if returncode < 0:
        cause = f"killed by {signal.Signals(-returncode).name}"
        if returncode == -signal.SIGKILL:
            cause += " (out of memory, or by hand)"
    else:
        cause = f"ended with exit code {returncode} and no record"
    tail = "\n".join(log.strip().splitlines()[-LOG_TAIL_LINES:])
    return f"the worker was {cause}" + (f"; last log lines:\n{tail}" if tail else "")
