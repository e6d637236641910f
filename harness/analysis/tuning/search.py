"""A search of learning rate (and batch) read back: trials ranked by loss, what was chosen, how sure, and its cost.

A diverged or failed trial is listed and never chosen. With one seed a choice may be noise, and the result says so.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from harness.analysis.boundary import sum_boundary
from harness.analysis.divergence import has_diverged
from harness.analysis.points import LOSS_METRIC
from harness.analysis.pooling import read_config, require_poolable
from harness.analysis.results import Interval
from harness.analysis.stats import estimate_mean
from harness.analysis.tuning.findings import check_equal_budgets, find_problems
from harness.analysis.tuning.results import ArmChoice, Search, SearchCost, Trial, TrialState, TuningResult
from harness.core.errors import RecordError
from harness.core.readings import Grade, worst_grade
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.core.study import StudyInfo, load_study


def load_tuning(root: Path | str) -> TuningResult:
    """Rank the trials in the store at `root`.

    Raises:
        RecordError: there is no record, the study there compares instead of tuning, or records must not be pooled.
    """
    records, unreadable = Store(root).load_records()
    return build_tuning(records, load_study(Path(root)), unreadable)


def build_tuning(records: Sequence[RunRecord], study: StudyInfo | None, unreadable: Sequence[str] = ()) -> TuningResult:
    """Rank the trials of every arm and size by mean validation loss over seeds (bits per byte).

    Without a study file (comma lists make single runs without one) every record is a trial.

    Raises:
        RecordError: the study compares arms instead of tuning, or finished records must not be pooled.
    """
    if study is not None and study.purpose != "tuning":
        raise RecordError(
            f"study '{study.study}' compares arms and holds no search; type: isojoule match FOLDER for it, or make a "
            "search: isojoule run -m experiment=tune_lr"
        )
    planned = {run.run_id: (run.arm, run.size) for run in study.runs} if study is not None else {}
    kept = [record for record in records if record.run_id in planned] if planned else list(records)
    require_poolable([record for record in kept if record.status == "finished"])
    missing = [planned[run_id] for run_id in sorted(set(planned) - {record.run_id for record in kept})]
    cells = sorted({(record.arm, record.size) for record in kept} | set(planned.values()))
    searches = tuple(
        _build_search(arm, size, [r for r in kept if (r.arm, r.size) == (arm, size)], missing.count((arm, size)))
        for arm, size in cells
    )
    expected = (study.baseline_arm, study.candidate_arm) if study is not None else ()
    return TuningResult(
        study=study.study if study is not None else (kept[0].study if kept else ""),
        command=study.command if study is not None else None,
        searches=searches,
        arms=tuple(_choose_for_arm(arm, searches) for arm in sorted({search.arm for search in searches})),
        equal_budgets=check_equal_budgets(searches, expected),
        findings=find_problems(searches, expected, unreadable, len(records) - len(kept)),
    )


def refuse_tuning(study: StudyInfo | None) -> None:
    """Refuse to match the trials of a search as if they were a comparison.

    Raises:
        RecordError: the study's purpose is tuning; the message names the verb that reads it.
    """
    if study is not None and study.purpose == "tuning":
        raise RecordError(
            f"study '{study.study}' is a search: its trials differ in learning rate or batch on purpose, so there is "
            "nothing to match; type: isojoule tune FOLDER"
        )


def _build_search(arm: str, size: str, records: Sequence[RunRecord], num_missing: int) -> Search:
    groups: dict[tuple[float, int | None], list[RunRecord]] = {}
    for record in records:
        rate = read_config(record, "train.learning_rate")
        if isinstance(rate, (int, float)):
            groups.setdefault((float(rate), read_config(record, "train.batch_size")), []).append(record)
    trials = tuple(
        _build_trial(rate, batch, groups[rate, batch])
        for rate, batch in sorted(groups, key=lambda key: (key[0], key[1] or 0))
    )
    seeds = {record.seed for record in records}
    ranked = sorted(
        (t for t in trials if t.state == "finished" and {seed for seed, _ in t.losses} == seeds), key=_known_loss
    )
    reason = None
    if num_missing:
        reason = f"{num_missing} planned runs have no record; run the same command again"
    elif not ranked:
        reason = "no trial finished with a loss in every seed"
    chosen = ranked[0] if reason is None else None
    next_best = ranked[1] if chosen is not None and len(ranked) > 1 else None
    gap, interval = _estimate_gap(chosen, next_best)
    tokens = {trial.tokens for trial in trials if trial.tokens is not None}
    batches = tuple(sorted({trial.batch_size for trial in trials if trial.batch_size is not None}))
    flops = [r.path.flops for r in records if r.path is not None]
    return Search(
        arm=arm,
        size=size,
        trials=trials,
        chosen=chosen,
        reason=reason,
        rate_interior=_is_interior(chosen, trials, _rate_of, _batch_of),
        batch_interior=_is_interior(chosen, trials, _batch_of, _rate_of) if len(batches) > 1 else None,
        next_best=next_best,
        gap=gap,
        gap_interval=interval,
        is_clear=None if interval is None else interval.low > 0,
        learning_rates=tuple(sorted({trial.learning_rate for trial in trials})),
        batch_sizes=batches,
        num_seeds=len(seeds),
        tokens_per_trial=tokens.pop() if len(tokens) == 1 else None,
        flops_per_trial=statistics.median(flops) if flops else None,
        num_missing=num_missing,
        cost=_sum_cost(records),
    )


def _build_trial(rate: float, batch: int | None, records: Sequence[RunRecord]) -> Trial:
    state, reason = _judge_trial(records)
    losses = [(r.seed, loss) for r in records if (loss := r.quality_value(LOSS_METRIC)) is not None]
    values = [loss for _, loss in losses]
    cost = _sum_cost(records)
    tokens = {record.path.tokens for record in records if record.path is not None}
    return Trial(
        learning_rate=rate,
        batch_size=batch,
        state=state,
        reason=reason,
        losses=tuple(sorted(losses)),
        mean_loss=statistics.fmean(values) if values else None,
        spread=statistics.stdev(values) if len(values) > 1 else None,
        tokens=tokens.pop() if len(tokens) == 1 else None,
        flops=cost.flops,
        duration_s=cost.duration_s,
        energy_j=cost.energy_j,
        energy_grade=cost.energy_grade,
        run_ids=tuple(sorted(record.run_id for record in records)),
    )


def _judge_trial(records: Sequence[RunRecord]) -> tuple[TrialState, str | None]:
    """Return the state of a trial over its seeds: one that diverged or failed decides for all."""
    for record in records:
        reason = has_diverged(record)
        if reason is not None:
            return "diverged", f"'{record.run_id}': {reason}"
    for record in records:
        if record.status == "failed":
            return "failed", f"'{record.run_id}': {record.error or 'no error was recorded'}"
        if record.quality_value(LOSS_METRIC) is None:
            return "failed", f"'{record.run_id}': it has no {LOSS_METRIC}"
    return "finished", None


def _sum_cost(records: Sequence[RunRecord]) -> SearchCost:
    paths = [record.path for record in records if record.path is not None]
    num_unknown = len(records) - len(paths)
    energies = [sum_boundary(path.energy) for path in paths]
    joules = [energy.energy_j for energy in energies if energy.energy_j is not None]
    grades: list[Grade] = [energy.grade for energy in energies if energy.grade is not None]
    energy_known = bool(records) and len(joules) == len(records)
    flops, duration_s = sum(path.flops for path in paths), sum(path.duration_s for path in paths)
    whole = bool(records) and not num_unknown
    return SearchCost(
        num_runs=len(records),
        num_unknown=num_unknown,
        flops=flops if whole else None,
        duration_s=duration_s if whole else None,
        energy_j=sum(joules) if energy_known else None,
        energy_grade=worst_grade(*grades) if energy_known else None,
        known_flops=flops,
        known_duration_s=duration_s,
    )


def _estimate_gap(chosen: Trial | None, next_best: Trial | None) -> tuple[float | None, Interval | None]:
    """Return the next best trial's mean loss minus the chosen one's, and its t interval over paired seeds.

    The interval does not know that the two were picked for being best, so it is on the narrow side.
    """
    if chosen is None or next_best is None:
        return None, None
    other = dict(next_best.losses)
    gaps = [other[seed] - loss for seed, loss in chosen.losses]
    return statistics.fmean(gaps), estimate_mean(gaps).interval


def _is_interior(
    chosen: Trial | None,
    trials: Iterable[Trial],
    axis: Callable[[Trial], float],
    other: Callable[[Trial], float],
) -> bool | None:
    """Return whether lower and higher values were judged along `axis`; ``None`` where only a failed one lies there."""
    if chosen is None:
        return None
    line = [trial for trial in trials if other(trial) == other(chosen)]
    below = {trial.state for trial in line if axis(trial) < axis(chosen)}
    above = {trial.state for trial in line if axis(trial) > axis(chosen)}
    if not (below and above):
        return False
    return None if {"failed"} in (below, above) else True


def _choose_for_arm(arm: str, searches: Sequence[Search]) -> ArmChoice:
    own = [search for search in searches if search.arm == arm]
    sizes = tuple(search.size for search in own)
    reason = next((f"{arm} {search.size}: {search.reason}" for search in own if search.reason), None)
    means: dict[tuple[float, float], list[float]] = {}
    for search in own:
        for trial in search.trials:
            if trial.state == "finished" and len(trial.losses) == search.num_seeds:
                means.setdefault((trial.learning_rate, _batch_of(trial)), []).append(_known_loss(trial))
    shared = {key: statistics.fmean(losses) for key, losses in means.items() if len(losses) == len(own)}
    if reason is None and not shared:
        reason = "no rate and batch finished in every size"
    if reason is not None:
        return ArmChoice(arm=arm, sizes=sizes, learning_rate=None, batch_size=None, mean_loss=None, reason=reason)
    rate, batch = min(shared, key=lambda key: (shared[key], key))
    return ArmChoice(
        arm=arm,
        sizes=sizes,
        learning_rate=rate,
        batch_size=int(batch) or None,
        mean_loss=shared[rate, batch],
        reason=None,
    )


def _rate_of(trial: Trial) -> float:
    return trial.learning_rate


def _batch_of(trial: Trial) -> float:
    return float(trial.batch_size or 0)


def _known_loss(trial: Trial) -> float:
    assert trial.mean_loss is not None  # noqa: S101  # a finished trial has a loss in every seed
    return trial.mean_loss
