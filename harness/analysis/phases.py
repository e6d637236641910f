"""What the windows of one phase add up to, and what that is for a task; what one does not know, the sum does not.

Every figure of a task is made here: prefill and decode stand in windows of their own that may hold different numbers of
tasks, so each phase is divided by its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, Protocol, TypeVar

from harness.analysis.boundary import select_boundary, sum_boundary
from harness.core.inference import AnswerLength
from harness.core.readings import EnergyReading
from harness.core.records import WindowRecord

Field = Literal["energy_j", "net_j", "flops", "seconds", "num_input_tokens", "num_output_tokens"]
NO_WINDOW = "there is no such window"


class Joules(Protocol):
    """Energy of one window in joules, or the reason why it is unknown."""

    @property
    def energy_j(self) -> float | None:
        """Gross joules."""

    @property
    def net_energy_j(self) -> float | None:
        """Joules above idle."""

    @property
    def reason(self) -> str | None:
        """Why the energy is unknown."""


T = TypeVar("T")
SumReadings = Callable[[Sequence[EnergyReading]], Joules]


class _Made(Generic[T]):
    """A property that is made once; ``functools.cached_property`` takes a lock for each before Python 3.12."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        value = self._make(instance)
        instance.__dict__[self._name] = value  # found before this from now on
        return value


class PhaseSum:
    """Sums over windows in SI units; a field that is unknown holds the reason instead.

    Each is added up when it is asked for, once: most callers want two or three of them, of thousands of runs.
    """

    def __init__(self, windows: Sequence[WindowRecord], sum_readings: SumReadings) -> None:
        self._windows = windows
        self._sum_readings = sum_readings

    @_Made
    def energy_j(self) -> float | str:
        """Gross joules over the readings that count."""
        return self._add_energy([energy.energy_j for energy in self._energies], "the energy is unknown")

    @_Made
    def net_j(self) -> float | str:
        """Joules above idle over the readings that count."""
        return self._add_energy([energy.net_energy_j for energy in self._energies], "the net energy is unknown")

    @_Made
    def flops(self) -> float | str:
        """Floating point operations by formula."""
        return self._add_work("flops", "the FLOPs of the window are unknown")

    @_Made
    def num_bytes(self) -> float | str:
        """Bytes that the steps must read by formula."""
        return self._add_work("num_bytes", "the bytes of the window are unknown")

    @_Made
    def seconds(self) -> float | str:
        """Seconds from begin to end of the windows."""
        return math.fsum([window.duration_s for window in self._windows]) if self._windows else NO_WINDOW

    @_Made
    def num_tasks(self) -> float | str:
        """Tasks that were answered."""
        return self._add_work("num_tasks", "the window holds no work")

    @_Made
    def num_input_tokens(self) -> float | str:
        """Tokens of the prompts."""
        return self._add_work("num_input_tokens", "no work")

    @_Made
    def num_output_tokens(self) -> float | str:
        """Tokens that were made."""
        return self._add_work("num_output_tokens", "no work")

    @_Made
    def num_steps(self) -> float | str:
        """Passes through the model."""
        return self._add_work("num_steps", "the window does not count its steps")

    @_Made
    def peak_memory_bytes(self) -> float | None:
        """The most memory that one of the windows held; ``None`` where none says."""
        return max((w.peak_memory_bytes for w in self._windows if w.peak_memory_bytes is not None), default=None)

    @_Made
    def open_j(self) -> float | None:
        """What the edges of the headline boundary leave open (95%, in quadrature); ``None`` where that is unknown."""
        return estimate_open(self._windows)

    def per_task(self, name: Field) -> float | str:
        """Return the field divided by the number of tasks, or the reason why it is unknown."""
        value: float | str = getattr(self, name)
        if isinstance(value, str) or isinstance(self.num_tasks, str):
            return value if isinstance(value, str) else str(self.num_tasks)
        return value / self.num_tasks if self.num_tasks > 0 else "no task was done"

    @_Made
    def _energies(self) -> list[Joules]:
        return [self._sum_readings(window.energy) for window in self._windows]

    def _add_energy(self, values: Sequence[float | None], reason: str) -> float | str:
        if None in values:
            return next((energy.reason for energy in self._energies if energy.reason is not None), reason)
        return _sum(values, reason) if values else NO_WINDOW

    def _add_work(self, name: str, reason: str) -> float | str:
        if not self._windows:
            return NO_WINDOW
        works = [window.work for window in self._windows]
        return _sum([None if work is None else getattr(work, name) for work in works], reason)


def sum_phase(windows: Sequence[WindowRecord], sum_readings: SumReadings = sum_boundary) -> PhaseSum:
    """Return what the windows of one phase add up to, over the readings that `sum_readings` counts."""
    return PhaseSum(windows, sum_readings)


def count_new_tokens(
    length: AnswerLength | None, limit: int | None, last: PhaseSum, prefill: PhaseSum | None = None
) -> float | str:
    """Return the new tokens of one answer, the first included, or the reason why they are unknown.

    An answer that is not free has as many as its `limit`, where that is known. Else those that `last` made count, and
    beside windows of `prefill` the first one, which prefill makes, whether its windows count it or not.
    """
    if length != "free" and limit is not None:
        return float(limit)
    made = last.per_task("num_output_tokens")
    if isinstance(made, str) or prefill is None:
        return made
    first = prefill.per_task("num_output_tokens")
    return made + (first if isinstance(first, float) and first > 0 else 1.0)


def estimate_open(windows: Sequence[WindowRecord]) -> float | None:
    """Return what the edges of `windows` leave open of their energy in joules (95%), ``None`` where a sensor is silent.

    Parts of one window add up, which is the careful way; windows are independent and add in quadrature.
    """
    parts = []
    for window in windows:
        opened = [reading.uncertainty_j for reading in select_boundary(window.energy)]
        if not opened or any(value is None for value in opened):
            return None
        parts.append(math.fsum(value for value in opened if value is not None))
    return math.hypot(*parts) if parts else None


def _sum(values: Sequence[float | None], reason: str) -> float | str:
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else reason
