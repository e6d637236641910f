"""Alternatives of a study of models or servers that answered as they are: other joules, and one repeat less."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.analysis.claims.inference import judge_inference
from harness.analysis.inference.answered import SERVE, SUITE, Answered, measure_answered
from harness.analysis.inference.ratios import compare_cost, summarise_arm
from harness.analysis.inference.results import InferenceResult, KindCost
from harness.analysis.results import TaskMetric, TaskRatio
from harness.analysis.sensitivity.choices import MAX_SEEDS
from harness.analysis.sensitivity.distance import measure_distance
from harness.analysis.sensitivity.energy import IDLE_SHARES, NO_GPU, NO_IDLE, choose_boundaries, sum_domains
from harness.analysis.sensitivity.grids import GRIDS, convert_energy
from harness.analysis.sensitivity.results import Change, ClaimChange, Emissions, Group, Sensitivity, SensitivityRow
from harness.analysis.task_costs import PHASES
from harness.analysis.verdicts import ClaimVerdict
from harness.core.answers import TaskResult
from harness.core.records import RunRecord
from harness.core.study import MatchRule, StudyInfo

# Ratios in these units rest on energy; those of tasks and right answers are always shown, others where a claim is.
METRICS: tuple[TaskMetric, ...] = ("energy_per_task", "energy_per_token", "energy_per_byte", "energy_per_correct")
SHOWN: tuple[TaskMetric, ...] = ("energy_per_task", "energy_per_correct")
_Sides = Sequence[Sequence[Answered]]


class _Alternative(NamedTuple):
    """What each side's repeats cost, or why nothing can be said."""

    group: Group
    words: str
    sides: _Sides | None
    reason: str | None = None


def estimate_answered(
    records: Sequence[RunRecord],
    answers: Mapping[str, Sequence[TaskResult]],
    study: StudyInfo | None,
    result: InferenceResult,
    verdicts: Sequence[ClaimVerdict],
) -> Sensitivity:
    """Recompute the ratios of the suite with other idle powers and boundaries, and without one repeat.

    Every alternative goes through the study's own comparison and judging; its fairness checks stay.
    """
    distances = tuple(measure_distance(verdict) for verdict in verdicts)
    suite = result.suite
    if suite is None:
        reason = result.reason or "there is no comparison"
        return Sensitivity(rows=(), distances=distances, emissions=(), grids=GRIDS, reason=reason)
    by_id = {record.run_id: record for record in records}
    runs = [sorted((by_id[run] for run in arm.run_ids), key=lambda r: (r.seed, r.run_id)) for arm in suite.arms]
    rule = study.match if study is not None else MatchRule()
    claimed = {verdict.claim.metric for verdict in verdicts}
    metrics = [metric for metric in METRICS if metric in SHOWN or metric in claimed]
    alternatives = _list_alternatives(runs, answers, result)
    rows = [
        _describe(result, suite, rule, verdicts, metric, alternative)
        for metric in metrics
        for alternative in alternatives
    ]
    return Sensitivity(rows=tuple(rows), distances=distances, emissions=_list_emissions(suite), grids=GRIDS)


def _list_alternatives(
    runs: Sequence[Sequence[RunRecord]], answers: Mapping[str, Sequence[TaskResult]], result: InferenceResult
) -> list[_Alternative]:
    own = [[measure_answered(run, answers.get(run.run_id, ()), SUITE) for run in side] for side in runs]
    found = [_Alternative("idle power", "gross: nothing subtracted", own)]
    found += [_subtract_idle(own, share, words) for share, words in IDLE_SHARES]
    read = {
        reading.domain
        for side in runs
        for run in side
        for window in run.windows_of(*PHASES, SERVE)
        for reading in window.energy
    }
    for domains, words in choose_boundaries(set(result.boundaries), read):
        if not set(domains) <= read:
            found.append(_Alternative("energy boundary", words, None, NO_GPU))
            continue
        count = sum_domains(domains)
        sides = [
            [measure_answered(run, answers.get(run.run_id, ()), SUITE, sum_readings=count) for run in side]
            for side in runs
        ]
        found.append(_Alternative("energy boundary", words, sides))
    for place in _choose_repeats(own):
        sides = [[one for number, one in enumerate(side) if number != place] for side in own]
        found.append(_Alternative("one repeat less", f"without repeat {runs[0][place].seed}", sides))
    return found


def _subtract_idle(own: _Sides, share: float, words: str) -> _Alternative:
    """Take `share` of the idle energy off each repeat, as the record has it."""
    known = [one.energy_j is None or one.net_energy_j is not None for side in own for one in side]
    if not all(known):
        return _Alternative("idle power", words, None, NO_IDLE)
    return _Alternative("idle power", words, [[_net_of(one, share) for one in side] for side in own])


def _net_of(one: Answered, share: float) -> Answered:
    if one.energy_j is None or one.net_energy_j is None:
        return one
    left = one.energy_j - share * (one.energy_j - one.net_energy_j)
    return dataclasses.replace(one, energy_j=left, net_energy_j=None)


def _choose_repeats(own: _Sides) -> list[int]:
    """Return the places of the repeats that are left out one at a time: of many those that pull the ratio farthest.

    The only repeat there is stays.
    """
    pairs = list(zip(*own, strict=True))
    if len(pairs) < 2:
        return []
    if len(pairs) <= MAX_SEEDS:
        return list(range(len(pairs)))
    ratios = [
        (candidate.energy_j / baseline.energy_j, place)
        for place, (baseline, candidate) in enumerate(pairs)
        if candidate.energy_j is not None and baseline.energy_j
    ]
    return sorted({min(ratios)[1], max(ratios)[1]}) if ratios else []


def _describe(  # noqa: PLR0917 - what one row is made of
    result: InferenceResult,
    suite: KindCost,
    rule: MatchRule,
    verdicts: Sequence[ClaimVerdict],
    metric: TaskMetric,
    alternative: _Alternative,
) -> SensitivityRow:
    headline = next((ratio.estimate for ratio in suite.ratios if ratio.metric == metric), None)
    ratio, changed = None, None
    if alternative.sides is not None:
        ratio, changed = _compare(result, suite, rule, metric, alternative.sides)
    value = ratio.estimate if ratio is not None else None
    return SensitivityRow(
        group=alternative.group,
        alternative=alternative.words,
        metric=metric,
        ratio=value,
        interval=ratio.interval if ratio is not None else None,
        n=ratio.n if ratio is not None else 0,
        grade=ratio.grade if ratio is not None else None,
        simulated=changed is not None and changed.suite is not None and any(a.simulated for a in changed.suite.arms),
        headline=headline,
        change=value / headline - 1 if value is not None and headline else None,
        loss=None,
        claims=tuple(
            # a verdict that rests on no number is none
            _judge_again(verdict, changed if value is not None else None, alternative.group, ratio.n if ratio else 0)
            for verdict in verdicts
            if verdict.claim.metric == metric
        ),
        reason=alternative.reason or (ratio.reason if ratio is not None else None),
    )


def _compare(
    result: InferenceResult, suite: KindCost, rule: MatchRule, metric: TaskMetric, sides: _Sides
) -> tuple[TaskRatio, InferenceResult]:
    """Return the ratio of both `sides`, and the result with it in place of its own."""
    arms = (result.baseline_arm, result.candidate_arm)
    costs = tuple(summarise_arm(arm, side) for arm, side in zip(arms, sides, strict=True))
    domains = {one.domains for side in sides for one in side}
    ratio = compare_cost(metric, sides, costs, rule.interval, len(domains) > 1)
    ratios = tuple(ratio if old.metric == metric else old for old in suite.ratios)
    changed = dataclasses.replace(
        result,
        suite=dataclasses.replace(suite, arms=costs, ratios=ratios),
        boundaries=tuple(sorted({one for one in domains if one})),
        grades=tuple(sorted({one.grade for side in sides for one in side}, key=str)),
    )
    return ratio, changed


def _judge_again(verdict: ClaimVerdict, changed: InferenceResult | None, group: Group, n: int) -> ClaimChange:
    """Judge the claim on the changed result; with one repeat less it may ask for no more repeats than are left."""
    claim = verdict.claim
    if changed is None:
        return ClaimChange(claim_id=claim.id, before=verdict.verdict, after=None, changes="not judged")
    if group == "one repeat less":
        claim = dataclasses.replace(claim, min_n=min(claim.min_n, max(1, n)))
    after = judge_inference([claim], changed)[0].verdict
    changes: Change = "no" if after == verdict.verdict else "yes"
    return ClaimChange(
        claim_id=claim.id,
        before=verdict.verdict,
        after=after,
        changes="not judged" if after == "not measured" else changes,
    )


def _list_emissions(suite: KindCost) -> tuple[Emissions, ...]:
    """Return joules and grams of a task and of a correct answer, for each arm."""
    found = []
    for quantity, metric in (("one task", "energy_per_task"), ("one correct answer", "energy_per_correct")):
        for arm in suite.arms:
            figure = arm.figures[metric]
            reason = figure.reason or "the energy of a task is unknown"
            found.append(convert_energy(quantity, arm.arm, figure.value, arm.grade, arm.run_ids, arm.simulated, reason))
    return tuple(found)
