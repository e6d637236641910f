"""Two models or servers on the same questions: energy per task, token, byte and correct answer, and their accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.analysis.inference.accuracy import (
    compare_by_example,
    compare_shares,
    require_same_prompts,
    score_examples,
    unknown_difference,
)
from harness.analysis.inference.answered import SUITE, measure_answered, name_kinds
from harness.analysis.inference.checks import check_inference
from harness.analysis.inference.device_costs import compare_arms
from harness.analysis.inference.ratios import RATIO_METRICS, compare_cost, summarise_arm
from harness.analysis.inference.results import AccuracyDifference, InferenceResult, KindCost
from harness.analysis.inference.seeds import pick_repeats
from harness.analysis.match import choose_arms, keep_planned
from harness.analysis.pooling import INFERENCE_KEYS, require_poolable
from harness.analysis.task_costs import find_accuracy, list_kinds
from harness.core.answers import TaskResult
from harness.core.inference import AnswerLength
from harness.core.readings import Finding
from harness.core.records import RunRecord
from harness.core.study import MatchRule, StudyInfo

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
    repeats = pick_repeats(finished)
    runs = {arm: repeats.get(arm, {}) for arm in arms}
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
    # the same kinds where answers ended where they ended, beside those of fixed length
    both = [kind for kind in kinds if all(_has_both(record, kind) for record in used)]
    free = [_compare_kind(k, arms, runs, seeds, answers, rule, "free") for k in (SUITE, *both)] if both else []
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
        free=tuple(free),
        task_devices=compare_arms(rows[-1], {arm: [runs[arm][seed] for seed in seeds] for arm in arms}, answers)
        if rows
        else (),
    )


def _has_both(record: RunRecord, kind: str) -> bool:
    return kind in list_kinds(record, "fixed") and kind in list_kinds(record, "free")


def _compare_kind(  # noqa: PLR0917 - the parts of one comparison
    kind: str,
    arms: tuple[str, str],
    runs: Mapping[str, Mapping[int, RunRecord]],
    seeds: Sequence[int],
    answers: Answers,
    rule: MatchRule,
    length: AnswerLength | None = None,
) -> KindCost:
    """Return costs, ratios and accuracy of one kind; with a `length` costs alone, since the answers are the same."""
    sides = {arm: [runs[arm][seed] for seed in seeds] for arm in arms}
    found = {
        arm: [measure_answered(run, answers.get(run.run_id, ()), kind, length) for run in own]
        for arm, own in sides.items()
    }
    accuracy = None if length else _compare_accuracy(kind, arms, runs, seeds, answers, rule.margin_accuracy)
    costs = tuple(summarise_arm(arm, found[arm]) for arm in arms)
    mixed = len({one.domains for own in found.values() for one in own}) > 1
    ratios = tuple(
        compare_cost(metric, [found[arm] for arm in arms], costs, rule.interval, mixed) for metric in RATIO_METRICS
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
    found = [find_accuracy(record, name) for name in (name_kinds(record, ()) if kind == SUITE else (kind,))]
    readings = [reading for reading in found if reading is not None and reading.num_samples > 0]
    return {q.task: (q.value, q.num_samples) for q in readings if q.value is not None}


def _family(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Return what the parameters of an arm's runs say, empty where they are unknown."""
    known = [r.params.active < r.params.total for r in records if r.params is not None]
    if not known:
        return ()
    return ("sparse",) if all(known) else ("mixed",) if any(known) else ("dense",)
