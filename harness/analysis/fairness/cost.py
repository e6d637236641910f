"""Fairness of what was measured: order of runs, idle power, sensors, and the speed that both families trained at."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from harness.analysis.boundary import select_boundary, sum_boundary
from harness.analysis.multipliers import Pair
from harness.analysis.results import Check, FrontierPoint
from harness.core.records import RunRecord, WindowRecord

MAX_IDLE_DRIFT = 0.1


def check_interleaving(runs: Sequence[RunRecord], pair: Pair) -> Check:
    """Check that every block of the plan holds both arms, so that drift of the machine is not drift of an arm."""
    code, title = "interleaved", "Arms interleaved in shuffled blocks"
    placed = [(record.plan_position, record.arm) for record in runs]
    blocks: dict[int, list[tuple[int, str]]] = {}
    for position, arm in placed:
        if position is None:
            return Check(
                code=code, title=title, outcome="unknown", text="some runs have no place in a plan", energy_only=True
            )
        blocks.setdefault(position.block, []).append((position.index, arm))
    alone = sorted(block for block, members in blocks.items() if {arm for _, arm in members} != set(pair.arms))
    if alone:
        text = f"one arm only in block {', '.join(map(str, alone))}"
        return Check(code=code, title=title, outcome="fail", text=text, energy_only=True)
    first = sum(min(members)[1] == pair.baseline for members in blocks.values())
    text = f"{len(blocks)} blocks hold both arms; {pair.baseline} came first in {first} of them"
    return Check(code=code, title=title, outcome="pass", text=text, energy_only=True)


def check_idle_drift(runs: Sequence[RunRecord]) -> Check:
    """Check that idle power after training equals that before, in the median run.

    With the model resident where there is such a window: a context in memory alone raises a card's idle power.
    """
    code, title = "idle_drift", "Idle power steady over a run (within 10%)"
    drifts = []
    for record in runs:
        before = _idle_w(record.windows_of("idle_resident") or record.windows_of("idle_before"))
        after = _idle_w(record.windows_of("idle_after"))
        if before is None or after is None:
            text = "idle power is modelled or unknown in some run"
            return Check(code=code, title=title, outcome="unknown", text=text, energy_only=True)
        drifts.append(abs(after / before - 1))
    median = statistics.median(drifts)
    text = f"median change {median:.1%}, largest {max(drifts):.1%}"
    passed = median <= MAX_IDLE_DRIFT
    return Check(code=code, title=title, outcome="pass" if passed else "fail", text=text, energy_only=True)


def check_sensor_grade(points: Sequence[FrontierPoint], pair: Pair) -> Check:
    """Disclose how energy was read; the verdict itself refuses grades C and D."""
    code, title = "sensor_grade", "Energy from a counter or sampled power (grade A or B)"
    grades = {point.energy_grade for point in points if point.arm in pair.arms}
    known = sorted(grade for grade in grades if grade is not None)
    domains = sorted({domain for point in points for domain in point.energy_domains})
    if None in grades or not known:
        return Check(code=code, title=title, outcome="unknown", text="some runs have no energy", blocking=False)
    text = f"grade {', '.join(known)} over {', '.join(domains)}"
    passed = max(known) <= "B"
    return Check(code=code, title=title, outcome="pass" if passed else "fail", text=text, blocking=False)


def check_flop_rates(runs: Sequence[RunRecord], pair: Pair) -> Check:
    """Disclose the training speed of both families: a slow kernel of one costs it energy and time, not FLOPs."""
    code, title = "flop_rates", "Training FLOP/s of both families disclosed"
    parts = []
    for arm in pair.arms:
        own = [record for record in runs if record.arm == arm]
        rates = [record.train_flops_per_s for record in own if record.train_flops_per_s is not None]
        if not own or len(rates) < len(own):
            return Check(code=code, title=title, outcome="unknown", text=f"unknown for {arm}", blocking=False)
        utilisations = [record.mfu for record in own if record.mfu is not None]
        mfu = f", MFU {statistics.fmean(utilisations):.1%}" if utilisations else ""
        parts.append(f"{arm} {statistics.fmean(rates):.3g} FLOP/s{mfu}")
    return Check(code=code, title=title, outcome="pass", text="; ".join(parts), blocking=False)


def _idle_w(windows: Sequence[WindowRecord]) -> float | None:
    """Return the mean measured power of idle windows in watts; ``None`` when modelled, unknown or not above zero."""
    energy_j, duration_s = 0.0, 0.0
    for window in windows:
        part = sum_boundary(window.energy)
        if part.energy_j is None or any(r.method == "modelled" for r in select_boundary(window.energy)):
            return None
        energy_j += part.energy_j
        duration_s += window.duration_s
    return energy_j / duration_s if duration_s > 0 and energy_j > 0 else None
