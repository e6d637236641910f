"""How far the ratios of two studies lie apart, at one loss that both reached, and what their union says where allowed.

Each study's headline stands at a loss of its own, and a multiplier moves with the loss. So both are read off once more
at the lowest loss that all arms of both studies reached in every seed; that loss was promised by neither study.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.comparison.pooling import ALIASES, shared_seeds
from harness.analysis.comparison.results import Difference, Group, Pooled, Pooling, Side, SideRatio
from harness.analysis.comparison.seed_ratios import SEED_METRICS, read_repeat_ratios, read_seed_ratios
from harness.analysis.comparison.welch import estimate_ratio_between
from harness.analysis.inference.results import InferenceResult
from harness.analysis.multipliers import INTERPOLATION_WIDENING, Pair, build_pair, find_common_losses, match_at
from harness.analysis.points import RESOURCES
from harness.analysis.results import FrontierPoint, Resource, TaskRatio
from harness.analysis.stats import Estimate
from harness.analysis.tasks import compare_tasks
from harness.core.readings import Grade, worst_grade
from harness.core.study import MatchRule

COUNTED: tuple[Resource, ...] = ("flops", "tokens")
NO_SHARED_LOSS = "the studies have no loss in common that all their arms reached in every seed"
NOT_BY_REPEAT = "repeats do not show all that its interval must hold, or one of them is unknown"
NOT_BOTH_TRAINED = "no common loss: they did not both train their models"


def list_ratios(side: Side) -> list[SideRatio]:
    """Return the headline multipliers and the ratios of tasks of one study, as the study gives them."""
    result = side.judged.result
    if isinstance(result, InferenceResult):
        suite = result.suite
        simulated = suite is not None and any(arm.simulated for arm in suite.arms)
        return [_task_row(side, ratio, None, simulated) for ratio in (suite.ratios if suite is not None else ())]
    rows = [
        SideRatio(
            letter=side.letter,
            group="training",
            code=m.resource,
            loss=m.loss,
            estimate=m.estimate,
            interval=m.interval,
            n=m.n,
            grade=m.grade,
            simulated=m.simulated,
            run_ids=m.run_ids,
            lower_bound=m.lower_bound,
            reason=m.reason,
        )
        for m in result.headline
    ]
    simulated = any(task.simulated for task in result.arm_tasks)
    return rows + [_task_row(side, ratio, result.matched_loss, simulated) for ratio in result.task_ratios]


def _task_row(side: Side, ratio: TaskRatio, loss: float | None, simulated: bool) -> SideRatio:
    return SideRatio(
        letter=side.letter,
        group="task",
        code=ratio.metric,
        loss=loss,
        estimate=ratio.estimate,
        interval=ratio.interval,
        n=ratio.n,
        grade=ratio.grade,
        simulated=simulated and "energy" in ratio.metric,
        run_ids=ratio.run_ids,
        reason=ratio.reason,
    )


def compare_ratios(first: Side, second: Side, pooling: Sequence[Pooling]) -> list[Difference]:
    """Return how far apart each ratio lies that either study has; unknown with the reason where it cannot be said."""
    judged = {line.code: line for line in pooling}
    listed = [(row.group, row.code) for side in (first, second) for row in list_ratios(side)]
    pairs = [_pair_of(side) for side in (first, second)]
    loss, no_loss = find_shared_loss(pairs)
    found = []
    for group, code in dict.fromkeys(listed):
        line = judged.get(ALIASES.get(code, code))
        blocked = "; ".join(line.against_comparing) if line is not None and not line.may_compare else None
        if blocked is None and pairs == [None, None]:
            found.append(_compare_answered(first, second, code))
            continue
        blocked = blocked or no_loss
        if blocked is not None or loss is None:
            found.append(_unknown(first, second, group, code, blocked or NO_SHARED_LOSS))
        elif group == "training":
            found.append(_compare_multipliers(first, second, pairs, code, loss))
        else:
            found.append(_compare_tasks(first, second, pairs, code, loss))
    return found


def find_shared_loss(pairs: Sequence[Pair | None]) -> tuple[float | None, str | None]:
    """Return the lowest loss (bits per byte) that every arm of every study reached in every seed, or why there is none.

    ``None`` in `pairs` stands for a study that trained nothing.
    """
    spans = []
    for pair in pairs:
        if pair is None:
            return None, NOT_BOTH_TRAINED
        span = find_common_losses(pair) if pair.seeds else None
        if span is None:
            return None, "a study has no loss that both its arms reached in every seed"
        spans.append(span)
    low, high = max(span[0] for span in spans), min(span[1] for span in spans)
    return (low, None) if low <= high else (None, NO_SHARED_LOSS)


def pool_counted(first: Side, second: Side, pooling: Sequence[Pooling]) -> list[Pooled]:
    """Return the counted multipliers over the runs of both studies, at the loss that both reached.

    Only where nothing stands against it and the seeds differ: a seed that ran twice is one seed.
    """
    judged = {line.code: line for line in pooling}
    pairs = [_pair_of(side) for side in (first, second)]
    loss, no_loss = find_shared_loss(pairs)
    rows = []
    for code in COUNTED:
        line = judged.get(code)
        reason = no_loss
        multiplier = None
        if line is None or not line.may_pool:
            reason = "not pooled, as said above"
        elif seeds := shared_seeds(first, second):
            reason = (
                f"seeds {', '.join(map(str, seeds))} ran in both studies: a repeat of a seed is no new seed, and the "
                "interval would be too narrow"
            )
        elif loss is not None:
            multiplier = match_at(_unite(first, second), code, loss)
            reason = multiplier.reason
        rows.append(Pooled(letters=(first.letter, second.letter), code=code, multiplier=multiplier, reason=reason))
    return rows


def _unite(first: Side, second: Side) -> Pair:
    points = [point for side in (first, second) for point in _points_of(side)]
    result = first.judged.result
    return build_pair(points, result.baseline_arm, result.candidate_arm, _rule(first).interval)


def _points_of(side: Side) -> tuple[FrontierPoint, ...]:
    result = side.judged.result
    return () if isinstance(result, InferenceResult) else result.points


def _pair_of(side: Side) -> Pair | None:
    result = side.judged.result
    if isinstance(result, InferenceResult):
        return None
    return build_pair(
        result.points, result.baseline_arm, result.candidate_arm, _rule(side).interval, decay=result.decay
    )


def _rule(side: Side) -> MatchRule:
    study = side.judged.content.study
    return study.match if study is not None else MatchRule()


def _compare_multipliers(first: Side, second: Side, pairs: Sequence[Pair | None], code: str, loss: float) -> Difference:
    resource = next(name for name in RESOURCES if name == code)
    found = [match_at(pair, resource, loss) for pair in pairs if pair is not None]
    reasons = [f"{side.letter}: {m.reason}" for side, m in zip((first, second), found, strict=True) if not m.estimate]
    values = [[value for _, value in m.per_seed] for m in found]
    grades: list[Grade] = [m.grade for m in found if m.grade is not None]
    return _difference(
        (first, second),
        ("training", code),
        loss,
        values,
        [m.estimate for m in found],
        "; ".join(reasons) or None,
        grades=grades,
        simulated=any(m.simulated for m in found),
        run_ids=[run for m in found for run in m.run_ids],
        widening=INTERPOLATION_WIDENING,
    )


def _compare_tasks(first: Side, second: Side, pairs: Sequence[Pair | None], code: str, loss: float) -> Difference:
    values: list[list[float]] = []
    rows: list[TaskRatio] = []
    simulated = False
    for side, pair in zip((first, second), pairs, strict=True):
        if pair is None:
            return _unknown(first, second, "task", code, NOT_BOTH_TRAINED)
        records = {record.run_id: record for record in side.judged.content.records}
        tasks, ratios = compare_tasks(pair, records, loss)
        row = next((ratio for ratio in ratios if ratio.metric == code), None)
        if row is None:
            return _unknown(first, second, "task", code, f"{side.letter} has no such ratio at this loss")
        rows.append(row)
        simulated = simulated or any(task.simulated for task in tasks)
        values.append(read_seed_ratios(pair, records, loss, code) if row.estimate is not None else [])
    reasons = [f"{s.letter}: {r.reason}" for s, r in zip((first, second), rows, strict=True) if r.estimate is None]
    if not reasons and code not in SEED_METRICS:
        reasons.append("it is not read off seed by seed")
    grades: list[Grade] = [row.grade for row in rows if row.grade is not None]
    return _difference(
        (first, second),
        ("task", code),
        loss,
        values,
        [row.estimate for row in rows],
        "; ".join(reasons) or None,
        grades=grades,
        simulated=simulated and "energy" in code,
        run_ids=[run for row in rows for run in row.run_ids],
    )


def _compare_answered(first: Side, second: Side, code: str) -> Difference:
    """Return how far one ratio of two inference studies lies apart, repeat by repeat."""
    rows = [next(row for row in list_ratios(side) if row.code == code) for side in (first, second)]
    reasons = [f"{row.letter}: {row.reason}" for row in rows if row.estimate is None]
    values = [read_repeat_ratios(side, code) for side in (first, second)] if not reasons else []
    if not reasons and not all(values):
        reasons.append(NOT_BY_REPEAT)
    grades: list[Grade] = [row.grade for row in rows if row.grade is not None]
    return _difference(
        (first, second),
        ("task", code),
        None,
        values,
        [row.estimate for row in rows],
        "; ".join(reasons) or None,
        grades=grades,
        simulated=any(row.simulated for row in rows),
        run_ids=[run for row in rows for run in row.run_ids],
    )


def _difference(  # noqa: PLR0917 - the parts of one row
    sides: tuple[Side, Side],
    what: tuple[Group, str],
    loss: float | None,
    values: Sequence[Sequence[float]],
    estimates: Sequence[float | None],
    reason: str | None,
    *,
    grades: Sequence[Grade],
    simulated: bool,
    run_ids: Sequence[str],
    widening: float = 1.0,
) -> Difference:
    ratio = Estimate(value=None, interval=None, n=0, reason=reason)
    if reason is None:
        ratio = estimate_ratio_between(values[0], values[1], widening=widening)
    return Difference(
        letters=(sides[0].letter, sides[1].letter),
        group=what[0],
        code=what[1],
        loss=loss,
        first=estimates[0],
        second=estimates[1],
        ratio=ratio,
        grade=worst_grade(*grades) if grades and "energy" in what[1] else None,
        simulated=simulated,
        run_ids=tuple(sorted(set(run_ids))),
        reason=ratio.reason,
    )


def _unknown(first: Side, second: Side, group: Group, code: str, reason: str) -> Difference:
    return Difference(
        letters=(first.letter, second.letter),
        group=group,
        code=code,
        loss=None,
        first=None,
        second=None,
        ratio=Estimate(value=None, interval=None, n=0, reason=reason),
        grade=None,
        simulated=False,
        run_ids=(),
        reason=reason,
    )
