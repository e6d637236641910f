"""Candidate over baseline for one task, seed by seed or repeat by repeat, as the comparison of each study reads it."""

from __future__ import annotations

from collections.abc import Mapping

from harness.analysis.comparison.results import Side
from harness.analysis.inference.answered import SUITE, Answered, measure_answered
from harness.analysis.inference.seeds import pick_repeats
from harness.analysis.match import keep_planned
from harness.analysis.multipliers import Pair
from harness.analysis.task_costs import measure_task, weigh
from harness.analysis.tasks import choose_runs
from harness.core.records import RunRecord

_TASK_VALUES = {
    "energy_per_task": "energy_j",
    "net_energy_per_task": "net_energy_j",
    "seconds_per_task": "seconds",
    "flops_per_task": "flops",
}
SEED_METRICS = (*_TASK_VALUES, "energy_per_correct")


def read_repeat_ratios(side: Side, code: str) -> list[float]:
    """Return candidate over baseline for one task of the suite, repeat by repeat; empty where one is unknown."""
    content, result = side.judged.content, side.judged.result
    kept, _ = keep_planned(content.records, content.study, [])
    repeats = pick_repeats([record for record in kept if record.status == "finished"])
    arms = [repeats.get(arm, {}) for arm in (result.baseline_arm, result.candidate_arm)]
    ratios = []
    for seed in sorted(set(arms[0]) & set(arms[1])):
        runs = [arm[seed] for arm in arms]
        costs = [_cost(measure_answered(run, content.answers.get(run.run_id, ()), SUITE), code) for run in runs]
        if costs[0] is None or costs[1] is None or min(costs[0], costs[1]) <= 0:
            return []
        ratios.append(costs[1] / costs[0])
    return ratios


def _cost(one: Answered, code: str) -> float | None:
    if code in _TASK_VALUES:
        value: float | None = getattr(one, _TASK_VALUES[code])
        return value
    # per correct answer an interval must hold the error of the accuracy too, which repeats of the same questions hide
    per = {"energy_per_token": one.tokens, "energy_per_byte": one.bytes}.get(code)
    return one.energy_j / per if one.energy_j is not None and per else None


def read_seed_ratios(pair: Pair, records: Mapping[str, RunRecord], loss: float, code: str) -> list[float]:
    """Return candidate over baseline for one task, seed by seed, read off at `loss` as `compare_tasks` does."""
    chosen = choose_runs(pair, loss)
    if chosen is None:
        return []
    ratios = []
    for seed in pair.seeds:
        costs: dict[str, float | None] = {}
        for arm in pair.arms:
            runs = [(measure_task(records[point.run_id]), weight) for point, weight in chosen[arm][1][seed]]
            name = _TASK_VALUES.get(code, "energy_j")
            cost = weigh([(getattr(task, name), weight) for task, weight in runs])
            if code == "energy_per_correct":
                accuracy = weigh([(task.accuracy, weight) for task, weight in runs])
                cost = cost / accuracy if cost is not None and accuracy else None
            costs[arm] = cost
        baseline, candidate = costs[pair.baseline], costs[pair.candidate]
        if baseline is None or candidate is None or min(baseline, candidate) <= 0:
            return []
        ratios.append(candidate / baseline)
    return ratios
