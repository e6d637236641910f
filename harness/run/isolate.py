"""A run in a process of its own, or in a warm one: its death becomes a failed record, never the end of a study.

Whoever runs a run claims its marker first, so that two commands, or two hosts, on one store never run it at once.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.core.clock import utc_label
from harness.core.config import RunConfig, config_to_dict
from harness.core.errors import (
    EXIT_DEVICE_BUSY,
    EXIT_RUN_FAILED,
    DeviceBusyError,
    RecordError,
    RunInterruptedError,
    RunTakenError,
)
from harness.core.markers import Owner, claim_marker, describe_owner, load_marker, release_marker
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.core.terminal import escape_controls
from harness.run.forked import CAN_FORK, ForkedWorker, fork_worker
from harness.run.kept_process import Worker
from harness.run.options import WorkerOptions, validate_options
from harness.run.outline import failed_record
from harness.run.stop import STOP_SIGNALS
from harness.run.supervise import Supervisor
from harness.run.warm import end_warm, take_warm

LOG_TAIL_LINES = 15
HUNG_TAIL_LINES = 60
OnEvent = Callable[[dict[str, Any]], None]
# Peak rates that workers have measured, handed to the next: all runs of a command are held against the same.
_rates: list[dict[str, Any]] = []


@dataclasses.dataclass(slots=True)
class _Ended:
    """How a worker's try ended: its exit code, who it was, what it said last, and what the supervisor saw."""

    code: int
    owner: Owner
    stop_number: int | None
    is_hung: bool
    is_lost: bool
    busy: str | None


def run_isolated(
    config: RunConfig,
    run_id: str,
    store: Store,
    on_event: OnEvent | None = None,
    options: WorkerOptions | None = None,
    *,
    again: bool = True,
) -> RunRecord:
    """Run `config` in another process and return its record, finished or failed.

    The worker's standard error goes to the store's log of the run; `on_event` gets its progress events. A record that
    another process finished meanwhile is returned as it is; with `again` false one that was finished before, too.

    Raises:
        RunTakenError: another living process works on the run; nothing was done.
        RunInterruptedError: this process or the worker was asked to stop; there is no record, and the run can go on.
        DeviceBusyError: the device is in use, and ``lock=fail``.
        ConfigError: options that are none.
    """
    options = options or WorkerOptions()
    validate_options(options)
    if options.isolation == "process" and not CAN_FORK:
        options = dataclasses.replace(options, isolation="spawn")
    marker, started, claim = store.marker_path(run_id), utc_label(), uuid.uuid4().hex
    was_finished = store.is_finished(run_id)
    job: dict[str, Any] = {"run_id": run_id, "store": str(store.root.resolve()), "config": config_to_dict(config)}
    job |= {"options": dataclasses.asdict(options), "parent_pid": os.getpid(), "started_utc": started, "claim": claim}
    job["rates"] = list(_rates)
    if not claim_marker(marker, job):
        raise RunTakenError(_explain_taken(run_id, marker))
    try:
        record = store.load_record(run_id) if store.is_finished(run_id) else None
        if record is not None and not (again and was_finished):
            marker.unlink(missing_ok=True)
            return record
        stamp = _stamp(store, run_id)
        ended = _run_worker(config, run_id, store, on_event, options, claim)
    except BaseException:
        release_marker(marker, dataclasses.replace(describe_owner(), began_ticks=0))
        raise
    # a worker's record removes the marker; a record that is there already is of an earlier try
    record = _load(store, run_id) if _stamp(store, run_id) != stamp else None
    _check_interrupted(ended, record, run_id, marker, claim)
    if record is None:
        text = _death_notice(ended, store.log_path(run_id), options)
        record = failed_record(config, run_id, started, text)
        store.write_failure(record)
    elif _is_mine(marker, claim):  # the worker died between its record and its marker
        marker.unlink(missing_ok=True)
    return record


def worker_command(marker: Path) -> tuple[str, ...]:
    """Return the command of a worker for one run."""
    return (sys.executable, "-m", "harness.run.worker", str(marker))


def _run_worker(  # noqa: PLR0917 - one call
    config: RunConfig, run_id: str, store: Store, on_event: OnEvent | None, options: WorkerOptions, claim: str
) -> _Ended:
    marker, log = store.marker_path(run_id), store.log_path(run_id)
    log.parent.mkdir(parents=True, exist_ok=True)
    worker = _start_worker(config, marker, log, options.isolation)
    last: dict[str, Any] = {"owner": describe_owner(worker.pid)}
    try:
        with Supervisor(worker, marker, claim, options.watchdog_s) as supervisor:
            _relay(worker, supervisor, on_event, last)
            code = int(last["code"]) if "code" in last else worker.wait()
    except BaseException:
        worker.kill()
        worker.wait()
        raise
    finally:
        if isinstance(worker, subprocess.Popen) and options.isolation != "warm" and worker.stdout is not None:
            worker.stdout.close()
        if options.isolation == "warm" and last.get("code") != 0:  # what failed may have left anything behind
            end_warm()
    return _Ended(code, last["owner"], supervisor.stop_number, supervisor.is_hung, supervisor.is_lost, last.get("busy"))


def _start_worker(config: RunConfig, marker: Path, log: Path, isolation: str) -> Worker:
    if isolation == "warm":
        warm = take_warm(config, log)
        warm.order(marker, log)
        return warm.process
    if isolation == "process":
        return fork_worker(marker, log)
    with log.open("a", encoding="utf-8") as log_file:
        return subprocess.Popen(worker_command(marker), stdout=subprocess.PIPE, stderr=log_file, text=True)


def _relay(worker: Worker, supervisor: Supervisor, on_event: OnEvent | None, last: dict[str, Any]) -> None:
    """Pass events on until the worker ends, or says that its run has; `last` keeps what the end is judged by."""
    for event in _events(worker, supervisor):
        kind = event.get("event")
        if kind == "began" and isinstance(worker, ForkedWorker):
            worker.begin(int(event["pid"]))
            last["owner"] = describe_owner(worker.pid)
        elif kind == "rates":
            _rates[:] = event["rates"]
        elif kind == "ended":
            last["code"] = event.get("code", EXIT_RUN_FAILED)
            return
        else:
            if kind == "busy":
                last["busy"] = str(event.get("text"))
            elif kind == "waiting":
                print(f"isojoule: {escape_controls(str(event.get('text')))}", file=sys.stderr)
            if on_event is not None:
                on_event(event)


def _events(worker: Worker, supervisor: Supervisor) -> Iterator[dict[str, Any]]:
    while worker.stdout is not None and (line := worker.stdout.readline()):
        supervisor.heard()
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict):
            yield event


def _check_interrupted(ended: _Ended, record: RunRecord | None, run_id: str, marker: Path, claim: str) -> None:
    """Raise where there is no outcome of the run to return, or this process is to end all the same."""
    if ended.is_lost:
        raise RunTakenError(_explain_taken(run_id, marker))
    if record is None and ended.code == EXIT_DEVICE_BUSY and ended.busy is not None:
        if _is_mine(marker, claim):
            marker.unlink(missing_ok=True)
        raise DeviceBusyError(ended.busy)
    number = ended.stop_number or next((int(n) for n in STOP_SIGNALS if ended.code in (128 + n, -n)), None)
    if number is None or ended.is_hung:
        return
    if record is None:
        if _is_mine(marker, claim):
            release_marker(marker, ended.owner)
        text = f"run {run_id} was stopped by {signal.Signals(number).name}; the same command goes on from there"
        raise RunInterruptedError(f"{text}.", number)
    if ended.stop_number is not None:
        text = f"stopped by {signal.Signals(number).name} after run {run_id} ({record.status})"
        raise RunInterruptedError(f"{text}; the same command goes on from there.", number)


def _is_mine(marker: Path, claim: str) -> bool:
    return (load_marker(marker) or {}).get("claim") == claim


def _stamp(store: Store, run_id: str) -> tuple[int, int, int] | None:
    """Return what changes with every record that is written, whatever the clock does."""
    try:
        stat = store.record_path(run_id).stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _load(store: Store, run_id: str) -> RunRecord | None:
    try:
        return store.load_record(run_id)
    except RecordError:
        return None


def _explain_taken(run_id: str, marker: Path) -> str:
    content = load_marker(marker) or {}
    owner = content.get("owner")
    who = f"process {owner.get('pid')} of {owner.get('host')}" if isinstance(owner, dict) else "another process"
    return escape_controls(f"run {run_id} is under way in {who} since {content.get('started_utc')}; it is passed over.")


def _death_notice(ended: _Ended, log: Path, options: WorkerOptions) -> str:
    code, num_lines = ended.code, LOG_TAIL_LINES
    if ended.is_hung:
        cause, num_lines = (
            f"stopped: nothing was heard from it for {options.watchdog_s:g} s (watchdog_s)",
            HUNG_TAIL_LINES,
        )
    elif code < 0:
        cause = f"killed by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            cause += " (out of memory, or by hand)"
    else:
        cause = f"ended with exit code {code} and no record"
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-num_lines:])
    return f"the worker was {cause}" + (f"; last log lines:\n{tail}" if tail else "")
