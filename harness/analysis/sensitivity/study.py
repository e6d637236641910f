"""All alternatives of one study, each beside the headline, with the verdicts that it would have given."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from harness.analysis.claims.judge import judge
from harness.analysis.results import Interval, MatchResult, Multiplier, Resource, TaskMetric
from harness.analysis.sensitivity.choices import list_losses, list_seeds
from harness.analysis.sensitivity.distance import measure_distance
from harness.analysis.sensitivity.energy import list_boundaries, list_idle
from harness.analysis.sensitivity.flops import list_conventions
from harness.analysis.sensitivity.grids import GRIDS, list_emissions
from harness.analysis.sensitivity.recompute import Recomputed, Study
from harness.analysis.sensitivity.results import Change, ClaimChange, Group, Sensitivity, SensitivityRow
from harness.analysis.stats import invert_interval
from harness.analysis.verdicts import ClaimMetric, ClaimVerdict
from harness.core.readings import Grade
from harness.core.records import RunRecord
from harness.core.study import MatchRule, StudyInfo

_TRAINING: dict[ClaimMetric, Resource] = {"training_flops": "flops", "training_energy": "energy"}
_TASKS: tuple[TaskMetric, ...] = ("energy_per_task", "energy_per_correct")
_ENERGY: tuple[ClaimMetric, ...] = ("training_energy", "energy_per_task", "energy_per_correct")
_ALL: tuple[ClaimMetric, ...] = ("training_flops", *_ENERGY)


@dataclasses.dataclass(frozen=True, slots=True)
class _Ratio:
    """One ratio, candidate over baseline, wherever it comes from."""

    value: float | None
    interval: Interval | None
    n: int
    grade: Grade | None
    simulated: bool
    reason: str | None


def estimate_sensitivity(
    records: Sequence[RunRecord], study: StudyInfo | None, match: MatchResult, verdicts: Sequence[ClaimVerdict]
) -> Sensitivity:
    """Recompute the ratios of `match` under other idle powers, boundaries, FLOP conventions, losses and seeds.

    Every alternative goes through the study's own matching and judging; only what records hold exactly is used.
    """
    distances = tuple(measure_distance(verdict) for verdict in verdicts)
    by_id = {record.run_id: record for record in records}
    reason = match.matched_loss_reason or "there is no matched loss" if match.matched_loss is None else None
    if any(point.run_id not in by_id for point in match.points):
        reason = "the records of some runs are missing"
    if reason is not None:
        return Sensitivity(rows=(), distances=distances, emissions=(), grids=GRIDS, reason=reason)
    rule = study.match if study is not None else MatchRule()
    base = Study(match=match, verdicts=tuple(verdicts), records=by_id, rule=rule)
    parts: tuple[tuple[Group, tuple[ClaimMetric, ...], list[tuple[str, Recomputed]]], ...] = (
        ("FLOP convention", ("training_flops",), list_conventions(base)),
        ("idle power", _ENERGY, list_idle(base)),
        ("energy boundary", _ENERGY, list_boundaries(base)),
        ("matched loss", _ALL, list_losses(base)),
        ("one seed less", _ALL, list_seeds(base)),
    )
    rows = [
        _describe(base, group, words, metric, found)
        for group, metrics, alternatives in parts
        for words, found in alternatives
        for metric in metrics
    ]
    rows.sort(key=lambda row: _ALL.index(row.metric))  # stable: alternatives keep their order inside a ratio
    return Sensitivity(rows=tuple(rows), distances=distances, emissions=list_emissions(base), grids=GRIDS)


def _describe(base: Study, group: Group, words: str, metric: ClaimMetric, found: Recomputed) -> SensitivityRow:
    ratio = _find_ratio(metric, found)
    own = _find_headline(metric, base.match)
    change = ratio.value / own - 1 if ratio.value is not None and own else None
    return SensitivityRow(
        group=group,
        alternative=words,
        metric=metric,
        ratio=ratio.value,
        interval=ratio.interval,
        n=ratio.n,
        grade=ratio.grade,
        simulated=ratio.simulated,
        headline=own,
        change=change,
        loss=found.loss,
        claims=tuple(
            _judge_again(base, verdict, group, metric, found)
            for verdict in base.verdicts
            if verdict.claim.metric == metric
        ),
        reason=ratio.reason,
    )


def _find_ratio(metric: ClaimMetric, found: Recomputed) -> _Ratio:
    nothing = _Ratio(None, None, 0, None, False, found.reason or "the runs do not tell it")
    if found.reason is not None:
        return nothing
    if metric in _TRAINING:
        row = next(m for m in found.training if m.resource == _TRAINING[metric])
        value = 1 / row.estimate if row.estimate else None
        return _Ratio(value, invert_interval(row.interval), row.n, row.grade, row.simulated, row.reason)
    task = next((r for r in found.tasks if r.metric == metric), None)
    if task is None:
        return nothing
    simulated = any(arm.simulated for arm in found.arm_tasks)
    return _Ratio(task.estimate, task.interval, task.n, task.grade, simulated, task.reason)


def _find_headline(metric: ClaimMetric, match: MatchResult) -> float | None:
    if metric in _TRAINING:
        row = next((m for m in match.headline if m.resource == _TRAINING[metric]), None)
        return 1 / row.estimate if row is not None and row.estimate else None
    return next((r.estimate for r in match.task_ratios if r.metric == metric), None)


def _judge_again(
    base: Study, verdict: ClaimVerdict, group: Group, metric: ClaimMetric, found: Recomputed
) -> ClaimChange:
    """Judge the claim on the study with the alternative's numbers in place of its own; its checks stay.

    With one seed less the claim may ask for no more seeds than are left, or the count alone would decide.
    """
    claim = verdict.claim
    usable = found.reason is None and claim.selectors.matched_by != "accuracy"
    if not usable:
        return ClaimChange(claim_id=claim.id, before=verdict.verdict, after=None, changes="not judged")
    if group == "one seed less":
        claim = dataclasses.replace(claim, min_n=min(claim.min_n, max(1, _find_ratio(metric, found).n)))
    after = judge(claim, _put_in(base.match, found, metric)).verdict
    changes: Change = "no" if after == verdict.verdict else "yes"
    if after == "not measured":
        changes = "not judged"
    return ClaimChange(claim_id=claim.id, before=verdict.verdict, after=after, changes=changes)


def _put_in(match: MatchResult, found: Recomputed, metric: ClaimMetric) -> MatchResult:
    """Return the match with the ratio of `metric`, and the points and arms that it rests on, from the alternative."""
    resource = _TRAINING.get(metric)
    headline: tuple[Multiplier, ...] = match.headline
    tasks = match.task_ratios
    if resource is not None:
        new = next(m for m in found.training if m.resource == resource)
        headline = tuple(new if m.resource == resource else m for m in match.headline)
    else:
        tasks = tuple(next((r for r in found.tasks if r.metric == o.metric), o) for o in match.task_ratios)
    return dataclasses.replace(
        match,
        headline=headline,
        task_ratios=tasks,
        arm_tasks=found.arm_tasks or match.arm_tasks,
        points=found.points or match.points,
        matched_loss=found.loss,
    )
