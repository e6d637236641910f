"""What the windows of one phase add up to, and what that is for a task; what one does not know, the sum does not.

Every figure of a task is made here: prefill and decode stand in windows of their own that may hold different numbers of
tasks, so each phase is divided by its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from harness.analysis.boundary import select_boundary, sum_boundary
from harness.core.inference import AnswerLength
from harness.core.readings import EnergyReading
from harness.core.records import WindowRecord

Field = Literal["energy_j", "net_j", "flops", "seconds", "num_input_tokens", "num_output_tokens"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSum:
    """Sums over windows in SI units; a field that is unknown holds the reason instead."""

    energy_j: float | str
    net_j: float | str
    flops: float | str
    num_bytes: float | str
    seconds: float | str
    num_tasks: float | str
    num_input_tokens: float | str
    num_output_tokens: float | str
    num_steps: float | str
    peak_memory_bytes: float | None = None
    open_j: float | None = None

    def per_task(self, name: Field) -> float | str:
        """Return the field divided by the number of tasks, or the reason why it is unknown."""
        value: float | str = getattr(self, name)
        if isinstance(value, str) or isinstance(self.num_tasks, str):
            return value if isinstance(value, str) else str(self.num_tasks)
        return value / self.num_tasks if self.num_tasks > 0 else "no task was done"


def sum_phase(
    windows: Sequence[WindowRecord],
    sum_readings: Callable[[Sequence[EnergyReading]], Joules] = sum_boundary,
    *,
    with_open: bool = False,
) -> PhaseSum:
    """Return what the windows of one phase add up to, over the readings that `sum_readings` counts.

    `open_j` is what the edges of the headline boundary leave open (95%, in quadrature); not asked for, it is unknown.
    """
    if not windows:
        missing = "there is no such window"
        return PhaseSum(
            energy_j=missing,
            net_j=missing,
            flops=missing,
            num_bytes=missing,
            seconds=missing,
            num_tasks=missing,
            num_input_tokens=missing,
            num_output_tokens=missing,
            num_steps=missing,
        )
    energies = [sum_readings(window.energy) for window in windows]
    no_energy = next((energy.reason for energy in energies if energy.reason is not None), None)
    works = [window.work for window in windows if window.work is not None]
    is_whole = len(works) == len(windows)

    def add_work(name: str, reason: str) -> float | str:
        return _sum([getattr(work, name) for work in works], reason) if is_whole else reason

    memory = [window.peak_memory_bytes for window in windows if window.peak_memory_bytes is not None]
    return PhaseSum(
        energy_j=_sum([energy.energy_j for energy in energies], no_energy or "the energy is unknown"),
        net_j=_sum([energy.net_energy_j for energy in energies], no_energy or "the net energy is unknown"),
        flops=add_work("flops", "the FLOPs of the window are unknown"),
        num_bytes=add_work("num_bytes", "the bytes of the window are unknown"),
        seconds=math.fsum([window.duration_s for window in windows]),
        num_tasks=add_work("num_tasks", "the window holds no work"),
        num_input_tokens=add_work("num_input_tokens", "no work"),
        num_output_tokens=add_work("num_output_tokens", "no work"),
        num_steps=add_work("num_steps", "the window does not count its steps"),
        peak_memory_bytes=max(memory) if memory else None,
        open_j=estimate_open(windows) if with_open else None,
    )


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
