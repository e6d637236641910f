"""The process that runs do their work in: ``python -m harness.run.worker JOB.json``; no Hydra inside.

The job file is the run's start marker: ``{"run_id", "store", "config", "options", "parent_pid"}``. Progress goes to
standard output as JSON lines, everything else to standard error. Exit code 0: the record says finished; 1: a failed
record was written; 75: its device is in use, nothing was written; 128 + n: stopped by signal n, nothing was written,
training left a checkpoint. With ``--warm`` or ``--fork`` the process takes one job after another from standard input,
and does it itself or in a fork (`harness.run.serve`).
"""

from __future__ import annotations

import faulthandler
import json
import shutil
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.core.clock import utc_label
from harness.core.config import RunConfig, config_from_dict
from harness.core.errors import EXIT_DEVICE_BUSY, EXIT_OK, EXIT_RUN_FAILED, DeviceBusyError, HarnessError
from harness.core.parallel import is_parallel
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.measure.prepared import prepare_sampler
from harness.run import stop
from harness.run.conditions import begin_conditions, note_unlocked
from harness.run.device_lock import hold_devices
from harness.run.options import WorkerOptions
from harness.run.outline import failed_record

WARM_FLAG, FORK_FLAG = "--warm", "--fork"


def main(arguments: Sequence[str]) -> int:
    """Run one job, or one after another; return the exit code."""
    stop.install()
    if hasattr(signal, "SIGUSR1"):  # the watchdog asks with it where a hung process is
        faulthandler.register(signal.SIGUSR1, all_threads=True)
    if arguments[0] in (WARM_FLAG, FORK_FLAG):
        stop.die_with_parent(None)
        from harness.run.serve import serve_forks, serve_warm  # noqa: PLC0415 - brings torch in

        return (serve_warm if arguments[0] == WARM_FLAG else serve_forks)(run_job, emit)
    job = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    stop.die_with_parent(job.get("parent_pid"))
    return run_job(job)


def run_job(job: dict[str, Any]) -> int:
    """Run one job; return its code."""
    config, options = config_from_dict(job["config"]), WorkerOptions(**job.get("options", {}))
    store, run_id, started = Store(job["store"]), str(job["run_id"]), utc_label()
    begin_conditions(options.isolation, job.get("parent_pid"))
    if options.isolation != "warm" and config.task.mode == "engine" and not is_parallel(config.parallel):
        # it opens its sensors while torch is imported, or the corpus read
        prepare_sampler(config.measure, fork=options.isolation == "process")
    try:
        record = _execute(config, options, store, job)
        if record.run_id != run_id:
            return _fail(config, store, run_id, started, f"ran as {record.run_id}: the data changed meanwhile")
        if record.status == "failed":
            print(record.error, file=sys.stderr)
            return EXIT_RUN_FAILED
    except stop.StopRun:
        shutil.rmtree(store.samples_dir(run_id), ignore_errors=True)  # its windows are in the checkpoint
        raise
    except DeviceBusyError as error:
        emit({"event": "busy", "text": str(error)})
        return EXIT_DEVICE_BUSY
    except HarnessError as error:
        print(error, file=sys.stderr)
        return max(EXIT_RUN_FAILED, _fail(config, store, run_id, started, str(error)))
    except Exception as error:  # noqa: BLE001 - whatever happens to a run becomes its record
        traceback.print_exc()
        return _fail(config, store, run_id, started, f"{type(error).__name__}: {error}")
    return EXIT_OK


def emit(event: dict[str, Any]) -> None:
    """Send one progress event to the parent."""
    print(json.dumps(event), flush=True)


def _execute(config: RunConfig, options: WorkerOptions, store: Store, job: dict[str, Any]) -> RunRecord:
    from harness.run.device import lock_names  # noqa: PLC0415 - an import that fails is a failed run too
    from harness.run.execute import execute_run  # noqa: PLC0415
    from harness.run.peak import share_rates, take_rates  # noqa: PLC0415

    def execute() -> RunRecord:
        if is_parallel(config.parallel):
            from harness.run.launch_ranks import launch_ranks  # noqa: PLC0415 - only for several processes

            return launch_ranks(job, config, store)
        take_rates(job.get("rates", ()))
        record = execute_run(config, store, emit)
        emit({"event": "rates", "rates": share_rates()})
        return record

    if options.lock == "off":
        note_unlocked()
        return execute()

    def tell(text: str) -> None:
        emit({"event": "waiting", "text": text})

    with hold_devices(lock_names(config), str(job["run_id"]), fail=options.lock == "fail", on_wait=tell):
        return execute()


def _fail(config: RunConfig, store: Store, run_id: str, started: str, text: str) -> int:
    store.write_failure(failed_record(config, run_id, started, text))
    return EXIT_RUN_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
