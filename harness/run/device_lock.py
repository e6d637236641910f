"""One measured job a device: a lock of this machine for the CPU and for each GPU, held during a whole run.

The locks lie in ``$ISOJOULE_LOCK_DIR``, else in a folder of the system's temporary one that every user may write to
(not sticky: there a system may refuse to open another user's file). Names are ``cpu`` or a GPU's UUID. A process that
dies lets go of its locks.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from harness.core.clock import utc_label
from harness.core.errors import ConfigError, DeviceBusyError
from harness.core.terminal import escape_controls

CPU = "cpu"
_LOOK_AGAIN_S = 0.2
_TELL_AGAIN_S = 15.0
_held: dict[str, int] = {}  # by this process, which never waits for itself


def lock_folder() -> Path:
    """Return the folder of this machine's locks, made where it is not there.

    Raises:
        ConfigError: it cannot be used; the message says what to set.
    """
    given = os.environ.get("ISOJOULE_LOCK_DIR")
    folder = Path(given) if given else Path(tempfile.gettempdir()) / "isojoule-locks"
    try:
        folder.mkdir(parents=bool(given), exist_ok=True)
        if not given:
            with contextlib.suppress(PermissionError):  # another user made it
                folder.chmod(0o777)
        is_folder = stat.S_ISDIR(folder.lstat().st_mode) if not given else folder.is_dir()
    except OSError as error:
        raise ConfigError(_explain(folder, str(error.strerror))) from error
    if not is_folder:
        raise ConfigError(_explain(folder, "it is no folder"))
    return folder


def name_gpu(uuid: str) -> str:
    """Return the name of a GPU's lock."""
    return "gpu-" + re.sub(r"[^0-9a-f-]", "", uuid.lower().removeprefix("gpu-"))


@contextmanager
def hold_devices(
    names: Sequence[str], run_id: str, *, fail: bool = False, on_wait: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold the locks of `names` inside; wait for who has one, telling `on_wait` who that is at least every 15 s.

    Raises:
        DeviceBusyError: with `fail`, one is held by another process.
        ConfigError: the folder of the locks cannot be used.
    """
    with contextlib.ExitStack() as stack:
        for name in sorted(set(names)):  # one order for all, so that two runs never wait for each other
            stack.enter_context(_hold(name, run_id, fail, on_wait))
        yield


def describe_holder(name: str) -> str | None:
    """Return who holds the device `name` at this moment in words, ``None`` where nobody else does."""
    lock = _lock(name)
    if name in _held:
        return None
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return _read_holder(name)
    except OSError as error:
        raise ConfigError(_explain(lock_folder(), str(error.strerror or error))) from error
    lock.release()
    return None


def list_holders() -> list[str]:
    """Return a line for each device of this machine on which a measured run of another process is under way."""
    with contextlib.suppress(ConfigError):
        names = sorted(path.stem for path in lock_folder().glob("*.lock"))
        return [f"{name}: {holder}" for name in names if (holder := describe_holder(name)) is not None]
    return []


@contextmanager
def _hold(name: str, run_id: str, fail: bool, on_wait: Callable[[str], None]) -> Iterator[None]:
    if name in _held:
        _held[name] += 1
        try:
            yield
        finally:
            _held[name] -= 1
        return
    lock = _lock(name)
    told_s: float | None = None
    while True:
        try:
            lock.acquire(blocking=False)
            break
        except Timeout:
            holder = _read_holder(name)
        except OSError as error:
            raise ConfigError(_explain(lock_folder(), str(error.strerror or error))) from error
        if fail:
            raise DeviceBusyError(
                f"{name} is in use: {holder}; wait for it (lock=wait), or measure beside it (lock=off)."
            )
        if told_s is None or time.monotonic() - told_s > _TELL_AGAIN_S:
            told_s = time.monotonic()
            on_wait(f"waiting for {name}: {holder} has it (lock=fail does not wait, lock=off measures beside it)")
        time.sleep(_LOOK_AGAIN_S)
    _held[name] = 1
    try:
        _write_holder(name, run_id)
        yield
    finally:
        del _held[name]
        lock.release()


def _lock(name: str) -> FileLock:
    return FileLock(lock_folder() / f"{name}.lock", mode=0o666)


def _holder_path(name: str) -> Path:
    return lock_folder() / f"{name}.json"


def _write_holder(name: str, run_id: str) -> None:
    """Say who holds the lock, in place; where another user's file may not be written nobody is told."""
    text = json.dumps({"pid": os.getpid(), "run_id": run_id, "since": utc_label()})
    with contextlib.suppress(OSError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(_holder_path(name), flags, 0o666)
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, 0o666)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def _read_holder(name: str) -> str:
    try:
        holder = json.loads(_holder_path(name).read_text(encoding="utf-8"))
        pid, run_id, since = int(holder["pid"]), str(holder["run_id"]), str(holder["since"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"
    return escape_controls(f"process {pid} with run {run_id[:200]} since {since[:40]}").replace("\n", " ")


def _explain(folder: Path, why: str) -> str:
    return f"the folder of device locks '{folder}' cannot be used ({why}); set ISOJOULE_LOCK_DIR to one, or lock=off."
