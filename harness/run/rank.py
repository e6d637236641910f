"""One of the processes of a parallel run: ``python -m harness.run.rank JOB.json`` under a launcher.

A run on one machine starts its ranks by itself (`harness.run.launch_ranks`). On several machines a launcher that sets
RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT starts them, on each machine:

    torchrun --nnodes 2 --node-rank 0 --nproc-per-node 4 --master-addr HOST -m harness.run.rank JOB.json

The job file is a worker's: ``{"run_id", "store", "config"}`` (`harness.experiments.rank_job` writes one). The main rank
tells progress on standard output as JSON lines and writes the record. A rank that fails says why on standard error, and
in ``$ISOJOULE_RANK_ERRORS/<rank>.json`` where a worker of ours has set that. Where none has, the main rank claims the
run's start marker itself, and writes the failed record of a failure that it lives to see.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from harness.core.clock import utc_label
from harness.core.config import RunConfig, config_from_dict
from harness.core.errors import EXIT_OK, EXIT_RUN_FAILED, EXIT_USER_MISTAKE, HarnessError
from harness.core.markers import BEAT_S, claim_marker, touch_marker
from harness.core.store import Store, write_text_atomically
from harness.measure.prepared import prepare_sampler
from harness.run import stop
from harness.run.conditions import begin_conditions, note_unlocked
from harness.run.options import WorkerOptions
from harness.run.outline import failed_record

_PR_SET_PDEATHSIG = 1
ERRORS_VARIABLE = "ISOJOULE_RANK_ERRORS"
# What torch raises in a rank when it waited in vain for another one, or lost it.
_LOST = (
    "connection closed",
    "connection reset",
    "broken pipe",
    "timed out",
    "timeout",
    "nccl",
    "gloo",
    "socket",
    "store",
)


def main(job_path: str) -> int:
    """Run the job file as one rank; return the exit code."""
    _die_with_launcher()
    stop.install()
    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    config, options, store = (
        config_from_dict(job["config"]),
        WorkerOptions(**job.get("options", {})),
        Store(job["store"]),
    )
    begin_conditions(options.isolation)
    if options.lock == "off":
        note_unlocked()
    if os.environ.get("LOCAL_RANK") == "0":
        prepare_sampler(config.measure)  # it opens its sensors while torch is imported
    is_own = ERRORS_VARIABLE not in os.environ and os.environ.get("RANK") == "0"
    started, run_id = utc_label(), str(job["run_id"])
    if is_own and not _claim(store, job):
        return _tell(f"run {run_id} is under way in another process; it is passed over.", EXIT_RUN_FAILED, lost=False)
    try:
        _execute(config, store, run_id)
    except stop.StopRun:
        shutil.rmtree(store.samples_dir(run_id), ignore_errors=True)  # its windows are in the checkpoint
        raise
    except HarnessError as error:
        code, text, lost = error.exit_code, str(error), False
    except Exception as error:  # noqa: BLE001 - whatever happens is told to the launcher
        traceback.print_exc()
        lost = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _LOST)
        code, text = EXIT_RUN_FAILED, f"{type(error).__name__}: {error}"
    else:
        return EXIT_OK
    if is_own:
        what = "another rank was lost, whose log says why" if lost else text
        store.write_failure(failed_record(config, run_id, started, what))
    return _tell(text, code, lost=lost)


def _claim(store: Store, job: dict[str, Any]) -> bool:
    """Claim the start marker of the run and keep it fresh while this process lives; return whether it was free."""
    marker = store.marker_path(str(job["run_id"]))
    if not claim_marker(marker, job):
        return False

    def beat() -> None:
        while True:
            time.sleep(BEAT_S)
            touch_marker(marker)

    threading.Thread(target=beat, name="isojoule-heartbeat", daemon=True).start()
    return True


def _execute(config: RunConfig, store: Store, run_id: str) -> None:
    from harness.run.device import resolve_device  # noqa: PLC0415 - an import that fails is a failed run too
    from harness.run.runner import execute  # noqa: PLC0415
    from harness.train.ranks import join_ranks, leave_ranks  # noqa: PLC0415

    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    rank, size, local_rank, local_size = (int(os.environ[name]) for name in names)
    device_type = resolve_device(config.device).type
    ranks = join_ranks(config.parallel, rank, size, local_rank, local_size, device_type)
    record = execute(config, store, emit if ranks.is_main else lambda _: None, ranks)
    if record.run_id != run_id:
        _tell(f"ran as {record.run_id}: the data changed meanwhile", EXIT_RUN_FAILED, lost=False)
    ranks.wait_for_main()
    leave_ranks()


def _die_with_launcher() -> None:
    """Ask Linux to end this process when its launcher is killed, so that no rank is left waiting."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def emit(event: dict[str, Any]) -> None:
    """Send one progress event to whoever started the run."""
    print(json.dumps(event), flush=True)


def _tell(text: str, exit_code: int, *, lost: bool) -> int:
    """Leave word of a failure; `lost`: it only follows from that of another rank."""
    rank, folder = os.environ.get("RANK", "0"), os.environ.get(ERRORS_VARIABLE)
    print(f"rank {rank}: {text}", file=sys.stderr)
    if folder:
        told = {"text": text, "exit_code": exit_code, "lost": lost, "time_s": time.time()}
        write_text_atomically(Path(folder) / f"{rank}.json", json.dumps(told))
    return exit_code


def read_errors(folder: Path) -> dict[int, dict[str, Any]]:
    """Return what failed ranks have told, by rank."""
    found = {}
    for path in folder.glob("[0-9]*.json"):
        try:
            found[int(path.stem)] = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
    return found


def is_mistake(told: dict[str, Any]) -> bool:
    """Return whether a rank failed by the user's mistake."""
    return told.get("exit_code") == EXIT_USER_MISTAKE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
