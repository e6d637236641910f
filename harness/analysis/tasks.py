"""Energy, time and FLOPs of one task at the matched loss, from the windows of prefill and decode.

Where windows carry a regime the task of a study is its suite: every kind of task weighs the same.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from harness.analysis.correct import explain_few_correct
from harness.analysis.frontier import LOSS_TOLERANCE
from harness.analysis.multipliers import Pair
from harness.analysis.results import ArmTask, FrontierPoint, KindTasks, TaskMetric, TaskRatio
from harness.analysis.stats import Pairing, estimate_ratio_of
from harness.analysis.task_costs import (
    VALUES,
    RunTask,
    Values,
    find_accuracy,
    list_kinds,
    measure_task,
    read_accuracy,
    weigh,
)
from harness.analysis.task_devices import compare_joules
from harness.core.readings import Grade, worst_grade
from harness.core.records import RunRecord

METRICS: tuple[TaskMetric, ...] = (
    "energy_per_task",
    "energy_per_correct",
    "flops_per_task",
    "seconds_per_task",
    "net_energy_per_task",
)
_ENERGY_METRICS = ("energy_per_task", "energy_per_correct", "net_energy_per_task")

# What a task of a kind, or of the suite, cost in one run.
MeasureTask = Callable[[RunRecord, str | None], RunTask]
# The runs of one arm that answer for it: its size, and in each seed runs with weights that sum to one.
Chosen = tuple[str, Mapping[int, Sequence[tuple[FrontierPoint, float]]]]


def compare_tasks(
    pair: Pair, records: Mapping[str, RunRecord], loss: float, measure: MeasureTask = measure_task
) -> tuple[tuple[ArmTask, ...], tuple[TaskRatio, ...]]:
    """Return what a task costs each arm at `loss`, and the ratios candidate over baseline, paired by seed.

    Each arm answers with the size that is cheapest in training FLOPs at `loss` in most seeds. Inside a seed values are
    interpolated linearly in loss between the two runs of that size around `loss`, or taken from the nearest run.
    `measure` says what a task of a kind cost in one run; another one books its energy in another way.
    """
    chosen = choose_runs(pair, loss)
    return compare_chosen(pair, records, chosen, measure=measure) if chosen is not None else ((), ())


def choose_runs(pair: Pair, loss: float) -> dict[str, Chosen] | None:
    """Return the runs that answer for each arm at `loss`; ``None`` where an arm does not reach it."""
    chosen: dict[str, Chosen] = {}
    for arm in pair.arms:
        size = choose_size(pair, arm, loss)
        if size is None:
            return None
        chosen[arm] = (
            size,
            {seed: weigh_runs(pair.frontiers[arm, seed].points, size, loss) for seed in pair.seeds},
        )
    return chosen


def compare_chosen(
    pair: Pair,
    records: Mapping[str, RunRecord],
    chosen: Mapping[str, Chosen],
    kind: str | None = None,
    *,
    measure: MeasureTask = measure_task,
) -> tuple[tuple[ArmTask, ...], tuple[TaskRatio, ...]]:
    """Return what a task (of `kind`, or of the whole suite) costs the chosen runs of each arm, and the ratios."""
    arms: list[ArmTask] = []
    by_seed: dict[str, dict[int, Values]] = {}
    grades: list[Grade | None] = []
    domains: set[tuple[str, ...]] = set()
    for arm in pair.arms:
        size, weighed = chosen[arm]
        runs = {
            seed: [(point, weight, measure(records[point.run_id], kind)) for point, weight in weighed[seed]]
            for seed in pair.seeds
        }
        by_seed[arm] = {
            seed: {name: weigh([(getattr(task, name), weight) for _, weight, task in found]) for name in VALUES}
            for seed, found in runs.items()
            if found
        }
        arms.append(_summarise(arm, size, [entry for found in runs.values() for entry in found], by_seed[arm]))
        grades.append(arms[-1].energy_grade)
        domains |= {task.domains for found in runs.values() for _, _, task in found}
    mixed = len(domains) > 1
    ratios = tuple(
        _compare(metric, arms[0], arms[1], by_seed, grades, pairing=pair.pairing, mixed_boundary=mixed)
        for metric in METRICS
    )
    return tuple(arms), ratios


def compare_kinds(pair: Pair, records: Mapping[str, RunRecord], chosen: Mapping[str, Chosen]) -> tuple[KindTasks, ...]:
    """Return cost and ratios of each kind of task that all chosen runs answered; empty without kinds."""
    runs = [records[point.run_id] for _, weighed in chosen.values() for found in weighed.values() for point, _ in found]
    kinds = set.intersection(*(set(list_kinds(run)) for run in runs)) if runs else set()
    rows = []
    for kind in sorted(kinds):
        tasks, ratios = compare_chosen(pair, records, chosen, kind)
        readings = [q for run in runs if (q := find_accuracy(run, kind)) is not None]
        chances = {q.chance for q in readings}
        chance = max((c for c in chances if c is not None), default=None) if None not in chances else None
        joules = compare_joules(tasks, records, chosen, kind)
        rows.append(KindTasks(kind=kind, arm_tasks=tasks, task_ratios=ratios, chance=chance, task_joules=joules))
    return tuple(rows)


def accuracies_at(
    pair: Pair, records: Mapping[str, RunRecord], arm: str, loss: float
) -> tuple[list[float | None], set[str]]:
    """Return the accuracy of `arm` at `loss` for each seed (a share), and the runs that it was read off."""
    size = choose_size(pair, arm, loss)
    if size is None:
        return [None] * len(pair.seeds), set()
    values: list[float | None] = []
    run_ids: set[str] = set()
    for seed in pair.seeds:
        runs = weigh_runs(pair.frontiers[arm, seed].points, size, loss)
        run_ids |= {point.run_id for point, _ in runs}
        known = [(read_accuracy(records[point.run_id]), weight) for point, weight in runs]
        values.append(weigh(known) if known else None)
    return values, run_ids


def choose_size(pair: Pair, arm: str, loss: float) -> str | None:
    """Return the size that is cheapest in training FLOPs at `loss` in most seeds (a tie: the smaller size)."""
    reached = [pair.frontiers[arm, seed].cost_at(loss, "flops") for seed in pair.seeds]
    votes = Counter(found.size for found in reached if found is not None)
    ladder = pair.ladders[arm]
    return min(votes, key=lambda size: (-votes[size], ladder.index(size)), default=None)


def weigh_runs(points: Sequence[FrontierPoint], size: str, loss: float) -> list[tuple[FrontierPoint, float]]:
    """Return the runs of `size` around `loss` with weights that sum to one; the nearest run where none bracket it.

    Of runs with one loss the cheapest in training FLOPs counts, as on the frontier.
    """
    own = sorted(
        (point for point in points if point.size == size),
        key=lambda point: (abs(point.loss - loss), point.flops, point.run_id),
    )
    if not own:
        return []
    above = [point for point in own if point.loss > loss + LOSS_TOLERANCE]
    below = [point for point in own if point.loss < loss - LOSS_TOLERANCE]
    if abs(own[0].loss - loss) <= LOSS_TOLERANCE or not above or not below:
        return [(own[0], 1.0)]
    weight = (above[0].loss - loss) / (above[0].loss - below[0].loss)
    return [(above[0], 1 - weight), (below[0], weight)]


def _summarise(
    arm: str, size: str, runs: Sequence[tuple[FrontierPoint, float, RunTask]], by_seed: Mapping[int, Values]
) -> ArmTask:
    means = {name: weigh([(values[name], 1 / len(by_seed)) for values in by_seed.values()]) for name in VALUES}
    grades: list[Grade] = [task.grade for _, _, task in runs if task.grade is not None]
    num_correct = sum(task.num_correct for _, _, task in runs)
    energy, accuracy = means["energy_j"], means["accuracy"]
    reason = None
    if energy is None:
        reason = "the energy of a task is unknown"
    elif (short := explain_few_correct(num_correct)) is not None:
        reason = short
    elif not accuracy:
        reason = "no answer was correct at this loss" if accuracy is not None else "the accuracy is unknown"
    # Binomial errors of the runs, carried through the weights; the same lines are asked in every run.
    errors = [(task.accuracy_stderr, weight) for _, weight, task in runs]
    stderr = None
    if accuracy is not None and all(error is not None for error, _ in errors):
        stderr = sum((error * weight) ** 2 for error, weight in errors if error is not None) ** 0.5 / len(by_seed)
    return ArmTask(
        arm=arm,
        size=size,
        energy_per_task_j=energy,
        energy_per_correct_j=energy / accuracy if energy is not None and accuracy and reason is None else None,
        flops_per_task=means["flops"],
        seconds_per_task=means["seconds"],
        prefill_energy_per_task_j=means["prefill_j"],
        decode_energy_per_task_j=means["decode_j"],
        accuracy=accuracy,
        accuracy_stderr=stderr,
        num_tasks=sum(task.num_tasks for _, _, task in runs),
        num_correct=num_correct,
        loss=statistics.fmean(sum(p.loss * w for p, w, _ in runs if p.seed == seed) for seed in by_seed),
        energy_grade=worst_grade(*grades) if grades else None,
        run_ids=tuple(sorted(task.run_id for _, _, task in runs)),
        energy_per_correct_reason=reason,
        simulated=any(task.simulated for _, _, task in runs),
    )


def _compare(
    metric: TaskMetric,
    baseline: ArmTask,
    candidate: ArmTask,
    by_seed: Mapping[str, Mapping[int, Values]],
    grades: Sequence[Grade | None],
    *,
    pairing: Pairing,
    mixed_boundary: bool,
) -> TaskRatio:
    reason = None
    if metric in _ENERGY_METRICS and mixed_boundary:
        reason = "the runs differ in which domains their energy covers, so it does not compare"
    elif metric == "energy_per_correct":
        short = [task for task in (baseline, candidate) if task.energy_per_correct_reason]
        reason = "; ".join(f"{task.arm}: {task.energy_per_correct_reason}" for task in short) or None
    sides: tuple[list[float], list[float]] = ([], [])
    seeds = sorted(set(by_seed[baseline.arm]) & set(by_seed[candidate.arm]))
    for seed in seeds:
        costs = [_cost(by_seed[arm][seed], metric) for arm in (candidate.arm, baseline.arm)]
        if costs[0] is not None and costs[1] is not None and costs[0] > 0 and costs[1] > 0:
            sides[0].append(costs[0])
            sides[1].append(costs[1])
        elif reason is None:
            reason = f"{metric} is unknown or not above zero in seed {seed}"
    estimate = estimate_ratio_of(sides[0], sides[1], pairing) if reason is None else None
    known = [grade for grade in grades if grade is not None]
    return TaskRatio(
        metric=metric,
        estimate=estimate.value if estimate else None,
        interval=estimate.interval if estimate else None,
        n=estimate.n if estimate else 0,
        grade=worst_grade(*known) if metric in _ENERGY_METRICS and known else None,
        run_ids=tuple(sorted({*baseline.run_ids, *candidate.run_ids})),
        reason=reason or (estimate.reason if estimate else None),
    )


def _cost(values: Values, metric: TaskMetric) -> float | None:
    if metric == "energy_per_correct":
        energy, accuracy = values["energy_j"], values["accuracy"]
        return energy / accuracy if energy is not None and accuracy else None
    names = {"energy_per_task": "energy_j", "net_energy_per_task": "net_energy_j"}
    return values[names.get(metric, metric.removesuffix("_per_task"))]
