"""Two models or servers on the same questions: energy per task, token, byte and correct answer, and their accuracy."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence

from harness.analysis.inference.accuracy import (
    compare_by_example,
    compare_shares,
    require_same_prompts,
    score_examples,
    unknown_difference,
)
from harness.analysis.inference.answered import SUITE, Answered, measure_answered, name_kinds
from harness.analysis.inference.checks import check_inference
from harness.analysis.inference.results import AccuracyDifference, ArmCost, InferenceResult, KindCost
from harness.analysis.match import choose_arms, keep_planned
from harness.analysis.pooling import INFERENCE_KEYS, require_poolable
from harness.analysis.results import Interval, TaskMetric, TaskRatio
from harness.analysis.stats import Estimate, Pairing, estimate_mean, estimate_ratio_of, floor_at_zero
from harness.analysis.tasks import MIN_CORRECT, find_accuracy
from harness.core.answers import TaskResult
from harness.core.records import Finding, Grade, RunRecord, worst_grade
from harness.core.study import MatchRule, StudyInfo

RATIO_METRICS: tuple[TaskMetric, ...] = (
    "energy_per_task",
    "energy_per_token",
    "energy_per_byte",
    "energy_per_correct",
    "net_energy_per_task",
    "seconds_per_task",
    "flops_per_task",
)
METHOD = "t over repeats"
NORMAL_95 = 1.959964
ONE_REPEAT = "one repeat gives no interval"
Answers = Mapping[str, Sequence[TaskResult]]


def compare_inference(
    records: Sequence[RunRecord], answers: Answers, study: StudyInfo | None, unreadable: Sequence[str] = ()
) -> InferenceResult:
    """Hold candidate against baseline; `answers` are the rows of each run by its id. Seeds number the repeats.

    Too little data gives ``None`` with a reason, never an exception.

    Raises:
        RecordError: finished records differ in device, precision, task version or prompts.
    """
    findings = [Finding(code="unreadable_record", severity="warning", text=line) for line in unreadable]
    kept, excluded = keep_planned(records, study, findings)
    excluded += [(r.run_id, f"failed: {r.error or 'no error was recorded'}") for r in kept if r.status == "failed"]
    finished = [record for record in kept if record.status == "finished"]
    require_poolable(finished, INFERENCE_KEYS)
    arms = choose_arms(kept, study, findings)
    runs = {arm: {r.seed: r for r in sorted(finished, key=lambda r: r.run_id) if r.arm == arm} for arm in arms}
    if study is None:
        text = "no study.json: arms and margins were not fixed before the first run"
        findings.append(Finding(code="no_study", severity="warning", text=text))
    doubled = len([record for record in finished if record.arm in arms]) - sum(len(own) for own in runs.values())
    if doubled:
        text = f"{doubled} runs have the arm and repeat of another and are left out: a second try would win"
        findings.append(Finding(code="repeat_twice", severity="warning", text=text))
    seeds = sorted(set(runs[arms[0]]) & set(runs[arms[1]]))
    rule = study.match if study is not None else MatchRule()
    reason = None
    if not seeds:
        missing = [arm for arm in arms if not runs[arm]]
        reason = f"no finished run of {' and '.join(map(repr, missing))}" if missing else "no repeat has both arms"
    used = [runs[arm][seed] for seed in seeds for arm in arms]
    kinds = sorted(set.intersection(*(set(name_kinds(r, answers.get(r.run_id, ()))) for r in used))) if used else []
    if used and not kinds:
        reason = "no kind of task was answered by both arms"
    rows = [_compare_kind(kind, arms, runs, seeds, answers, rule) for kind in (*kinds, SUITE)] if kinds else []
    domains = {measure_answered(r, answers.get(r.run_id, ()), SUITE) for r in used} if kinds else set()
    return InferenceResult(
        study=study.study if study is not None else (records[0].study if records else ""),
        baseline_arm=arms[0],
        candidate_arm=arms[1],
        rule=f"{rule.interval.replace('_', '-')} intervals over repeats, margin of accuracy "
        + (f"{rule.margin_accuracy:g}" if rule.margin_accuracy is not None else "not declared"),
        suite=rows[-1] if rows else None,
        kinds=tuple(rows[:-1]),
        families={arm: _family(list(runs[arm].values())) for arm in arms},
        boundaries=tuple(sorted({one.domains for one in domains if one.domains})),
        grades=tuple(sorted({one.grade for one in domains}, key=str)),
        num_runs=len(used),
        checks=check_inference(kept, used, answers, study, arms, seeds, rows[-1].accuracy if rows else None),
        findings=tuple(findings),
        excluded=tuple(sorted(excluded)),
        margin_accuracy=rule.margin_accuracy,
        reason=reason,
    )


def _compare_kind(  # noqa: PLR0917 - the parts of one comparison
    kind: str,
    arms: tuple[str, str],
    runs: Mapping[str, Mapping[int, RunRecord]],
    seeds: Sequence[int],
    answers: Answers,
    rule: MatchRule,
) -> KindCost:
    found = {
        arm: [measure_answered(runs[arm][seed], answers.get(runs[arm][seed].run_id, ()), kind) for seed in seeds]
        for arm in arms
    }
    accuracy = _compare_accuracy(kind, arms, runs, seeds, answers, rule.margin_accuracy)
    costs = tuple(_summarise(arm, found[arm]) for arm in arms)
    mixed = len({one.domains for own in found.values() for one in own}) > 1
    ratios = tuple(
        _ratio(metric, [found[arm] for arm in arms], costs, rule.interval, mixed) for metric in RATIO_METRICS
    )
    readings = [find_accuracy(runs[arm][seed], kind) for arm in arms for seed in seeds] if kind != SUITE else []
    chances = [reading.chance for reading in readings if reading is not None and reading.chance is not None]
    return KindCost(kind=kind, chance=max(chances, default=None), arms=costs, ratios=ratios, accuracy=accuracy)


def _compare_accuracy(  # noqa: PLR0917 - the parts of one comparison
    kind: str,
    arms: tuple[str, str],
    runs: Mapping[str, Mapping[int, RunRecord]],
    seeds: Sequence[int],
    answers: Answers,
    margin: float | None,
) -> AccuracyDifference:
    what = "accuracy over all kinds" if kind == SUITE else f"accuracy of {kind}"
    ids = [runs[arm][seed].run_id for arm in arms for seed in seeds]
    rows = {
        arm: [row for seed in seeds for row in answers.get(runs[arm][seed].run_id, ()) if kind in (SUITE, row.kind)]
        for arm in arms
    }
    if all(rows.values()):
        told = [score_examples(rows[arm]) for arm in arms]
        require_same_prompts(arms, [each[1] for each in told])
        return compare_by_example(
            told[0][0], told[1][0], margin, what=what, num_failed=told[0][2] + told[1][2], run_ids=ids
        )
    shares = [_shares(runs[arm][seeds[0]], kind) for arm in arms]
    common = sorted(set(shares[0]) & set(shares[1]))
    if not common:
        return unknown_difference(what, margin, "the accuracy of an arm is unknown", run_ids=ids)
    return compare_shares(
        [shares[0][name] for name in common], [shares[1][name] for name in common], margin, what=what, run_ids=ids
    )


def _shares(record: RunRecord, kind: str) -> dict[str, tuple[float, int]]:
    """Return accuracy and examples of each kind in one repeat; more repeats ask the same questions again."""
    readings = [q for q in record.quality if q.higher_is_better and q.value is not None and kind in (SUITE, q.task)]
    return {q.task: (q.value, q.num_samples) for q in readings if q.value is not None and q.num_samples > 0}


def _summarise(arm: str, found: Sequence[Answered]) -> ArmCost:
    figures: dict[str, Estimate] = {}
    for metric in RATIO_METRICS:
        values = [_cost(one, metric) for one in found]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            figures[metric] = Estimate(value=None, interval=None, n=0, reason=f"{metric} is unknown in some repeat")
            continue
        estimate = estimate_mean(known, method=METHOD)
        estimate = estimate if metric == "net_energy_per_task" else floor_at_zero(estimate)
        reason = ONE_REPEAT if estimate.n == 1 else estimate.reason
        figures[metric] = Estimate(value=estimate.value, interval=estimate.interval, n=estimate.n, reason=reason)
    short = _too_few_correct(found)
    figures["energy_per_correct"] = _with_accuracy_error(figures["energy_per_correct"], [found])
    if short:
        figures["energy_per_correct"] = Estimate(value=None, interval=None, n=0, reason=short)
    grades: list[Grade] = [one.grade for one in found if one.grade is not None]
    return ArmCost(
        arm=arm,
        figures=figures,
        tokens_per_task=_mean([one.tokens for one in found]),
        bytes_per_answer=_mean([one.bytes for one in found]),
        accuracy=_mean([one.accuracy for one in found]),
        # the same questions again are no new evidence: the error is that of one repeat
        accuracy_stderr=_mean([one.accuracy_stderr for one in found]),
        num_examples=max((one.num_examples for one in found), default=0),
        num_correct=round(statistics.fmean(one.num_correct for one in found)) if found else 0,
        grade=worst_grade(*grades) if grades else None,
        simulated=any(one.simulated for one in found),
        run_ids=tuple(sorted(one.run_id for one in found)),
    )


def _ratio(
    metric: TaskMetric,
    found: Sequence[Sequence[Answered]],
    costs: Sequence[ArmCost],
    pairing: Pairing,
    mixed: bool,
) -> TaskRatio:
    energetic = "energy" in metric
    reason = None
    if energetic and mixed:
        reason = "the runs differ in which domains their energy covers, so it does not compare"
    elif metric == "energy_per_correct":
        short = [f"{cost.arm}: {why}" for cost, own in zip(costs, found, strict=True) if (why := _too_few_correct(own))]
        reason = "; ".join(short) or None
    sides = [[_cost(one, metric) for one in own] for own in found]
    known = [[value for value in side if value is not None and value > 0 and math.isfinite(value)] for side in sides]
    if reason is None and any(len(side) < len(found[0]) for side in known):
        reason = f"{metric} is unknown or not above zero in some repeat"
    estimate = estimate_ratio_of(known[1], known[0], pairing) if reason is None else None
    if estimate is not None and metric == "energy_per_correct":
        estimate = _with_accuracy_error(estimate, found)
    if estimate is not None and estimate.n == 1:
        reason = ONE_REPEAT
    grades: list[Grade] = [cost.grade for cost in costs if cost.grade is not None]
    interval = estimate.interval if estimate else None
    if interval is not None:
        interval = dataclasses.replace(interval, method=interval.method.replace("over seeds", "over repeats"))
    return TaskRatio(
        metric=metric,
        estimate=estimate.value if estimate else None,
        interval=interval,
        n=estimate.n if estimate else 0,
        grade=worst_grade(*grades) if energetic and grades else None,
        run_ids=tuple(sorted({*costs[0].run_ids, *costs[1].run_ids})),
        reason=reason or (estimate.reason if estimate else None),
    )


def _cost(one: Answered, metric: TaskMetric) -> float | None:
    energy = one.energy_j
    per = {"energy_per_token": one.tokens, "energy_per_byte": one.bytes, "energy_per_correct": one.accuracy}
    if metric in per:
        amount = per[metric]
        return energy / amount if energy is not None and amount else None
    values = {
        "energy_per_task": energy,
        "net_energy_per_task": one.net_energy_j,
        "seconds_per_task": one.seconds,
        "flops_per_task": one.flops,
    }
    return values[metric]


def _with_accuracy_error(estimate: Estimate, sides: Sequence[Sequence[Answered]]) -> Estimate:
    """Return the estimate with the binomial error of the accuracies in its interval, joined on the logarithm.

    Repeats ask the same questions, so their spread says nothing about other questions. The errors of both sides count
    as independent, which is the careful way for answers to the same questions.
    """
    interval = estimate.interval
    errors = [(_mean([one.accuracy_stderr for one in own]), _mean([one.accuracy for one in own])) for own in sides]
    known = [error / accuracy for error, accuracy in errors if error is not None and accuracy]
    if interval is None or estimate.value is None or estimate.value <= 0 or interval.low <= 0:
        return estimate
    if len(known) < len(errors):
        return Estimate(value=estimate.value, interval=None, n=estimate.n, reason="no error of the accuracy is known")
    half = NORMAL_95 * math.hypot(*known)
    low, high = (math.log(end / estimate.value) for end in (interval.low, interval.high))
    widened = Interval(
        low=estimate.value * math.exp(-math.hypot(low, half)),
        high=estimate.value * math.exp(math.hypot(high, half)),
        level=interval.level,
        method=f"{interval.method}, with the binomial error of the accuracy",
    )
    return Estimate(value=estimate.value, interval=widened, n=estimate.n)


def _too_few_correct(found: Sequence[Answered]) -> str | None:
    """Return why there is no energy per correct answer: distinct questions count, not repeats of them."""
    correct = min((one.num_correct for one in found), default=0)
    return f"only {correct} correct answers, fewer than {MIN_CORRECT}" if correct < MIN_CORRECT else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if values and len(known) == len(values) else None


def _family(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Return what the parameters of an arm's runs say, empty where they are unknown."""
    known = [r.params.active < r.params.total for r in records if r.params is not None]
    if not known:
        return ()
    return ("sparse",) if all(known) else ("mixed",) if any(known) else ("dense",)
