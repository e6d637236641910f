"""What tasks cost as plain text for the terminal, from the same numbers as the JSON."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.inference.load import TaskStudy
from harness.analysis.inference.results import AccuracyDifference, ArmCost, InferenceResult, KindCost
from harness.analysis.inference.text_detail import detail_lines, format_interval, format_short
from harness.analysis.results import ArmTask, Interval, KindTasks, MatchResult, TaskPair, TaskRatio
from harness.analysis.text import task_lines


def tasks_to_text(study: TaskStudy) -> str:
    """Return everything about tasks, without colours."""
    lines: list[str] = []
    if study.inference is not None:
        lines += _inference_lines(study.inference)
    if study.match is not None:
        lines += _matched_lines(study.match)
    return "\n".join(lines + detail_lines(study.detail))


def _inference_lines(result: InferenceResult) -> list[str]:
    lines = [
        f"study {result.study}: {result.candidate_arm} against {result.baseline_arm}, {result.num_runs} runs compared",
        f"rule: {result.rule}",
    ]
    if result.reason:
        lines.append(f"no comparison: {result.reason}")
    for kind in (*((result.suite,) if result.suite else ()), *result.kinds):
        lines += _kind_cost_lines(kind)
    if result.free:
        lines += ["", "the same where answers end where they end (above, they all have the same length)"]
    for kind in result.free:
        lines += _kind_cost_lines(kind)[1:]
    lines += ["", "fairness checks"]
    marks = {"pass": "pass", "fail": "FAIL", "unknown": "?"}
    lines += [f"  {marks[check.outcome]:<5} {check.title}: {check.text}" for check in result.checks]
    if result.findings:
        lines += ["", "findings"] + [f"  {finding.severity}: {finding.text}" for finding in result.findings]
    if result.excluded:
        lines += ["", "left out"] + [f"  {run_id}: {reason}" for run_id, reason in result.excluded]
    return lines


def _kind_cost_lines(kind: KindCost) -> list[str]:
    title = "all kinds of tasks, each weighing the same" if kind.kind == "suite" else f"kind {kind.kind}"
    head = f"  {'arm':<10}{'J/task':>10}{'J/token':>10}{'J/byte':>10}{'J/correct':>11}{'s/task':>10}{'FLOP/task':>11}"
    lines = ["", title, f"{head}{'accuracy':>10}{'chance':>8}{'tokens':>8}  grade"]
    lines += [_arm_line(arm, kind.chance) for arm in kind.arms]
    lines += _ratio_lines(kind.ratios)
    if kind.accuracy is not None:
        lines.append(f"  {_accuracy_line(kind.accuracy)}")
    return lines


def _arm_line(arm: ArmCost, chance: float | None) -> str:
    names = ("energy_per_task", "energy_per_token", "energy_per_byte", "energy_per_correct", "seconds_per_task")
    widths = (10, 10, 10, 11, 10)
    cells = "".join(
        f"{format_short(arm.figures[name].value):>{width}}" for name, width in zip(names, widths, strict=True)
    )
    cells += f"{format_short(arm.figures['flops_per_task'].value):>11}"
    accuracy = f"{arm.accuracy:.1%}" if arm.accuracy is not None else "unknown"
    blind = f"{chance:.1%}" if chance is not None else "-"
    grade = f"{arm.grade or '-'}{' simulated' if arm.simulated else ''}"
    return f"  {arm.arm:<10}{cells}{accuracy:>10}{blind:>8}{format_short(arm.tokens_per_task):>8}  {grade}"


def _accuracy_line(found: AccuracyDifference) -> str:
    if found.difference is None:
        return f"{found.what}, candidate less baseline: unknown ({found.reason})"
    margin = f"margin {found.margin:g}" if found.margin is not None else "no margin"
    power = f", power {found.power:.0%}" if found.power is not None else ""
    needed = ""
    if found.num_examples_needed is not None and found.num_examples_needed > found.num_examples:
        needed = f", {found.num_examples_needed} examples would have 80%"
    failed = f", {found.num_failed} failed answers count as wrong" if found.num_failed else ""
    return (
        f"{found.what}, candidate less baseline: {found.difference:+.1%} [{_signed(found.interval)}], {margin}: "
        f"{found.outcome} (n = {found.num_examples} examples{power}{needed}{failed})"
    )


def _ratio_lines(ratios: Sequence[TaskRatio]) -> list[str]:
    lines = [f"  {'ratio (candidate / baseline)':<30}{'estimate':>10}  interval"]
    for ratio in ratios:
        note = f"  ({ratio.reason})" if ratio.reason else ""
        lines.append(f"  {ratio.metric:<30}{format_short(ratio.estimate):>10}  {format_interval(ratio.interval)}{note}")
    return lines


def _matched_lines(match: MatchResult) -> list[str]:
    lines = [f"study {match.study}: {match.candidate_arm} against {match.baseline_arm}, {len(match.points)} runs"]
    if match.matched_loss is None:
        lines.append(f"no matched loss: {match.matched_loss_reason}")
    else:
        lines.append(f"matched loss: {match.matched_loss:.4f} bits per byte")
    if match.kinds:
        names = ", ".join(kind.kind for kind in match.kinds)
        lines.append(f"a task is the mean over {len(match.kinds)} kinds, each weighing the same: {names}")
    lines += task_lines(match.arm_tasks, match.task_ratios)
    for kind in match.kinds:
        lines += _kind_lines(kind)
    for pair in match.task_pairs:
        lines += _pair_lines(pair)
    return lines


def _kind_lines(kind: KindTasks) -> list[str]:
    chance = f"{kind.chance:.1%}" if kind.chance is not None else "unknown"
    return ["", f"kind {kind.kind} (chance {chance})", *task_lines(kind.arm_tasks, kind.task_ratios)[2:]]


def _pair_lines(pair: TaskPair) -> list[str]:
    lines = ["", f"pair: {pair.title}{f' ({pair.at})' if pair.at else ''}"]
    if pair.reason:
        return [*lines, f"  no such pair: {pair.reason}"]
    lines.append(f"  unequal in loss, baseline - candidate: {_gap(pair.loss_gap, pair.loss_interval)} bits per byte")
    lines.append(f"  unequal in accuracy, baseline - candidate: {_gap(pair.accuracy_gap, pair.accuracy_interval)}")
    return lines + [f"  {_tasks_short(task)}" for task in pair.arm_tasks] + _ratio_lines(pair.task_ratios)


def _tasks_short(task: ArmTask) -> str:
    accuracy = f"{task.accuracy:.1%}" if task.accuracy is not None else "unknown"
    return f"{task.arm} {task.size}: {format_short(task.energy_per_task_j)} J/task, accuracy {accuracy}"


def _signed(interval: Interval | None) -> str:
    if interval is None:
        return "no interval"
    return f"{interval.level:.0%}: {interval.low:+.1%} to {interval.high:+.1%}"


def _gap(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:+.4f} [{f'{interval.low:+.4f} to {interval.high:+.4f}' if interval else 'no interval'}]"
