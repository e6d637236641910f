"""The state of each run of a store: finished, failed, running, interrupted or waiting; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.core.markers import load_marker, owner_state
from harness.core.store import Store
from harness.run.run_figures import RunFigures, parse_utc

State = Literal["finished", "failed", "running", "interrupted", "waiting"]
STATES: tuple[State, ...] = ("finished", "failed", "running", "interrupted", "waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartMark:
    """What the start marker of a run says: on which host, since when (UTC label and seconds), and its last heartbeat.

    What it does not say is ``None``.
    """

    host: str | None
    pid: int | None
    job: str | None
    since_utc: str | None
    since_s: float | None
    heartbeat_s: float | None


def list_markers(root: Path) -> list[str]:
    """Return the ids of the runs that have a start marker."""
    return sorted(path.stem for path in (root / "started").glob("[!.]*.json"))


def find_state(store: Store, run_id: str, figures: RunFigures | None, *, is_marked: bool) -> State:
    """Return the state of `run_id`, whose record says `figures`, ``None`` where it has none that can be read.

    A marker is removed when a record is written, so one that stands is of a later try; where its owner is dead, a
    finished record still counts, since nobody would make it again.
    """
    owner = owner_state(store.marker_path(run_id)) if is_marked else "absent"
    if owner == "alive":
        return "running"
    if figures is not None and figures.status == "finished":
        return "finished"
    if owner == "dead":
        return "interrupted"
    return "waiting" if figures is None else "failed"


def read_mark(store: Store, run_id: str) -> StartMark:
    """Return what the start marker of `run_id` says."""
    path = store.marker_path(run_id)
    content: dict[str, Any] = load_marker(path) or {}
    owner = content.get("owner")
    owner = owner if isinstance(owner, dict) else {}
    since = content.get("started_utc")
    since = since if isinstance(since, str) else None
    try:
        heartbeat_s = path.stat().st_mtime
    except OSError:
        heartbeat_s = None
    return StartMark(
        host=_text(owner.get("host")),
        pid=owner.get("pid") if isinstance(owner.get("pid"), int) else None,
        job=_text(owner.get("job")),
        since_utc=since,
        since_s=None if since is None else parse_utc(since),
        heartbeat_s=heartbeat_s,
    )


def read_log_tail(path: Path, num_lines: int, max_bytes: int = 8192) -> tuple[str, ...]:
    """Return the last lines of a log, none where there is none; only its end is read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - max_bytes))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ()
    return tuple(line for line in text.strip().splitlines()[-num_lines:] if line.strip())


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
