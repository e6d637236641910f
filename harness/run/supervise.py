"""A parent's watch over one worker: the marker's heartbeat, requests to stop, and a watchdog for one that hangs."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from harness.core.markers import BEAT_S, load_marker, touch_marker
from harness.run.kept_process import Worker
from harness.run.stop import STOP_SIGNALS

# How long a worker that was asked to stop may take: a step and its checkpoint.
STOP_GRACE_S = 120.0
# A hung worker gets this long to write its stack, and then to end by itself.
_DUMP_S, _HUNG_GRACE_S = 1.0, 5.0
_LOOK_S = 0.25


class Supervisor:
    """Use it as a context manager around reading the worker's output; `heard` is called for each line.

    Attributes:
        stop_number: the signal that this process got meanwhile and passed on, ``None`` while there is none.
        is_hung: the watchdog has ended the worker.
        is_lost: the marker was taken over by another process, and the worker ended for it.
    """

    def __init__(self, worker: Worker, marker: Path, claim: str, watchdog_s: float) -> None:
        self._worker = worker
        self._marker = marker
        self._claim = claim
        self._watchdog_s = watchdog_s
        self._heard_s = time.monotonic()
        self._deadline_s: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="isojoule-supervisor", daemon=True)
        self._handlers: dict[int, Any] = {}
        self.stop_number: int | None = None
        self.is_hung = False
        self.is_lost = False

    def __enter__(self) -> Self:
        self._thread.start()
        if threading.current_thread() is threading.main_thread():  # elsewhere Python takes no handlers
            self._handlers = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._ended.set()
        self._thread.join()

    def heard(self) -> None:
        """Note that the worker said something."""
        self._heard_s = time.monotonic()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.stop_number is None:
            self.stop_number = number
            self._deadline_s = time.monotonic() + STOP_GRACE_S
        self._send(number)

    def _watch(self) -> None:
        beaten_s = time.monotonic()
        while not self._ended.wait(_LOOK_S):
            now = time.monotonic()
            if now - beaten_s > BEAT_S:
                beaten_s = now
                self._beat()
            if self._deadline_s is not None and now > self._deadline_s:
                self._send(signal.SIGKILL)
            if self._watchdog_s and not self.is_hung and now - self._heard_s > self._watchdog_s:
                self._end_hung()

    def _beat(self) -> None:
        # the worker's last act is to remove the marker: one that is gone is no other's
        content = load_marker(self._marker)
        if content is not None and content.get("claim") != self._claim:
            self.is_lost = True
            self._send(signal.SIGKILL)
        else:
            touch_marker(self._marker)

    def _end_hung(self) -> None:
        self.is_hung = True
        steps: tuple[tuple[int, float], ...] = (
            (signal.SIGUSR1, _DUMP_S),
            (signal.SIGTERM, _HUNG_GRACE_S),
            (signal.SIGKILL, 0.0),
        )
        for number, patience_s in steps:
            self._send(number)
            if self._wait(patience_s):
                return

    def _wait(self, seconds: float) -> bool:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            if self._ended.wait(0.05) or self._worker.poll() is not None:
                return True
        return False

    def _send(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self._worker.send_signal(number)
