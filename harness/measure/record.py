"""Records everything that one GPU tells, about a thousand times a second, from a process of its own.

``python -m harness.measure.record FOLDER UUID`` appends rows of `TRACE_ROW` to a file, each by one system call, and
device states and failures as lines of JSON beside it, until its standard input ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from harness.core.clock import now_s
from harness.core.errors import SensorError
from harness.measure.prepared import end_process, search_path
from harness.measure.process import to_state_sample
from harness.measure.sampler import StateSample
from harness.measure.trace import SIGNALS, TRACE_ROW, TraceArray
from harness.sensors.nvml import Nvml, NvmlSensor

READ_INTERVAL_S = 0.001
_STATE_INTERVAL_S = 1.0
_PARENT_CHECK_S = 1.0
_TRACE_NAME, _EVENTS_NAME, _LOG_NAME = "trace.bin", "events.jsonl", "recorder.log"


class Recorder:
    """Records the GPU `uuid` while it is entered; afterwards `trace`, `states` and `errors` are there.

    Rows reach the file one by one, so a recorder that is killed loses none of them.
    """

    def __init__(self, uuid: str) -> None:
        self._uuid = uuid
        self._folder = tempfile.TemporaryDirectory(prefix="isojoule-calibrate-")
        self._process: subprocess.Popen[bytes] | None = None
        self.trace: TraceArray = np.zeros(0, TRACE_ROW)
        self.states: list[StateSample] = []
        self.errors: list[str] = []

    def __enter__(self) -> Self:
        """Start the process and wait until it reads.

        Raises:
            SensorError: the GPU cannot be opened.
        """
        folder = Path(self._folder.name)
        with (folder / _LOG_NAME).open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.measure.record", str(folder), self._uuid],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": search_path()},
                start_new_session=True,
            )
        assert self._process.stdout is not None  # noqa: S101 - as asked for above
        answer = self._process.stdout.readline().decode().strip()
        if answer != "reading":
            self._end()
            last = (folder / _LOG_NAME).read_text(errors="replace").strip().splitlines()[-1:]
            self._folder.cleanup()
            raise SensorError(f"the GPU cannot be recorded: {answer or ''.join(last) or 'the process said nothing'}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process and read what it wrote."""
        code = self._end()
        folder = Path(self._folder.name)
        data = (folder / _TRACE_NAME).read_bytes()
        self.trace = np.frombuffer(data[: len(data) // TRACE_ROW.itemsize * TRACE_ROW.itemsize], TRACE_ROW)
        for line in (folder / _EVENTS_NAME).read_bytes().splitlines():
            with contextlib.suppress(ValueError):  # a last line cut short
                self._take(json.loads(line))
        if code != 0:
            self.errors.append(f"the recorder ended with exit code {code}")
        self._folder.cleanup()

    def _end(self) -> int:
        process = self._process
        assert process is not None  # noqa: S101 - entered before
        assert process.stdout is not None  # noqa: S101
        end_process(process)
        process.stdout.close()
        return process.returncode

    def _take(self, event: dict[str, Any]) -> None:
        if "error" in event:
            self.errors.append(event["error"])
            return
        self.states.append(to_state_sample(event))


def main(arguments: Sequence[str]) -> int:
    """Record until standard input ends or the parent is gone; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent; the end comes by the pipe
    folder, uuid = Path(arguments[0]), arguments[1]
    try:
        sensor = _open(uuid)
    except SensorError as error:
        print(error, flush=True)
        return error.exit_code
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    trace_fd, events_fd = (os.open(folder / name, flags, 0o644) for name in (_TRACE_NAME, _EVENTS_NAME))
    print("reading", flush=True)
    try:
        _record(sensor, trace_fd, events_fd)
    finally:
        sensor.close()
        os.close(trace_fd)
        os.close(events_fd)
    return 0


def _record(sensor: NvmlSensor, trace_fd: int, events_fd: int) -> None:
    parent = os.getppid()
    row = np.zeros(1, TRACE_ROW)
    latest_error = ""
    due_s = state_due_s = parent_due_s = now_s()
    while True:
        before_s = now_s()
        try:
            signals = sensor.read_signals()
            after_s = now_s()
            values = (signals["counter_j"], *(signals[f"{name}_w"] for name in SIGNALS))
            shown = tuple(math.nan if value is None else value for value in values)
            row[0] = ((before_s + after_s) / 2, after_s - before_s, *shown)
            os.write(trace_fd, row.tobytes())
            if before_s >= state_due_s:
                state_due_s = before_s + _STATE_INTERVAL_S
                _tell(events_fd, time_s=now_s(), state=dataclasses.asdict(sensor.read_state()))
        except SensorError as error:
            if str(error) != latest_error:
                latest_error = str(error)
                _tell(events_fd, time_s=now_s(), error=latest_error)
        due_s = max(due_s + READ_INTERVAL_S, now_s())
        if select.select([0], [], [], max(0.0, due_s - now_s()))[0] and not os.read(0, 4096):
            return
        if before_s >= parent_due_s:
            parent_due_s = before_s + _PARENT_CHECK_S
            if os.getppid() != parent:
                return


def _open(uuid: str) -> NvmlSensor:
    found = None
    for sensor in Nvml().open():
        if isinstance(sensor, NvmlSensor) and sensor.uuid == uuid and found is None:
            found = sensor
        else:
            sensor.close()
    if found is None:
        raise SensorError(f"no visible GPU has the UUID {uuid}")
    return found


def _tell(events_fd: int, **event: Any) -> None:
    os.write(events_fd, (json.dumps(event) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
