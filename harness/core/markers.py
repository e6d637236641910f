"""Start markers: who works on a run, whether that process still lives, and how one of several hosts gets it alone.

A marker stands at ``started/<run_id>.json`` of a store while the run is under way. It is made by a hard link, which is
atomic on local and on network file systems, so nobody needs a lock. On the machine that made it the process table
says whether its owner lives; from elsewhere its age does, by the clock of the file system alone: an owner touches its
marker at least every `BEAT_S` seconds, and one that was not touched for `DEAD_AFTER_S` is dead.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

BEAT_S = 15.0
DEAD_AFTER_S = 180.0
OwnerState = Literal["absent", "alive", "dead"]
_JOB_VARIABLES = ("SLURM_JOB_ID", "RAY_JOB_ID")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The process that works on a run: where it is, and when it began in ticks of the kernel (``None``: not told).

    A machine is its name, its boot and its namespace of process ids, so that containers are told apart; `job` is the
    job of a scheduler that the process belongs to.
    """

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    began_ticks: int | None
    job: str | None = None

    def is_here(self) -> bool:
        """Return whether this machine's process table can say if the owner lives."""
        here = describe_owner()
        return (self.host, self.boot_id, self.pid_namespace) == (here.host, here.boot_id, here.pid_namespace)


def describe_owner(pid: int | None = None) -> Owner:
    """Return this process, or that of `pid` on this machine, as an owner."""
    pid = os.getpid() if pid is None else pid
    job = next((f"{name}={os.environ[name]}" for name in _JOB_VARIABLES if os.environ.get(name)), None)
    return Owner(
        host=platform.node(),
        boot_id=_read_text(Path("/proc/sys/kernel/random/boot_id")),
        pid_namespace=_read_link(Path("/proc/self/ns/pid")),
        pid=pid,
        began_ticks=_began_ticks(pid),
        job=job,
    )


def claim_marker(path: Path, content: dict[str, Any], owner: Owner | None = None) -> bool:
    """Put a marker with `content` and its ``owner`` at `path`; return whether this caller got it.

    A marker whose owner is dead is taken over; one whose owner lives, this process or another, stays.
    """
    owner = describe_owner() if owner is None else owner
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with new.open("w", encoding="utf-8") as file:
            json.dump({**content, "owner": dataclasses.asdict(owner), "nonce": uuid.uuid4().hex}, file)
            file.flush()
            os.fsync(file.fileno())
        return _link(new, path) or (owner_state(path) == "dead" and _take_over(path, new))
    finally:
        new.unlink(missing_ok=True)


def touch_marker(path: Path) -> None:
    """Say that the owner of the marker at `path` lives; nothing happens where it is gone."""
    try:
        os.utime(path)
    except OSError:
        return


def release_marker(path: Path, owner: Owner) -> None:
    """Leave the marker at `path` behind for the next to take over: its owner is `owner`, which has ended.

    From other machines it looks like one that was not touched for long.
    """
    content = load_marker(path)
    if content is None:
        return
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        new.write_text(json.dumps({**content, "owner": dataclasses.asdict(owner)}), encoding="utf-8")
        touched_s = new.stat().st_mtime - DEAD_AFTER_S - BEAT_S
        os.utime(new, (touched_s, touched_s))
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def load_marker(path: Path) -> dict[str, Any] | None:
    """Return the content of the marker at `path`, ``None`` where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def owner_state(path: Path) -> OwnerState:
    """Return whether the owner of the marker at `path` is ``alive`` or ``dead``; ``absent``: there is no marker."""
    if not path.exists():
        return "absent"
    owner = _read_owner(load_marker(path))
    if owner is not None and owner.is_here():
        return "alive" if _lives(owner) else "dead"
    age_s = _age_s(path)
    if age_s is None:
        return "absent"
    return "alive" if age_s < DEAD_AFTER_S else "dead"


def _lives(owner: Owner) -> bool:
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is there, and another user's
    if _is_zombie(owner.pid):
        return False
    began = _began_ticks(owner.pid)
    return began is None or owner.began_ticks is None or began == owner.began_ticks


def _read_owner(content: dict[str, Any] | None) -> Owner | None:
    try:
        owner = Owner(**(content or {})["owner"])
    except (KeyError, TypeError):
        return None
    return owner if isinstance(owner.pid, int) and owner.pid > 0 else None


def _take_over(path: Path, new: Path) -> bool:
    """Put `new` in the place of the dead marker at `path`, unless another caller is doing so.

    The path is never empty meanwhile. A claim on the dead marker, named by its content, lets one caller through; who
    comes later finds another marker there.
    """
    dead = _hash_content(path)
    taking = path.with_name(f".{path.name}.{dead}.taking")
    if not _link(new, taking):
        age_s = _age_s(taking)
        if age_s is not None and age_s > DEAD_AFTER_S:  # its caller died on the way; the next try gets through
            taking.unlink(missing_ok=True)
        return False
    try:
        if dead is None or owner_state(path) != "dead" or _hash_content(path) != dead:
            return False
        new.replace(path)
        touch_marker(path)
        return True
    finally:
        taking.unlink(missing_ok=True)


def _hash_content(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return None


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    return True


def _age_s(path: Path) -> float | None:
    """Return how long ago `path` was touched, by the clock of its file system."""
    probe = path.with_name(f".{uuid.uuid4().hex}.now")
    try:
        probe.touch()
        now_s = probe.stat().st_mtime
        return now_s - path.stat().st_mtime
    except FileNotFoundError:
        return None
    except OSError:  # a store that can only be read: nobody can be told to be dead
        return 0.0
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def _began_ticks(pid: int) -> int | None:
    fields = _stat_fields(pid)
    return int(fields[19]) if len(fields) > 19 and fields[19].isdigit() else None


def _is_zombie(pid: int) -> bool:
    return _stat_fields(pid)[:1] == ["Z"]


def _stat_fields(pid: int) -> list[str]:
    """Return the fields of ``/proc/<pid>/stat`` after the command's name, none where the system has no such file."""
    return _read_text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _read_link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
