"""Work in a copy of this process beside the work that goes on here: two cores, one result, no thread and no lock.

Judging is pure Python, which threads do not make quicker. A copy made by ``fork`` has all records already; only the
result goes through a pipe. Where there is one core, no ``fork``, or a thread that might hold a lock, the same work is
done here when its result is asked for, and so it is where the copy dies.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

Result = TypeVar("Result")
# A copy costs some tens of milliseconds and its memory: a page of few records is quicker alone.
MIN_RECORDS = 500


def start_beside(work: Callable[[], Result], num_records: int) -> Callable[[], Result]:
    """Begin `work`, which changes nothing here, beside this process; return what waits for its result.

    Fewer than `MIN_RECORDS` records are not worth it: then, as wherever no copy can be made, the work is done when its
    result is asked for. An exception of the work is raised there too.
    """
    if num_records < MIN_RECORDS or not _can_copy():
        return work
    receiver, sender = multiprocessing.Pipe(duplex=False)
    copy = multiprocessing.get_context("fork").Process(target=_send, args=(work, sender), daemon=True)
    copy.start()
    sender.close()

    def wait() -> Result:
        try:
            result: Result = pickle.loads(receiver.recv_bytes())  # noqa: S301 - our own copy wrote it
        except (EOFError, OSError, pickle.UnpicklingError):
            result = work()
        finally:
            receiver.close()
            copy.join()
        return result

    return wait


def _send(work: Callable[[], Result], sender: Connection) -> None:
    """Send the result; an exception ends the copy in silence, and comes again where the work is done again."""
    try:
        sender.send_bytes(pickle.dumps(work(), protocol=pickle.HIGHEST_PROTOCOL))
    except Exception:  # noqa: BLE001 - whatever it is, it is met again in the process that asked
        sender.close()
    os._exit(0)


def _can_copy() -> bool:
    if sys.platform != "linux" or multiprocessing.current_process().daemon or threading.active_count() > 1:
        return False
    return len(os.sched_getaffinity(0)) > 1
