"""Work in a copy of this process beside the work that goes on here: two cores, one result, no thread and no lock.

Judging is pure Python, which threads do not make quicker. A copy made by ``fork`` has all records already; only the
result comes back, through memory that both have, so that a copy ends before its result is asked for: until then each
page that is written here is copied. Where there is one core, no ``fork``, or a thread that might hold a lock, the same
work is done here when its result is asked for, and so it is where the copy dies.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

Result = TypeVar("Result")
# A copy costs some tens of milliseconds and its memory: a page of few records is quicker alone.
MIN_RECORDS = 500


class Beside(Generic[Result]):
    """Work that goes on in a copy of this process, or waits here; called, it returns the result or raises."""

    def __init__(self, work: Callable[[], Result], copy: tuple[Connection, int, BaseProcess] | None) -> None:
        self._work = work
        self._copy = copy
        self._pid = os.getpid()

    def is_ready(self) -> bool:
        """Return whether there is no other process to wait for: it has answered or died, or the work waits here."""
        return self._copy is None or self._copy[0].closed or self._copy[0].poll()

    def __call__(self) -> Result:
        """Wait for the copy and return its result, once; where there is none, do the work now.

        A copy of another process than this one's is none: it sends its result once, to the process that made it.
        """
        if self._copy is None or self._pid != os.getpid():
            return self._work()
        receiver, memory, process = self._copy
        try:
            receiver.recv_bytes()
            with os.fdopen(memory, "rb", closefd=False) as file:
                file.seek(0)
                result: Result = pickle.load(file)  # noqa: S301 - our own copy wrote it
        except (EOFError, OSError, pickle.UnpicklingError):
            result = self._work()
        finally:
            receiver.close()
            os.close(memory)
            process.join()
            process.close()
        return result


def start_beside(work: Callable[[], Result], num_records: int | None = None) -> Beside[Result]:
    """Begin `work`, which changes nothing here, beside this process; return what waits for its result.

    Work over records is not worth it for fewer than `MIN_RECORDS`: then, as wherever no copy can be made, it is done
    when its result is asked for. An exception of the work is raised there too.
    """
    if (num_records is not None and num_records < MIN_RECORDS) or not _can_copy():
        return Beside(work, None)
    try:
        memory = os.memfd_create("isojoule-result")
    except OSError:  # a system without it, or without a free descriptor
        return Beside(work, None)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    copy = multiprocessing.get_context("fork").Process(target=_send, args=(work, sender, memory), daemon=True)
    copy.start()
    sender.close()
    return Beside(work, (receiver, memory, copy))


def _send(work: Callable[[], Result], sender: Connection, memory: int) -> None:
    """Leave the result; an exception ends the copy in silence, and comes again where the work is done again."""
    try:
        with os.fdopen(memory, "wb", closefd=False) as file:
            pickle.dump(work(), file, protocol=pickle.HIGHEST_PROTOCOL)
        sender.send_bytes(b"done")
    except Exception:  # noqa: BLE001 - whatever it is, it is met again in the process that asked
        sender.close()
    os._exit(0)


def _can_copy() -> bool:
    if sys.platform != "linux" or multiprocessing.current_process().daemon or threading.active_count() > 1:
        return False
    return len(os.sched_getaffinity(0)) > 1
