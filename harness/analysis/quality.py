"""Quality beyond the loss: equivalence in loss and in task accuracy, and the comparison matched by accuracy instead."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from harness.analysis.equivalence import check_equivalence
from harness.analysis.multipliers import Pair, build_pair, find_common_losses, match_at
from harness.analysis.points import RESOURCES, build_points
from harness.analysis.results import AccuracyMatch, BudgetGap, Equivalence
from harness.analysis.task_costs import ACCURACY_METRIC, average_accuracy, list_kinds
from harness.analysis.tasks import accuracies_at, compare_tasks
from harness.core.records import QualityReading, RunRecord
from harness.core.study import MatchRule

# Below this many binomial standard errors of one run between an arm's worst accuracy and the matched one, which run
# reached it first is chance.
MIN_SPAN = 4.0


def check_qualities(
    pair: Pair,
    records: Mapping[str, RunRecord],
    loss: float | None,
    gaps: Sequence[BudgetGap],
    rule: MatchRule,
) -> tuple[Equivalence, ...]:
    """Return whether the arms are equally good: in accuracy at the matched loss, in loss at the largest equal FLOPs."""
    return (_check_accuracy(pair, records, loss, rule), _check_loss(pair, gaps, rule))


def _check_accuracy(pair: Pair, records: Mapping[str, RunRecord], loss: float | None, rule: MatchRule) -> Equivalence:
    sides: dict[str, list[float]] = {arm: [] for arm in pair.arms}
    run_ids: set[str] = set()
    missing = "there is no matched loss" if loss is None else None
    if loss is not None:
        for arm in pair.arms:
            found, ids = accuracies_at(pair, records, arm, loss)
            run_ids |= ids
            sides[arm] = [value for value in found if value is not None]
            if len(sides[arm]) < len(pair.seeds):
                missing = f"the accuracy is unknown in some run of {arm}"
    return check_equivalence(
        sides[pair.baseline],
        sides[pair.candidate],
        rule.margin_accuracy,
        pair.pairing,
        what="task accuracy at the matched loss",
        unit="share of answers that are correct",
        run_ids=sorted(run_ids),
        missing=missing,
    )


def _check_loss(pair: Pair, gaps: Sequence[BudgetGap], rule: MatchRule) -> Equivalence:
    gap = next((gap for gap in reversed(gaps) if gap.resource == "flops"), None)
    reached = None
    missing: str | None = "the arms have no budget of training FLOPs in common"
    if gap is not None:
        missing = gap.reason if gap.gap is None else None
        reached = [[pair.frontiers[arm, seed].loss_at(gap.budget, "flops") for seed in pair.seeds] for arm in pair.arms]
    sides = [[found.loss for found in arm if found is not None] for arm in reached] if reached else [[], []]
    at = f" ({gap.budget:.3g} FLOPs)" if gap is not None else ""
    return check_equivalence(
        sides[0],
        sides[1],
        rule.margin_bits_per_byte,
        pair.pairing,
        what=f"loss at the largest equal training compute{at}",
        unit="bits per byte",
        run_ids=gap.run_ids if gap is not None else (),
        missing=missing,
    )


def match_by_accuracy(records: Sequence[RunRecord], pair: Pair) -> AccuracyMatch:
    """Return multipliers and task ratios where both arms make equally many mistakes, in place of equal loss.

    Error rates of a few hundred examples are coarse and follow no curve, so brackets are interpolated by chords; where
    the common accuracies span less than `MIN_SPAN` standard errors of a run, there is no number.
    """
    judged = [_with_suite_accuracy(record) for record in records]
    points, _ = build_points(judged, ACCURACY_METRIC)
    own = build_pair(points, pair.baseline, pair.candidate, pair.pairing, decay=0.0)
    common = find_common_losses(own) if own.seeds else None
    reason = None
    if not own.seeds:
        reason = "no seed has a known accuracy in runs of both arms"
    elif common is None:
        reason = "the arms have no accuracy in common that both reached in every seed"
    else:
        reason = _find_coarse(judged, common)
    if common is None or reason is not None:
        return AccuracyMatch(error_rate=None, common=common, headline=(), arm_tasks=(), task_ratios=(), reason=reason)
    error_rate = common[0]
    by_id = {record.run_id: record for record in records}
    tasks, ratios = compare_tasks(own, by_id, error_rate)
    return AccuracyMatch(
        error_rate=error_rate,
        common=common,
        headline=tuple(match_at(own, resource, error_rate) for resource in RESOURCES),
        arm_tasks=tasks,
        task_ratios=ratios,
    )


def _with_suite_accuracy(record: RunRecord) -> RunRecord:
    """Return the record with one accuracy, the mean over its kinds of tasks; as it is where it has none."""
    kinds = list_kinds(record)
    if not kinds:
        return record
    suite_accuracy = average_accuracy(record, kinds)
    others = [q for q in record.quality if q.metric != ACCURACY_METRIC]
    kept = next((q for q in record.quality if q.task in kinds and q.higher_is_better), None)
    if kept is None:
        return record
    suite = QualityReading(
        metric=ACCURACY_METRIC,
        value=suite_accuracy.value,
        stderr=suite_accuracy.stderr,
        num_samples=suite_accuracy.num_tasks,
        higher_is_better=True,
        task="suite",
        task_version=kept.task_version,
        data_sha256=kept.data_sha256,
        reason=None if suite_accuracy.value is not None else "the accuracy of some kind is unknown",
    )
    return dataclasses.replace(record, quality=(*others, suite))


def _find_coarse(records: Sequence[RunRecord], common: tuple[float, float]) -> str | None:
    """Return why accuracies between these error rates cannot be told apart by the examples that were asked."""
    asked = [q.num_samples for r in records for q in r.quality if q.metric == ACCURACY_METRIC and q.num_samples > 0]
    if not asked:
        return "no run says how many tasks it answered"
    error, num_tasks = common[0], min(asked)
    # one correct answer at least, so that a run without any still has an error
    share = min(max(error, 1 / num_tasks), 1 - 1 / num_tasks)
    if not 0 < share < 1:
        return f"a run answered only {num_tasks} task, which tells no accuracies apart"
    stderr = math.sqrt(share * (1 - share) / num_tasks)
    span = (common[1] - common[0]) / stderr
    if span >= MIN_SPAN:
        return None
    return (
        f"accuracies that both arms have lie between {1 - common[1]:.1%} and {1 - common[0]:.1%}, {span:.1f} standard "
        f"errors of a run's {num_tasks} answers; below {MIN_SPAN:g} it is chance which run gets there first"
    )
