"""Whether a comparison of models or servers was fair, as code over the records, like `harness.analysis.fairness`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

from harness.analysis.boundary import sum_boundary
from harness.analysis.fairness.checks import MIN_SEEDS, check_plan
from harness.analysis.fairness.cost import check_idle_drift, check_interleaving
from harness.analysis.fairness.energy import INFERENCE_PHASES, check_boundary, check_power_limit
from harness.analysis.inference.answered import name_kinds
from harness.analysis.inference.results import AccuracyDifference
from harness.analysis.multipliers import Pair
from harness.analysis.results import Check
from harness.analysis.task_costs import SWEEP, find_accuracy
from harness.core.answers import TaskResult
from harness.core.records import RunRecord
from harness.core.study import StudyInfo

ACCURACY_CODE = "equally_accurate"
ABOVE_CHANCE = "above_chance"
NORMAL_95 = 1.959964
MAX_FAILED = 0.01
BLOCKING_FAILED = 0.05
Outcome = Literal["pass", "fail", "unknown"]


def check_inference(  # noqa: PLR0917 - the parts of a study, once
    records: Sequence[RunRecord],
    used: Sequence[RunRecord],
    answers: Mapping[str, Sequence[TaskResult]],
    study: StudyInfo | None,
    arms: tuple[str, str],
    seeds: Sequence[int],
    accuracy: AccuracyDifference | None,
) -> tuple[Check, ...]:
    """Return all checks over the runs of both arms that are compared (`used`), of all `records` of the study."""
    if not used:
        return (Check(code="runs", title="Finished runs of both arms", outcome="unknown", text="there are none"),)
    pair = Pair(arms[0], arms[1], tuple(seeds), {}, {})
    return (
        _check_accuracy(accuracy),
        _check_above_chance(used, answers, arms),
        _check_repeats(len(seeds)),
        _check_work(used),
        _check_prompts(used, answers),
        _check_failed(used, answers),
        _check_repeatable(used, answers),
        _check_grade(used),
        check_plan(records, study),
        check_interleaving(used, pair),
        check_idle_drift(used),
        check_power_limit(used, pair),
        check_boundary(used),
    )


def _check_accuracy(accuracy: AccuracyDifference | None) -> Check:
    """Disclose whether the arms answer equally well: the verdict itself asks for the side that it needs."""
    title = "Equally accurate within the margin"
    if accuracy is None or accuracy.difference is None:
        why = accuracy.reason if accuracy is not None else None
        return _check(ACCURACY_CODE, title, "unknown", why or "the accuracy is unknown", blocking=False)
    found = f"candidate less baseline {accuracy.difference:+.1%}"
    if accuracy.interval is not None:
        found += f" ({accuracy.interval.level:.0%} CI {accuracy.interval.low:+.1%} to {accuracy.interval.high:+.1%})"
    if accuracy.margin is None:
        return _check(ACCURACY_CODE, title, "unknown", f"{found}; {accuracy.reason}", blocking=False)
    outcome: Outcome = "pass" if accuracy.outcome == "equivalent" else "fail"
    return _check(
        ACCURACY_CODE, title, outcome, f"{found}, margin {accuracy.margin:g}: {accuracy.outcome}", blocking=False
    )


def _check_above_chance(
    used: Sequence[RunRecord], answers: Mapping[str, Sequence[TaskResult]], arms: tuple[str, str]
) -> Check:
    """Check that both arms answer better than blindly over all kinds: two models that know nothing are equal, too.

    Tasks of another library, whose chance nobody tells, are no kinds that were asked here.
    """
    code, title = ABOVE_CHANCE, "Both arms answer better than blindly"
    told, blind = [], []
    for arm in arms:
        record = next(record for record in used if record.arm == arm)
        found = [find_accuracy(record, kind) for kind in name_kinds(record, answers.get(record.run_id, ()))]
        readings = [reading for reading in found if reading is not None]
        known = [(q.value, q.chance, q.stderr) for q in readings if None not in (q.value, q.chance, q.stderr)]
        if not found or len(known) < len(found):
            return _check(code, title, "unknown", f"the accuracy of {arm} or its chance is unknown in some kind")
        value, chance = (statistics.fmean(entry[part] or 0.0 for entry in known) for part in (0, 1))
        low = value - NORMAL_95 * math.hypot(*(entry[2] or 0.0 for entry in known)) / len(known)
        told.append(f"{arm} {value:.1%} (chance {chance:.1%})")
        blind += [arm] if low <= chance else []
    return _check(code, title, "fail" if blind else "pass", "; ".join(told))


def _check_repeats(n: int) -> Check:
    text = f"{n} repeats have runs of both arms; {MIN_SEEDS} are needed"
    return _check("repeats", "At least three repeats", "pass" if n >= MIN_SEEDS else "fail", text)


def _check_work(used: Sequence[RunRecord]) -> Check:
    """Check that both arms did the same work: the same kinds, batch, and limit on answers."""
    code, title = "same_work", "Same kinds, batches, limits of answers and load"
    found: dict[tuple[tuple[object, ...], ...], str] = {}
    for record in used:
        regimes = {w.regime for w in record.windows_of(*INFERENCE_PHASES) if w.regime and w.regime.kind != SWEEP}
        # how many tokens a prompt or a free answer has is the tokenizer's and the model's affair
        work: set[tuple[object, ...]] = {
            (r.kind, r.batch_size, r.num_output_tokens if r.answer_length == "fixed" else None, r.answer_length)
            for r in regimes
        }
        if (served := record.serving) is not None:
            work.add((served.api, served.concurrency, served.request_rate_per_s, served.burstiness))
        found.setdefault(tuple(sorted(work, key=str)), record.run_id)
    if set(found) == {()}:
        return _check(code, title, "unknown", "no window says how its work was done")
    if len(found) > 1:
        return _check(code, title, "fail", f"runs differ: {', '.join(map(repr, found.values()))}")
    return _check(code, title, "pass", "all runs agree in them")


def _check_prompts(used: Sequence[RunRecord], answers: Mapping[str, Sequence[TaskResult]]) -> Check:
    """Check that every run was asked the same questions; another text under the same number is refused before."""
    code, title = "same_questions", "Same questions in every run"
    asked = [{(row.kind, row.index) for row in answers.get(record.run_id, ())} for record in used]
    if not all(asked):
        return _check(code, title, "unknown", "some runs kept no answers")
    union, common = set.union(*asked), set.intersection(*asked)
    if union != common:
        text = f"{len(union) - len(common)} of {len(union)} questions were not asked in every run"
        return _check(code, title, "fail", text)
    return _check(code, title, "pass", f"{len(common)} questions, the same text in every run")


def _check_failed(used: Sequence[RunRecord], answers: Mapping[str, Sequence[TaskResult]]) -> Check:
    """Check that questions were answered at all: a failed one counts as wrong, and above 5% failures block."""
    code, title = "answered", f"At most {MAX_FAILED:.0%} of the questions failed"
    worst, text = 0.0, "every question was answered"
    for record in used:
        rows = answers.get(record.run_id, ())
        sent, failed = len(rows), sum(row.status == "failed" for row in rows)
        if record.serving is not None:
            sent, failed = record.serving.num_sent, record.serving.num_failed
        if sent and failed / sent > worst:
            worst, text = failed / sent, f"up to {failed / sent:.1%} failed ('{record.run_id}': {failed} of {sent})"
    blocking = worst > BLOCKING_FAILED
    return _check(code, title, "pass" if worst <= MAX_FAILED else "fail", text, blocking=blocking)


def _check_repeatable(used: Sequence[RunRecord], answers: Mapping[str, Sequence[TaskResult]]) -> Check:
    """Disclose how often an arm's repeats of a question gave another text."""
    code, title = "repeatable", "Repeats of a question gave the same answer"
    texts: dict[tuple[str, str, int], set[str | None]] = {}
    times: dict[tuple[str, str, int], int] = {}
    for record in used:
        for row in answers.get(record.run_id, ()):
            if row.status == "answered":
                key = record.arm, row.kind, row.index
                texts.setdefault(key, set()).add(row.answer)
                times[key] = times.get(key, 0) + 1
    again = [key for key, count in times.items() if count > 1]
    if not again:
        return _check(code, title, "unknown", "no question was answered twice", blocking=False)
    changed = sum(len(texts[key]) > 1 for key in again)
    outcome: Outcome = "pass" if changed == 0 else "fail"
    return _check(code, title, outcome, f"{changed} of {len(again)} changed", blocking=False)


def _check_grade(used: Sequence[RunRecord]) -> Check:
    """Disclose how energy was read; the verdict itself refuses grades C and D."""
    code, title = "sensor_grade", "Energy from a counter or sampled power (grade A or B)"
    sums = [sum_boundary(window.energy) for record in used for window in record.windows_of(*INFERENCE_PHASES)]
    grades = {energy.grade for energy in sums}
    known = sorted(grade for grade in grades if grade is not None)
    if None in grades or not known:
        return _check(code, title, "unknown", "some windows have no energy", blocking=False)
    domains = sorted({domain for energy in sums for domain in energy.domains})
    outcome: Outcome = "pass" if max(known) <= "B" else "fail"
    return _check(code, title, outcome, f"grade {', '.join(known)} over {', '.join(domains)}", blocking=False)


def _check(code: str, title: str, outcome: Outcome, text: str, *, blocking: bool = True) -> Check:
    return Check(code=code, title=title, outcome=outcome, text=text, blocking=blocking)
