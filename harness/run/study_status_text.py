"""A study's status as people read it, and as JSON."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from harness.core.units import format_duration, format_si
from harness.run.run_states import STATES, State
from harness.run.study_budget import Spent, budget_to_json
from harness.run.study_plan_text import budget_lines
from harness.run.study_status import RunStatus, StudyStatus

# Runs of one state that are listed; the others are counted, and stand in the JSON.
MAX_LISTED = 10


def status_to_text(status: StudyStatus) -> str:
    """Return the status in words; ``~`` marks an estimate."""
    title = f": {status.title}" if status.title else ""
    what = "runs made one by one" if status.planned is None else "runs planned"
    counts = ", ".join(f"{status.counts.get(state, 0)} {state}" for state in STATES)
    lines = [f"{status.root}{title}", f"{len(status.runs)} {what}: {counts}"]
    lines += _list_state(status, "running")
    lines += _list_state(status, "failed")
    lines += _list_state(status, "interrupted")
    lines += ["", f"spent  {_spent_to_text(status.spent)}", f"left   {_left_to_text(status)}"]
    if status.sources:
        lines.append(f"       estimated from {'; '.join(status.sources)}")
    lines += budget_lines(status.budget, status.spent)
    if status.num_unplanned:
        lines.append(f"{status.num_unplanned} records are of runs that this study does not plan; they count nowhere")
    lines += [f"unreadable: {line}" for line in status.unreadable[:MAX_LISTED]]
    if len(status.unreadable) > MAX_LISTED:
        lines.append(f"and {len(status.unreadable) - MAX_LISTED} more unreadable records")
    return "\n".join(lines + _hints(status))


def status_to_json(status: StudyStatus) -> dict[str, Any]:
    """Return the status as JSON; estimates are named so, and unknown is null."""
    return {
        "store": str(status.root),
        "title": status.title,
        "num_planned": status.planned,
        "counts": {state: status.counts.get(state, 0) for state in STATES},
        "spent": dataclasses.asdict(status.spent),
        "budget": budget_to_json(status.budget),
        "estimated_left_s": status.left_s,
        "estimated_left_j": status.left_j,
        "estimated_eta_s": status.eta_s,
        "unknown_because": status.left_reason,
        "estimated_from": list(status.sources),
        "between_runs_s": status.between_s,
        "unreadable": list(status.unreadable),
        "num_unplanned": status.num_unplanned,
        "runs": [_run_to_json(run, status.now_s) for run in status.runs],
    }


def _list_state(status: StudyStatus, state: State) -> list[str]:
    runs = [run for run in status.runs if run.state == state]
    if not runs:
        return []
    lines = ["", state]
    for run in runs[:MAX_LISTED]:
        lines.append(f"  {run.run_id}")
        lines += [f"    {line}" for line in _describe(run, status.now_s)]
    if len(runs) > MAX_LISTED:
        lines.append(f"  and {len(runs) - MAX_LISTED} more (--json lists all)")
    return lines


def _describe(run: RunStatus, now_s: float) -> list[str]:
    if run.state == "failed":
        error = run.error or "no reason is recorded"
        # a death notice quotes the end of the log already
        log = [line for line in run.log_tail if line.strip() not in error]
        return [error.strip().splitlines()[0], *(f"| {line}" for line in log)]
    mark = run.mark
    if mark is None:
        return []
    where = f"on {mark.host}" if mark.host else "on an unknown host"
    where += f" (process {mark.pid})" if mark.pid is not None else ""
    where += f", {mark.job}" if mark.job else ""
    since = f"since {mark.since_utc}" if mark.since_utc else "since an unknown time"
    parts = [where, since]
    if run.state == "running" and mark.since_s is not None:
        took = f"for {format_duration(max(0.0, now_s - mark.since_s))}"
        if run.estimate is not None and run.estimate.seconds is not None:
            took += f" of ~{format_duration(run.estimate.seconds)}"
        parts.append(took)
    if mark.heartbeat_s is not None:
        parts.append(f"last heartbeat {format_duration(max(0.0, now_s - mark.heartbeat_s))} ago")
    return [", ".join(parts)]


def _spent_to_text(spent: Spent) -> str:
    energy = f"{format_si(spent.joules, 'J')} (grade {spent.grade})" if spent.grade else "energy unknown"
    if not spent.num_finished:
        energy = "no energy"
    parts = [format_duration(spent.seconds), energy, f"{format_si(spent.flops, 'FLOP')} of training"]
    text = f"{', '.join(parts)} in {_runs(spent.num_finished)}"
    if spent.num_failed:
        untimed = f" ({spent.num_untimed} of them not: their records do not say when they ended)"
        text += f"; {_runs(spent.num_failed, 'failed ')} in the time alone{untimed if spent.num_untimed else ''}"
    if spent.unknown_joules:
        text += f"; energy of {_runs(len(spent.unknown_joules))} is unknown ({spent.energy_reason})"
    return text


def _left_to_text(status: StudyStatus) -> str:
    left = [run for run in status.runs if run.estimate is not None]
    if not left:
        return "nothing" if not status.counts.get("failed") else "nothing but failed runs"
    if status.left_s is None:
        return f"{_runs(len(left))}, time unknown ({status.left_reason})"
    energy = "energy unknown" if status.left_j is None else f"~{format_si(status.left_j, 'J')}"
    parts = [_runs(len(left)), f"~{format_duration(status.left_s)}", energy]
    running = status.counts.get("running", 0)
    if running and status.eta_s is not None:
        beside = f" if {running} go on side by side" if running > 1 else ""
        parts.append(f"done at about {_clock(status.now_s + status.eta_s)}{beside}")
    else:
        parts.append("once it is started again")
    return ", ".join(parts)


def _clock(time_s: float) -> str:
    try:
        return f"{datetime.datetime.fromtimestamp(time_s, datetime.UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return "an unknown time"


def _hints(status: StudyStatus) -> list[str]:
    hints = []
    if status.counts.get("running", 0) == 0 and any(run.estimate is not None for run in status.runs):
        hints.append("the command that began it goes on with what is left")
    if status.counts.get("failed"):
        but = ", but for trials that diverged, which is an answer" if status.is_tuning else ""
        hints.append(f"failed runs are made again{but}: isojoule run --retry-failed, and the rest of that command")
    return ["", *hints] if hints else []


def _run_to_json(run: RunStatus, now_s: float) -> dict[str, Any]:
    mark, estimate = run.mark, run.estimate
    return {
        "run_id": run.run_id,
        "arm": run.arm,
        "size": run.size,
        "role": run.role,
        "state": run.state,
        "host": mark.host if mark is not None else None,
        "pid": mark.pid if mark is not None else None,
        "job": mark.job if mark is not None else None,
        "since_utc": mark.since_utc if mark is not None else None,
        "heartbeat_age_s": now_s - mark.heartbeat_s if mark is not None and mark.heartbeat_s is not None else None,
        "error": run.error,
        "log_tail": list(run.log_tail),
        "estimated_s": estimate.seconds if estimate is not None else None,
        "estimated_j": estimate.joules if estimate is not None else None,
        "unknown_because": estimate.reason if estimate is not None else None,
    }


def _runs(count: int, sort: str = "") -> str:
    return f"1 {sort}run" if count == 1 else f"{count} {sort}runs"
