"""The whole comparison of one study: points, multipliers at matched loss, tasks, fairness checks and findings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.analysis.axes import compare_axes
from harness.analysis.equal_budget import compare_budgets
from harness.analysis.fairness.checks import check_fairness
from harness.analysis.multipliers import (
    Pair,
    bound_beyond,
    build_pair,
    choose_loss,
    find_common_losses,
    match_at,
    spread_losses,
)
from harness.analysis.points import RESOURCES, build_points
from harness.analysis.pooling import read_config, require_poolable
from harness.analysis.quality import check_qualities, match_by_accuracy
from harness.analysis.results import (
    AccuracyMatch,
    Axis,
    BudgetGap,
    Check,
    Equivalence,
    FrontierPoint,
    MatchResult,
    Multiplier,
    Slice,
)
from harness.analysis.screening import screen_points
from harness.analysis.slices import cut_slices
from harness.analysis.task_devices import compare_devices
from harness.analysis.task_pairs import compare_pairs
from harness.analysis.tasks import choose_runs, compare_kinds, compare_tasks
from harness.analysis.tuning.search import refuse_tuning
from harness.core.beside import start_beside
from harness.core.errors import RecordError
from harness.core.readings import Finding, Severity
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.core.study import MatchRule, StudyInfo, load_study

DEFAULT_ARMS = ("dense", "moe")


class _Others(NamedTuple):
    """Parts of a `MatchResult` by its names."""

    checks: tuple[Check, ...]
    budget_gaps: tuple[BudgetGap, ...]
    equivalence: tuple[Equivalence, ...]
    accuracy: AccuracyMatch | None
    slices: tuple[Slice, ...]
    axes: tuple[Axis, ...]
    curve: tuple[Multiplier, ...]


def load_and_match(root: Path | str) -> MatchResult:
    """Match the study whose store is at `root`.

    Raises:
        RecordError: there is no record, the study file cannot be read, or records must not be pooled.
    """
    records, unreadable = Store(root).load_records()
    return match_study(records, load_study(Path(root)), unreadable)


def match_study(records: Sequence[RunRecord], study: StudyInfo | None, unreadable: Sequence[str] = ()) -> MatchResult:
    """Compare both arms of a study at equal validation loss in bits per byte.

    Without a study file the arms are told from the models and the rule is the default one. Too little data (one
    family, one seed, no common loss, only failures) gives findings and ``None`` with a reason, never an exception.

    Raises:
        RecordError: finished records differ in a key that decides what their numbers mean, or the study is a search or
            trained nothing.
    """
    refuse_tuning(study)
    if study is not None and study.purpose == "inference":
        raise RecordError(
            f"study '{study.study}' trained nothing, so it has no losses to match; type: isojoule tasks FOLDER"
        )
    findings = [_finding("unreadable_record", "warning", line) for line in unreadable]
    kept, excluded = keep_planned(records, study, findings)
    by_id = {record.run_id: record for record in kept}
    finished, left_out = build_points(kept)
    screened = screen_points(finished, by_id)
    points = screened.points
    excluded += left_out + screened.left_out
    findings += screened.findings
    require_poolable([record for record in kept if record.status == "finished"])
    baseline, candidate = choose_arms(kept, study, findings)
    rule = study.match if study is not None else MatchRule()
    if study is None:
        text = "no study.json: arms and the rule of matching were not fixed before the first run"
        findings.append(_finding("no_study", "warning", text))
    pair = build_pair(points, baseline, candidate, rule.interval)
    _note_points(points, pair, findings)

    common = find_common_losses(pair) if pair.seeds else None
    loss, reason = choose_loss(rule, common) if pair.seeds else (None, _explain_no_pair(points, pair))
    if reason is not None:
        findings.append(_finding("no_matched_loss", "warning", f"no verdict's loss: {reason}"))

    losses = spread_losses(common, rule.num_losses) if common is not None else ()

    def compare_others() -> _Others:
        """Check and compare what asks for no cost of a task."""
        gaps = compare_budgets(pair)
        return _Others(
            checks=check_fairness(kept, study, finished, pair),
            budget_gaps=gaps,
            equivalence=check_qualities(pair, by_id, loss, gaps, rule) if pair.seeds else (),
            accuracy=match_by_accuracy([by_id[point.run_id] for point in points], pair) if points else None,
            slices=cut_slices(points, pair.arms),
            axes=compare_axes(pair, gaps) if pair.seeds else (),
            curve=tuple(
                match_at(pair, resource, each, num_losses=len(losses)) for resource in RESOURCES for each in losses
            ),
        )

    others = start_beside(compare_others, len(kept))
    at = loss if loss is not None else rule.loss if rule.rule == "fixed" else None
    headline = tuple(match_at(pair, resource, at) for resource in RESOURCES) if at is not None else ()
    if loss is None:
        headline = tuple(multiplier for multiplier in headline if multiplier.lower_bound is not None)
    beyond = tuple(bound for resource in RESOURCES if (bound := bound_beyond(pair, resource)) is not None)
    _note_reach(pair, beyond, headline, findings)

    chosen = choose_runs(pair, loss) if loss is not None else None
    arm_tasks, task_ratios = compare_tasks(pair, by_id, loss) if loss is not None else ((), ())
    kinds = compare_kinds(pair, by_id, chosen) if chosen is not None else ()
    pairs = compare_pairs(pair, by_id, loss) if kinds and loss is not None else ()
    devices = compare_devices(arm_tasks, by_id, chosen) if chosen is not None else ()
    found = others()._asdict()
    curve = (*found.pop("curve"), *beyond)
    return MatchResult(
        study=study.study if study is not None else (records[0].study if records else ""),
        baseline_arm=baseline,
        candidate_arm=candidate,
        rule=_describe_rule(rule, study),
        matched_loss=loss,
        matched_loss_reason=reason,
        common_losses=common,
        curve=curve,
        headline=headline or beyond,
        points=tuple(points),
        arm_tasks=arm_tasks,
        task_ratios=task_ratios,
        findings=tuple(findings),
        excluded=tuple(sorted(excluded)),
        **found,
        decay=pair.decay if pair.seeds else None,
        kinds=kinds,
        task_pairs=pairs,
        task_devices=devices,
    )


def keep_planned(
    records: Sequence[RunRecord], study: StudyInfo | None, findings: list[Finding]
) -> tuple[list[RunRecord], list[tuple[str, str]]]:
    """Return the records that the study promised; others in its folder are no part of it."""
    planned = {run.run_id for run in study.runs} if study is not None else set()
    if not planned:
        return list(records), []
    kept = [record for record in records if record.run_id in planned]
    others = [record for record in records if record.run_id not in planned]
    if not kept:
        text = "no record is in the plan of study.json; all records are used, and none was promised"
        findings.append(_finding("outside_plan", "error", text))
        return list(records), []
    if others:
        text = f"{len(others)} records are not in the plan of study.json and are left out"
        findings.append(_finding("outside_plan", "warning", text))
    return kept, [(record.run_id, "not in the plan of study.json") for record in others]


def choose_arms(records: Sequence[RunRecord], study: StudyInfo | None, findings: list[Finding]) -> tuple[str, str]:
    """Return baseline and candidate arm: the study's, else the first dense and the first sparse arm by name."""
    if study is not None:
        return study.baseline_arm, study.candidate_arm
    sparse = {record.arm for record in records if read_config(record, "model.num_experts")}
    dense = {record.arm for record in records} - sparse
    baseline = min(dense, key=lambda arm: (arm != DEFAULT_ARMS[0], arm), default=DEFAULT_ARMS[0])
    candidate = min(sparse, key=lambda arm: (arm != DEFAULT_ARMS[1], arm), default=None)
    if candidate is None:
        others = sorted(dense - {baseline})
        candidate = others[0] if others else DEFAULT_ARMS[1]
    ignored = sorted((sparse | dense) - {baseline, candidate})
    if ignored:
        findings.append(_finding("more_arms", "warning", f"arms that are not compared: {', '.join(ignored)}"))
    return baseline, candidate


def _explain_no_pair(points: Sequence[FrontierPoint], pair: Pair) -> str:
    if not points:
        return "no run finished with a loss"
    missing = [arm for arm in pair.arms if not pair.ladders[arm]]
    if missing:
        return f"no finished run of {' and '.join(repr(arm) for arm in missing)}"
    return "no seed has finished runs of both arms"


def _note_points(points: Sequence[FrontierPoint], pair: Pair, findings: list[Finding]) -> None:
    findings.extend(
        _finding("no_runs_of_arm", "warning", f"arm '{arm}' has no finished run with a loss")
        for arm in pair.arms
        if not pair.ladders[arm]
    )
    seeds = {point.seed for point in points if point.arm in pair.arms}
    unpaired = sorted(seeds - set(pair.seeds))
    if pair.seeds and unpaired:
        text = f"seeds with finished runs of one arm only are left out: {', '.join(map(str, unpaired))}"
        findings.append(_finding("unpaired_seeds", "warning", text))
    if len(pair.seeds) == 1:
        text = "one seed: nothing says how far another would lie from it, so there are no estimates"
        findings.append(_finding("one_seed", "warning", text))


def _note_reach(
    pair: Pair, beyond: Sequence[Multiplier], headline: Sequence[Multiplier], findings: list[Finding]
) -> None:
    """Say which arm got further than the other, and where a value is limited by the sizes that were tried."""
    for bound in beyond:
        if bound.resource == "flops" and bound.lower_bound is not None:
            text = (
                f"at {bound.loss:.4g} bits per byte, {pair.baseline} at {bound.lower_bound:.3g} times the training "
                f"FLOPs of {pair.candidate} is still worse in every seed: the multiplier there is above that"
            )
            findings.append(_finding("baseline_never_reaches", "info", text, bound.lower_bound))
    swapped = dataclasses.replace(pair, baseline=pair.candidate, candidate=pair.baseline)
    other = bound_beyond(swapped, "flops")
    if other is not None and other.lower_bound is not None:
        text = (
            f"at {other.loss:.4g} bits per byte, {pair.candidate} at {other.lower_bound:.3g} times the training FLOPs "
            f"of {pair.baseline} is still worse in every seed: the multiplier there is below "
            f"{1 / other.lower_bound:.3g}"
        )
        findings.append(_finding("candidate_never_reaches", "info", text, 1 / other.lower_bound))
    edges = sorted({arm for multiplier in headline for arm in multiplier.edge_arms})
    if edges:
        text = (
            f"the cheapest size of {' and '.join(edges)} stands at an edge of its ladder, or the ladder has fewer than "
            "three sizes: read the values as size-matched multipliers, not as the frontier's"
        )
        findings.append(_finding("size_limited", "warning", text))


def _describe_rule(rule: MatchRule, study: StudyInfo | None) -> str:
    text = {
        "lowest_common": "lowest loss that both arms reached in every seed",
        "middle_common": "middle of the losses that both arms reached in every seed",
        "fixed": f"fixed at {rule.loss} bits per byte",
    }[rule.rule]
    return text if study is not None else f"{text} (default, not fixed beforehand)"


def _finding(code: str, severity: Severity, text: str, value: float | None = None) -> Finding:
    return Finding(code=code, severity=severity, text=text, value=value)
