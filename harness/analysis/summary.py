"""Results for the terminal and for other programs: a plain table and JSON, from the same numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from harness.analysis.results import ArmTask, Check, ClaimVerdict, Interval, MatchResult, Multiplier, TaskRatio

SCHEMA_VERSION = 1
CLAIM_KEYS = ("id", "statement", "source", "metric", "factor", "kind")
_MARKS = {"pass": "pass", "fail": "FAIL", "unknown": "?"}


def match_to_json(match: MatchResult) -> dict[str, Any]:
    """Return all of `match` as plain dicts, lists and scalars; unknown numbers are ``None``."""
    return {"schema_version": SCHEMA_VERSION, **_plain(dataclasses.asdict(match))}


def verdicts_to_json(verdicts: Sequence[ClaimVerdict], match: MatchResult) -> dict[str, Any]:
    """Return verdicts with what they rest on: matched loss, the curves of multipliers, headline and checks."""
    result: dict[str, Any] = _plain(
        {
            "schema_version": SCHEMA_VERSION,
            "study": match.study,
            "baseline_arm": match.baseline_arm,
            "candidate_arm": match.candidate_arm,
            "rule": match.rule,
            "matched_loss": match.matched_loss,
            "matched_loss_reason": match.matched_loss_reason,
            "common_losses": match.common_losses,
            "claims": [_verdict(verdict) for verdict in verdicts],
            "headline": {m.resource: dataclasses.asdict(m) for m in match.headline},
            "curve": {
                resource: [dataclasses.asdict(m) for m in match.curve if m.resource == resource]
                for resource in dict.fromkeys(m.resource for m in match.curve)
            },
            "arm_tasks": [dataclasses.asdict(task) for task in match.arm_tasks],
            "task_ratios": [dataclasses.asdict(ratio) for ratio in match.task_ratios],
            "checks": [dataclasses.asdict(check) for check in match.checks],
            "findings": [dataclasses.asdict(finding) for finding in match.findings],
            "excluded": [{"run_id": run_id, "reason": reason} for run_id, reason in match.excluded],
        }
    )
    return result


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
    lines += _multiplier_lines(match.headline, match) + _task_lines(match.arm_tasks, match.task_ratios)
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


def _verdict(verdict: ClaimVerdict) -> dict[str, Any]:
    """Return a verdict with the claim's own keys; its terms (comparator, tolerance, ...) are in the claims' JSON."""
    values = dataclasses.asdict(verdict)
    claim = values.pop("claim")
    return {**{key: claim[key] for key in CLAIM_KEYS}, **values}


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


def _task_lines(tasks: Sequence[ArmTask], ratios: Sequence[TaskRatio]) -> list[str]:
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


def _plain(value: Any) -> Any:
    """Turn tuples into lists, so that the result equals itself after a round trip through JSON."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value
