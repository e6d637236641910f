"""The file that samples are appended to: fixed rows beside lines of JSON for what is not a number.

``samples.bin`` holds rows of `ROW`, each written by one system call in append mode: killing either process loses no
row, and a last row cut short is passed over. ``events.jsonl`` holds failures and device states with their time.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from harness.measure.samples import ROW, RowArray

SAMPLES_NAME, EVENTS_NAME = "samples.bin", "events.jsonl"


class SampleWriter:
    """Appends to the two files of `folder`; they are there as soon as it is made."""

    def __init__(self, folder: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._rows_fd = os.open(folder / SAMPLES_NAME, flags, 0o644)
        self._events_fd = os.open(folder / EVENTS_NAME, flags, 0o644)

    def write_row(  # noqa: PLR0917 - the fields of a row
        self, sensor: int, time_s: float, energy_j: float, power_w: float, read_s: float, failed: int
    ) -> None:
        """Append one row, from any thread."""
        os.write(self._rows_fd, np.array([(time_s, energy_j, power_w, read_s, sensor, failed)], ROW).tobytes())

    def write_event(self, **event: Any) -> None:
        """Append one event as a line of JSON."""
        os.write(self._events_fd, (json.dumps(event) + "\n").encode())

    def close(self) -> None:
        """Close both files."""
        os.close(self._rows_fd)
        os.close(self._events_fd)


class SampleReader:
    """Reads what was appended since the last time; the writer may be alive, dead or killed in the middle of a row."""

    def __init__(self, folder: Path) -> None:
        self._fds = [os.open(folder / name, os.O_RDONLY) for name in (SAMPLES_NAME, EVENTS_NAME)]
        self._offsets = [0, 0]

    def read_rows(self) -> RowArray:
        """Return the new whole rows."""
        data = self._read_new(0)
        whole = len(data) // ROW.itemsize * ROW.itemsize
        self._offsets[0] += whole
        return np.frombuffer(data[:whole], ROW)

    def read_events(self) -> list[dict[str, Any]]:
        """Return the new whole lines."""
        data = self._read_new(1)
        whole = data.rfind(b"\n") + 1
        self._offsets[1] += whole
        return [json.loads(line) for line in data[:whole].splitlines()]

    def close(self) -> None:
        """Close both files."""
        for fd in self._fds:
            os.close(fd)

    def _read_new(self, which: int) -> bytes:
        size = os.fstat(self._fds[which]).st_size - self._offsets[which]
        return os.pread(self._fds[which], size, self._offsets[which]) if size > 0 else b""
