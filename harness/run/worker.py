"""The child process of one run: ``python -m harness.run.worker JOB.json``; no Hydra inside.

The job file holds ``{"run_id", "store", "config"}``. Progress goes to standard output as JSON lines, everything else to
standard error. Exit code 0: the record says finished; 1: a failed record was written; 2: the user's mistake.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from harness.core.clock import utc_label
from harness.core.config import RunConfig, config_from_dict
from harness.core.errors import EXIT_OK, EXIT_RUN_FAILED, HarnessError
from harness.core.parallel import is_parallel
from harness.core.store import Store
from harness.run.outline import failed_record

_PR_SET_PDEATHSIG = 1


def main(job_path: str) -> int:
    """Run the job file; return the exit code."""
    job = json.loads(Path(job_path).read_text())
    _die_with_parent(job.get("parent_pid"))
    config = config_from_dict(job["config"])
    store = Store(job["store"])
    started = utc_label()
    try:
        if is_parallel(config.parallel):
            from harness.run.launch_ranks import launch_ranks  # noqa: PLC0415 - brings torch in, as below

            return launch_ranks(job_path, config)
        from harness.run.execute import execute_run  # noqa: PLC0415 - an import that fails is a failed run too

        record = execute_run(config, store, emit)
        if record.run_id != job["run_id"]:
            return _fail(config, store, job["run_id"], started, f"ran as {record.run_id}: the data changed meanwhile")
        if record.status == "failed":
            print(record.error, file=sys.stderr)
            return EXIT_RUN_FAILED
    except HarnessError as error:
        print(error, file=sys.stderr)
        return max(EXIT_RUN_FAILED, _fail(config, store, job["run_id"], started, str(error)))
    except Exception as error:  # noqa: BLE001 - whatever happens to a run becomes its record
        traceback.print_exc()
        return _fail(config, store, job["run_id"], started, f"{type(error).__name__}: {error}")
    return EXIT_OK


def emit(event: dict[str, Any]) -> None:
    """Send one progress event to the parent."""
    print(json.dumps(event), flush=True)


def _fail(config: RunConfig, store: Store, run_id: str, started: str, text: str) -> int:
    store.write_failure(failed_record(config, run_id, started, text))
    return EXIT_RUN_FAILED


def _die_with_parent(parent_pid: int | None) -> None:
    """Ask Linux to end this process when its parent dies, so that no orphan disturbs later measurements.

    A parent that died before it was asked sends no signal any more: then this process is another one's child already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent_pid is not None and os.getppid() != parent_pid:
        sys.exit(EXIT_RUN_FAILED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
