"""The samples of one sensor: what the sampler saw and when, on the monotonic clock."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# One row of the sample file: 32 bytes, so that a row cut short by a crash is recognised by the file's length.
ROW = np.dtype(
    [
        ("time_s", "<f8"),  # middle of the read, monotonic clock
        ("energy_j", "<f8"),  # NaN: not read, not offered, or failed
        ("power_w", "<f8"),
        ("read_s", "<f4"),  # how long the read of the energy took
        ("sensor", "<u2"),  # place in the list of sensors
        ("failed", "<u2"),  # 1: the energy could not be read, 2: the power
    ]
)
RowArray = npt.NDArray[np.void]
FAILED_ENERGY, FAILED_POWER = 1, 2
_FIRST_CAPACITY = 1024


class Samples:
    """Rows of one sensor in order of time, growing; safe to read from any thread.

    `last_error` is why the latest failing read failed. `held_j` beside the rows is the running hold-last integral of
    power: each power holds until the next one that could be read.
    """

    def __init__(self) -> None:
        self._rows: RowArray = np.zeros(_FIRST_CAPACITY, ROW)
        self._held_j: FloatArray = np.zeros(_FIRST_CAPACITY)
        self._held_w = np.nan
        self._lock = threading.Lock()
        self.last_error: str | None = None
        self.last_fall_s = -np.inf
        self.size = 0

    def extend(self, rows: RowArray) -> None:
        """Add rows that are later than those already here."""
        if rows.size == 0:
            return
        with self._lock:
            begin, end = self.size, self.size + rows.size
            while end > self._rows.size:
                self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
                self._held_j = np.concatenate([self._held_j, np.zeros_like(self._held_j)])
            self._rows[begin:end] = rows
            self._extend_held(begin, end)
            self._note_falls(begin, end)
            self.size = end

    def append(self, time_s: float, energy_j: float, power_w: float, read_s: float = 0.0, failed: int = 0) -> None:
        """Add one row."""
        row = np.zeros(1, ROW)
        row[0] = (time_s, energy_j, power_w, read_s, 0, failed)
        self.extend(row)

    def between(self, begin_s: float, end_s: float) -> RowArray:
        """Return the rows with begin_s <= time <= end_s."""
        with self._lock:
            times_s = self._rows["time_s"][: self.size]
            first, last = np.searchsorted(times_s, begin_s), np.searchsorted(times_s, end_s, side="right")
            return self._rows[first:last].copy()

    def cumulative(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return times, counter and running integral of power over all rows (s, J, J)."""
        with self._lock:
            rows = self._rows[: self.size]
            return rows["time_s"].copy(), rows["energy_j"].copy(), self._held_j[: self.size].copy()

    def latest(self, before_s: float = np.inf) -> tuple[float, float, float] | None:
        """Return (time, counter, running integral of power) of the last row not after `before_s`, else ``None``.

        The counter is the last one that could be read, the integral NaN where no power has been read.
        """
        with self._lock:
            rows = self._rows[: self.size]
            place = int(np.searchsorted(rows["time_s"], before_s, side="right")) - 1
            if place < 0:
                return None
            back = max(0, place - 512)
            known = np.flatnonzero(~np.isnan(rows["energy_j"][back : place + 1]))
            energy_j = float(rows["energy_j"][back + known[-1]]) if known.size else np.nan
            held_j = float(self._held_j[place]) if not np.isnan(self._held_w) else np.nan
            return float(rows["time_s"][place]), energy_j, held_j

    def _extend_held(self, begin: int, end: int) -> None:
        """Continue the running integral over rows [begin, end)."""
        times_s = self._rows["time_s"][max(0, begin - 1) : end]
        power_w = self._rows["power_w"][begin:end]
        known = np.flatnonzero(~np.isnan(power_w))
        held_w = np.full(end - begin, self._held_w)
        if known.size:
            place = np.searchsorted(known, np.arange(end - begin), side="right") - 1
            held_w = np.where(place >= 0, power_w[known[np.maximum(place, 0)]], self._held_w)
        # what held before each row, times the distance to it
        before_w = np.concatenate(([self._held_w], held_w[:-1]))
        steps_s = np.diff(times_s) if begin else np.concatenate(([0.0], np.diff(times_s)))
        start_j = self._held_j[begin - 1] if begin else 0.0
        self._held_j[begin:end] = start_j + np.cumsum(np.nan_to_num(before_w * steps_s))
        self._held_w = float(held_w[-1])

    def _note_falls(self, begin: int, end: int) -> None:
        rows = self._rows[max(0, begin - 512) : end]
        known = rows[~np.isnan(rows["energy_j"])]
        falls = np.flatnonzero(np.diff(known["energy_j"]) < 0)
        if falls.size:
            self.last_fall_s = max(self.last_fall_s, float(known["time_s"][falls[-1] + 1]))
