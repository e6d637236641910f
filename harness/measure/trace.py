"""A dense trace of everything that one GPU tells of its energy and power, under a load whose switches are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.measure.samples import ROW, FloatArray, RowArray

SIGNALS = ("instant", "average", "usage")
# One row of a trace's file: one round of reads. NaN is what the GPU does not offer.
TRACE_ROW = np.dtype(
    [
        ("time_s", "<f8"),  # middle of the round, monotonic clock
        ("read_s", "<f8"),  # how long the round took
        ("counter_j", "<f8"),
        *((f"{name}_w", "<f8") for name in SIGNALS),
    ]
)
TraceArray = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Switch:
    """The load became busy or idle at a time on the monotonic clock (s)."""

    time_s: float
    busy: bool


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of one kind of load (s, monotonic); `period_s` is that of a square wave."""

    name: str
    begin_s: float
    end_s: float
    period_s: float | None = None


class BusyTime:
    """How long the load had been busy before any time, from its switches: idle before the first of them."""

    def __init__(self, switches: Sequence[Switch]) -> None:
        ordered = sorted(switches, key=lambda switch: switch.time_s)
        self._times_s = np.array([switch.time_s for switch in ordered] or [0.0])
        self._busy = np.array([switch.busy for switch in ordered] or [False])
        self._sums_s = np.concatenate(([0.0], np.cumsum(np.diff(self._times_s) * self._busy[:-1])))

    def before_s(self, times_s: FloatArray) -> FloatArray:
        """Return the busy time before each of `times_s`, in seconds."""
        place = np.maximum(np.searchsorted(self._times_s, times_s, side="right") - 1, 0)
        extra_s = np.maximum(times_s - self._times_s[place], 0.0) * self._busy[place]
        return np.asarray(self._sums_s[place] + extra_s, dtype=np.float64)

    def share(self, ends_s: FloatArray, window_s: float) -> FloatArray:
        """Return the busy share of the `window_s` before each of `ends_s`."""
        return (self.before_s(ends_s) - self.before_s(ends_s - window_s)) / window_s


def cut(trace: TraceArray, begin_s: float, end_s: float) -> TraceArray:
    """Return the rows between two times."""
    return trace[(trace["time_s"] >= begin_s) & (trace["time_s"] <= end_s)]


def counter_rows(trace: TraceArray) -> RowArray:
    """Return the trace's counter as rows of a sample file."""
    rows = np.zeros(trace.size, ROW)
    rows["time_s"], rows["read_s"], rows["energy_j"] = trace["time_s"], trace["read_s"], trace["counter_j"]
    rows["power_w"] = np.nan
    return rows


def find_phase(phases: Sequence[Phase], name: str) -> Phase | None:
    """Return the phase of that name, or ``None``."""
    return next((phase for phase in phases if phase.name == name), None)
