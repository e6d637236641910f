"""A plan as people read it: a table in the order of the runs, the sums, and where each estimate comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.core.units import format_duration, format_si
from harness.run.estimate import describe_sources
from harness.run.study_budget import LIMITS, Spent, StudyBudget, format_limit
from harness.run.study_plan import PlanRow, PlanSum, StudyPlan, count_states

_HEADS = ("#", "block", "role", "arm", "size", "seed", "budget", "state", "training", "time", "energy", "run")
_LEFT_ALIGNED = frozenset({"role", "arm", "size", "state", "run"})


def plan_to_text(plan: StudyPlan) -> str:
    """Return the whole plan in words; ``~`` marks an estimate, ``-`` what is not known."""
    rows = [_HEADS, *(_cells(row) for row in plan.rows)]
    counts = count_states(plan.rows)
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    lines = [f"{plan.title}: {len(plan.rows)} runs into {plan.store} ({said})", *_align(rows), ""]
    lines.append(f"left   {_sum_to_text(plan.left)}")
    lines.append(f"whole  {_sum_to_text(plan.whole)}")
    if counts["failed"]:
        lines.append(f"{counts['failed']} failed runs are not in what is left; --retry-failed makes them again")
    lines += ["", *_sources(plan)]
    if plan.budget:
        lines += ["", *budget_lines(plan.budget, plan.spent)]
        if plan.stop_reason is not None:
            lines.append(f"by these estimates it stops before {plan.stops_before}: by then {plan.stop_reason}")
    return "\n".join(lines)


def budget_lines(budget: StudyBudget, spent: Spent) -> list[str]:
    """Return one line for each limit: what of it is spent and left."""
    lines = []
    for name in LIMITS:
        limit = getattr(budget, name)
        if limit is None:
            continue
        used = getattr(spent, name)
        left = "unknown" if used is None else format_limit(name, max(0.0, limit - used))
        lines.append(f"budget.{name}: {format_limit(name, used)} of {format_limit(name, limit)} spent, {left} left")
    return lines


def _cells(row: PlanRow) -> tuple[str, ...]:
    if row.measured is not None:
        time = format_duration(row.measured.seconds)
        energy = _energy(row.measured.joules, row.measured.grade, "")
    else:
        estimate = row.estimate
        known = estimate is not None and estimate.seconds is not None
        time = f"~{format_duration(estimate.seconds)}" if estimate is not None and known else "-"
        energy = _energy(estimate.joules, estimate.grade, "~") if estimate is not None else "-"
    return (
        str(row.index + 1),
        str(row.block),
        row.role,
        row.arm,
        row.size,
        str(row.seed),
        "-" if row.budget_tokens is None else f"{row.budget_tokens / 1e6:.4g}M",
        row.state,
        format_si(row.train_flops, "FLOP") if row.train_flops else "-",
        time,
        energy,
        row.run_id,
    )


def _energy(joules: float | None, grade: str | None, mark: str) -> str:
    return "-" if joules is None else f"{mark}{format_si(joules, 'J')} ({grade})"


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if head in _LEFT_ALIGNED else cell.rjust(width)
            for cell, width, head in zip(row, widths, rows[0], strict=True)
        ).rstrip()
        for row in rows
    ]


def _sum_to_text(total: PlanSum) -> str:
    runs = "1 run" if total.num_runs == 1 else f"{total.num_runs} runs"
    if not total.num_runs:
        return runs
    parts = [runs, f"{format_si(total.train_flops, 'FLOP')} of training"]
    parts.append(
        f"time unknown ({total.num_unknown_s} runs without an estimate)"
        if total.seconds is None
        else f"about {format_duration(total.seconds)} one after the other"
    )
    parts.append(
        f"energy unknown ({total.num_unknown_j} runs without an estimate)"
        if total.joules is None
        else f"about {format_si(total.joules, 'J')} (grade {total.grade})"
    )
    return ", ".join(parts)


def _sources(plan: StudyPlan) -> list[str]:
    estimates = [row.estimate for row in plan.rows if row.estimate is not None]
    lines = ["training FLOPs are exact, by formula; time and energy of finished runs are those of their windows;"]
    lines.append("~ is an estimate, never a measurement:")
    sources = describe_sources(estimates)
    lines.extend(f"  {_runs(count)} from {source}, on {plan.device}" for source, count in sources)
    reasons = Counter(e.reason for e in estimates if e.reason is not None)
    lines.extend(f"  {_runs(count)} unknown: {reason}" for reason, count in reasons.items())
    energies = Counter(e.energy_reason for e in estimates if e.seconds is not None and e.energy_reason is not None)
    lines.extend(f"  energy of {_runs(count)} unknown: {reason}" for reason, count in energies.items())
    if sources and plan.between_s is not None:
        lines.append(f"  with {format_duration(plan.between_s)} between two runs (start of a process), measured")
    elif sources:
        lines.append("  without what lies between two runs, which two finished runs would tell")
    return lines if estimates else []


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
