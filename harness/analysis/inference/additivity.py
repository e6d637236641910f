"""Do prefill and decode, each in windows of its own, add up to the whole generation in one window?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from harness.analysis.boundary import add_boundaries, sum_boundary
from harness.analysis.inference.costs import find_windows, half_width, order_of
from harness.analysis.inference.results import Additivity
from harness.analysis.phases import sum_phase
from harness.core.inference import Regime
from harness.core.records import RunRecord, WindowRecord
from harness.core.units import format_si

Outcome = Literal["pass", "fail", "unknown"]
# Sums that agree only because nothing could disagree say nothing.
MAX_ROOM = 0.5


def check_sums(record: RunRecord) -> tuple[Additivity, ...]:
    """Return the check for every regime of `record` that was also measured in one window (``generate``)."""
    regimes = {window.regime for window in record.windows_of("generate") if window.regime is not None}
    return tuple(_check(record, regime) for regime in sorted(regimes, key=order_of))


def _check(record: RunRecord, regime: Regime) -> Additivity:
    phases = ["prefill"] if regime.num_output_tokens == 1 else ["prefill", "decode"]
    parts = [_mean_j(find_windows(record, regime, phase)) for phase in phases]
    whole, whole_half = _mean_j(find_windows(record, regime, "generate"))
    means, halves = [part[0] for part in parts], [part[1] for part in parts]
    total = math.fsum(mean for mean in means if mean is not None) if None not in means else None
    total_half = math.hypot(*(half for half in halves if half is not None)) if None not in halves else None
    gap = total - whole if total is not None and whole is not None else None
    outcome, text = _judge(total, total_half, whole, whole_half)
    windows = [w for phase in (*phases, "generate") for w in find_windows(record, regime, phase)]
    boundary = add_boundaries([sum_boundary(window.energy) for window in windows])
    return Additivity(
        run_id=record.run_id,
        regime=regime,
        parts_j=total,
        parts_half_j=total_half,
        whole_j=whole,
        whole_half_j=whole_half,
        gap_j=gap,
        relative_gap=gap / whole if gap is not None and whole else None,
        outcome=outcome,
        text=text,
        grade=boundary.grade,
        simulated=boundary.simulated,
    )


def _judge(
    total: float | None, total_half: float | None, whole: float | None, whole_half: float | None
) -> tuple[Outcome, str]:
    if total is None or whole is None:
        return "unknown", "the energy of a part or of the whole is unknown"
    sums = f"{format_si(total, 'J')} in parts, {format_si(whole, 'J')} in one window ({(total - whole) / whole:+.1%})"
    if total_half is None or whole_half is None:
        return "unknown", f"{sums}; one repetition, and no sensor says what its windows' edges leave open"
    room = math.hypot(total_half, whole_half)
    if room > MAX_ROOM * whole and abs(total - whole) <= room:
        return (
            "unknown",
            f"{sums}; their intervals are too wide to tell (\u00b1{room / whole:.0%} of the whole together)",
        )
    words = "within" if abs(total - whole) <= room else "outside"
    outcome: Outcome = "pass" if words == "within" else "fail"
    return outcome, f"{sums}, {words} their intervals (\u00b1{format_si(room, 'J')} together)"


def _mean_j(windows: Sequence[WindowRecord]) -> tuple[float | None, float | None]:
    """Return joules per task, a mean over repetitions, and its half-width: spread and open edges in quadrature."""
    values: list[float] = []
    opened: list[float] = []
    for number in sorted({window.repetition for window in windows}):
        part = sum_phase([window for window in windows if window.repetition == number])
        energy = part.per_task("energy_j")
        if isinstance(energy, str):
            return None, None
        values.append(energy)
        if part.open_j is not None and not isinstance(part.num_tasks, str):
            opened.append(part.open_j / part.num_tasks)
    if not values:
        return None, None
    mean = math.fsum(values) / len(values)
    spread = half_width(values)
    edges = math.hypot(*opened) / len(values) if len(opened) == len(values) else None
    known = [half for half in (spread, edges) if half is not None]
    return mean, math.hypot(*known) if known else None
