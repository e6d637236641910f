"""The comparison as plain text for the terminal, from the same numbers as the JSON."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.results import (
    ArmTask,
    Axis,
    BudgetGap,
    Check,
    Equivalence,
    Interval,
    MatchResult,
    Multiplier,
    Slice,
    TaskRatio,
)
from harness.analysis.verdicts import ClaimVerdict

_MARKS = {"pass": "pass", "fail": "FAIL", "unknown": "?"}
_UNITS = {
    "flops": "FLOPs",
    "energy": "J",
    "net_energy": "J net",
    "seconds": "s",
    "tokens": "tokens",
    "peak_memory": "B",
}


def match_to_text(match: MatchResult) -> str:
    """Return the comparison as a table for the terminal, without colours."""
    lines = [
        f"study {match.study}: {match.candidate_arm} against {match.baseline_arm}, {len(match.points)} runs",
        f"rule: {match.rule}",
    ]
    if match.matched_loss is None:
        lines.append(f"no matched loss: {match.matched_loss_reason}")
    else:
        lines.append(f"matched loss: {match.matched_loss:.4f} bits per byte")
    lines += _multiplier_lines(match.headline, match) + task_lines(match.arm_tasks, match.task_ratios)
    if match.kinds:
        lines.append(f"  (a task is the mean over {len(match.kinds)} kinds; isojoule tasks shows each)")
    lines += _curve_lines(match.curve) + _budget_lines(_largest(match.budget_gaps), match)
    lines += _equivalence_lines(match.equivalence) + _accuracy_lines(match)
    lines += _axis_lines(match.axes) + _slice_lines(match.slices)
    lines += ["", "fairness checks"] + [_check_line(check) for check in match.checks]
    if match.findings:
        lines += ["", "findings"] + [f"  {finding.severity}: {finding.text}" for finding in match.findings]
    if match.excluded:
        lines += ["", "left out"] + [f"  {run_id}: {reason}" for run_id, reason in match.excluded]
    return "\n".join(lines)


def verdicts_to_text(verdicts: Sequence[ClaimVerdict]) -> str:
    """Return one paragraph per claim: its statement, the verdict, and the sentence that explains it."""
    return "\n\n".join(
        f"{verdict.claim.statement}\n  {verdict.verdict.upper()}\n  {verdict.text}" for verdict in verdicts
    )


def _curve_lines(curve: Sequence[Multiplier]) -> list[str]:
    """Return the multiplier in FLOPs over the losses, with the interval that holds at all of them at once."""
    rows = [m for m in curve if m.resource == "flops"]
    if not rows:
        return []
    lines = [
        "",
        "training FLOPs over the losses that both reached",
        f"  {'loss':>8}{'multiplier':>12}  {'interval':<18}all at once",
    ]
    for m in rows:
        value = (
            f"{m.estimate:.3f}" if m.estimate is not None else f"> {m.lower_bound:.3f}" if m.lower_bound else "unknown"
        )
        edge = f"  (edge of the ladder: {', '.join(m.edge_arms)})" if m.edge_arms else ""
        lines.append(f"  {m.loss:>8.4f}{value:>12}  {_interval(m.interval):<18}{_interval(m.band):<18}{edge}".rstrip())
    return lines


def _budget_lines(gaps: Sequence[BudgetGap], match: MatchResult) -> list[str]:
    if not gaps:
        return []
    lines = [
        "",
        f"loss at equal budgets, {match.baseline_arm} - {match.candidate_arm} (above 0: {match.candidate_arm} better)",
        f"  {'budget':<22}{'gap':>9}  {'interval':<20}{'n':>3}  better",
    ]
    for gap in gaps:
        value = f"{gap.gap:+.4f}" if gap.gap is not None else "unknown"
        note = f"  ({gap.reason})" if gap.reason else ""
        budget = f"{gap.budget:.3g} {_UNITS[gap.resource]}"
        cells = f"{value:>9}  {_signed(gap.interval):<20}{gap.n:>3}  {gap.better or 'not told apart'}"
        lines.append(f"  {budget:<22}{cells}{note}")
    return lines


def _largest(gaps: Sequence[BudgetGap]) -> list[BudgetGap]:
    """Return the largest budget of each resource, and every memory."""
    last = {gap.resource: gap for gap in gaps}
    return [gap for gap in gaps if gap.resource == "peak_memory" or last[gap.resource] is gap]


def _accuracy_lines(match: MatchResult) -> list[str]:
    found = match.accuracy
    if found is None:
        return []
    if found.error_rate is None:
        return ["", f"matched by task accuracy: no number ({found.reason})"]
    lines = ["", f"matched by task accuracy instead, at {1 - found.error_rate:.1%}"]
    return lines + _multiplier_lines(found.headline, match)[1:] + task_lines(found.arm_tasks, found.task_ratios)[1:]


def _equivalence_lines(tests: Sequence[Equivalence]) -> list[str]:
    lines = ["", "equally good? (two one-sided tests)"] if tests else []
    for test in tests:
        margin = f"margin {test.margin:g}" if test.margin is not None else "no margin"
        value = f"{test.difference:+.4f}" if test.difference is not None else "unknown"
        power = f", power {test.power:.0%}" if test.power is not None else ""
        note = f" ({test.reason})" if test.reason else ""
        lines.append(f"  {test.what}: {test.outcome}; {value} [{_signed(test.interval)}], {margin}{power}{note}")
    return lines


def _axis_lines(axes: Sequence[Axis]) -> list[str]:
    lines = ["", "what equal can mean, and the gap in loss there"] if axes else []
    for axis in axes:
        value = f"{axis.gap:+.4f} [{_signed(axis.interval)}] at {axis.at}" if axis.gap is not None else "unknown"
        note = f" ({axis.reason})" if axis.reason else ""
        lines.append(f"  {axis.title:<36}{value}{note}")
    return lines


def _slice_lines(slices: Sequence[Slice]) -> list[str]:
    lines = ["", "slices of equal training FLOPs: where the best size stands in its ladder"] if slices else []
    for piece in slices:
        sizes = ", ".join(f"{size} {loss:.3f}" for size, _, loss in piece.sizes)
        best = f", minimum near {piece.optimum_params:.3g} parameters" if piece.optimum_params is not None else ""
        lines.append(f"  {piece.arm:<8}{piece.budget_flops:>9.3g} FLOPs  {piece.place}{best}  ({sizes})")
    return lines


def _multiplier_lines(headline: Sequence[Multiplier], match: MatchResult) -> list[str]:
    if not headline:
        return []
    title = f"{match.baseline_arm} / {match.candidate_arm} at equal loss (above 1: {match.candidate_arm} needs less)"
    lines = ["", title, f"  {'resource':<14}{'multiplier':>12}  {'interval':<24}{'n':>3}  grade"]
    for m in headline:
        if m.estimate is not None:
            value, note = f"{m.estimate:.3f}", f"  ({m.reason})" if m.reason else ""
        else:
            value = f"> {m.lower_bound:.3f}" if m.lower_bound is not None else "unknown"
            note = f"  ({m.reason})" if m.reason else ""
        lines.append(f"  {m.resource:<14}{value:>12}  {_interval(m.interval):<24}{m.n:>3}  {m.grade or '-':<5}{note}")
    return lines


def task_lines(tasks: Sequence[ArmTask], ratios: Sequence[TaskRatio]) -> list[str]:
    """Return a blank line, a title, and what a task costs each arm with the ratios; nothing without tasks."""
    if not tasks:
        return []
    head = (
        f"  {'arm':<10}{'size':<6}{'J/task':>10}{'J/correct':>11}{'FLOP/task':>11}{'s/task':>10}{'accuracy':>10}  grade"
    )
    lines = ["", "one task at the matched loss", head]
    for task in tasks:
        cells = (
            f"{_short(task.energy_per_task_j):>10}{_short(task.energy_per_correct_j):>11}"
            f"{_short(task.flops_per_task):>11}{_short(task.seconds_per_task):>10}{_short(task.accuracy):>10}"
        )
        lines.append(f"  {task.arm:<10}{task.size:<6}{cells}  {task.energy_grade or '-'}")
    lines.append(f"  {'ratio (candidate / baseline)':<30}{'estimate':>10}  interval")
    for ratio in ratios:
        note = f"  ({ratio.reason})" if ratio.reason else ""
        lines.append(f"  {ratio.metric:<30}{_short(ratio.estimate):>10}  {_interval(ratio.interval)}{note}")
    return lines


def _check_line(check: Check) -> str:
    return f"  {_MARKS[check.outcome]:<5} {check.title}: {check.text}"


def _interval(interval: Interval | None) -> str:
    return f"{interval.low:.3f} to {interval.high:.3f}" if interval is not None else "-"


def _short(value: float | None) -> str:
    return f"{value:.3g}" if value is not None else "unknown"


def _signed(interval: Interval | None) -> str:
    return f"{interval.low:+.4f} to {interval.high:+.4f}" if interval is not None else "no interval"
