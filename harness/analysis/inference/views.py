"""Three views over one sweep: equal batch, equal latency, and each arm at its own best.

A workload is a prompt length, a limit on the answer and whether answers are fixed or free; arms are compared inside one
workload only. At equal latency, and at its own best, each arm chooses the batch at which it is cheapest.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.inference.costs import measure_regimes, order_of
from harness.analysis.inference.figures import Metric
from harness.analysis.inference.results import RegimeCost, View, ViewRow, Views
from harness.analysis.pooling import read_config
from harness.analysis.stats import Estimate, Pairing, estimate_ratio_of
from harness.analysis.task_costs import SWEEP
from harness.core.inference import Regime
from harness.core.readings import Grade, worst_grade
from harness.core.records import RunRecord

AT_EQUAL_BATCH: tuple[Metric, ...] = (
    "j_per_output_token",
    "prefill_j_per_input_token",
    "decode_j_per_output_token",
    "s_per_task",
)
TO_CHOOSE_BY: tuple[Metric, ...] = ("j_per_output_token", "j_per_task")
NONE_HOLDS = "none holds"
# By arm and seed: the runs that answer for it with weights that sum to one.
WeighedRuns = Mapping[str, Mapping[int, Sequence[tuple[RunRecord, float]]]]
Workload = tuple[str, int | None, int | None]


@dataclass(frozen=True, slots=True)
class _Cell:
    """One arm in one regime: values by metric and seed."""

    values: dict[Metric, dict[int, float]]
    grade: Grade | None
    domains: frozenset[tuple[str, ...]]
    simulated: bool
    run_ids: tuple[str, ...]

    def mean(self, metric: Metric) -> float | None:
        """Return the mean over seeds, ``None`` where no seed has the figure."""
        return statistics.fmean(self.values[metric].values()) if self.values.get(metric) else None

    def worst(self, metric: Metric) -> float | None:
        """Return the largest value over seeds."""
        return max(self.values[metric].values()) if self.values.get(metric) else None


Cells = dict[Regime, _Cell]


def build_views(
    arms: tuple[str, str],
    runs: WeighedRuns,
    pairing: Pairing,
    costs: Mapping[str, Sequence[RegimeCost]] | None = None,
) -> Views | None:
    """Return the three views of baseline and candidate (`arms`), ``None`` where an arm has no window of a sweep.

    `costs` are those of `measure_regimes` by run id, where they were measured before.
    """
    cells = {arm: _read_cells(runs.get(arm, {}), costs or {}) for arm in arms}
    if not all(cells.values()):
        return None
    records = [record for by_seed in runs.values() for found in by_seed.values() for record, _ in found]
    limits = tuple(_read_limit(records, name) for name in ("max_ttft_s", "max_itl_s"))
    workloads = sorted({_workload_of(regime) for arm in arms for regime in cells[arm]}, key=_order)
    rows = [
        *_equal_batch(arms, cells, pairing),
        *_chosen_batch("equal_latency", arms, cells, pairing, workloads, limits),
        *_chosen_batch("own_best", arms, cells, pairing, workloads, (None, None)),
    ]
    return Views(
        baseline_arm=arms[0], candidate_arm=arms[1], max_ttft_s=limits[0], max_itl_s=limits[1], rows=tuple(rows)
    )


def _read_cells(
    by_seed: Mapping[int, Sequence[tuple[RunRecord, float]]], costs: Mapping[str, Sequence[RegimeCost]]
) -> Cells:
    """Return one arm's sweep; a regime counts in a seed only where every run that answers for the seed has it."""
    found: dict[Regime, dict[int, list[tuple[RegimeCost, float]]]] = {}
    for seed, weighed in by_seed.items():
        for record, weight in weighed:
            known = costs.get(record.run_id)
            for cost in measure_regimes(record) if known is None else known:
                if cost.regime.kind == SWEEP:
                    found.setdefault(cost.regime, {}).setdefault(seed, []).append((cost, weight))
    cells: Cells = {}
    for regime in sorted(found, key=order_of):
        whole = {seed: costs for seed, costs in found[regime].items() if len(costs) == len(by_seed[seed])}
        if whole:
            cells[regime] = _build_cell(whole)
    return cells


def _build_cell(by_seed: Mapping[int, Sequence[tuple[RegimeCost, float]]]) -> _Cell:
    costs = [cost for found in by_seed.values() for cost, _ in found]
    values: dict[Metric, dict[int, float]] = {}
    for metric in costs[0].figures:
        for seed, found in by_seed.items():
            known = [(cost.figures.value(metric), weight) for cost, weight in found]
            if all(value is not None for value, _ in known):
                values.setdefault(metric, {})[seed] = sum(v * weight for v, weight in known if v is not None)
    grades: list[Grade] = [cost.grade for cost in costs if cost.grade is not None]
    return _Cell(
        values=values,
        grade=worst_grade(*grades) if grades else None,
        domains=frozenset(cost.domains for cost in costs),
        simulated=any(cost.simulated for cost in costs),
        run_ids=tuple(sorted({cost.run_id for cost in costs})),
    )


def _equal_batch(arms: tuple[str, str], cells: Mapping[str, Cells], pairing: Pairing) -> Iterator[ViewRow]:
    for regime in sorted(set(cells[arms[0]]) & set(cells[arms[1]]), key=order_of):
        metrics = AT_EQUAL_BATCH if regime.answer_length == "fixed" else (*AT_EQUAL_BATCH, "j_per_task")
        for metric in metrics:
            chosen = dict.fromkeys(arms, regime)
            yield _row("equal_batch", metric, arms, cells, pairing, _workload_of(regime), chosen)


def _chosen_batch(  # noqa: PLR0917 - one call for each view
    view: View,
    arms: tuple[str, str],
    cells: Mapping[str, Cells],
    pairing: Pairing,
    workloads: Sequence[Workload],
    limits: tuple[float | None, ...],
) -> Iterator[ViewRow]:
    if view == "equal_latency" and limits == (None, None):
        return
    for workload in workloads:
        for metric in TO_CHOOSE_BY:
            if metric == "j_per_task" and workload[0] == "fixed":
                continue  # all answers are equally long: the same choice and the same ratio as per token
            chosen = {arm: _cheapest(cells[arm], workload, metric, limits) for arm in arms}
            yield _row(view, metric, arms, cells, pairing, workload, chosen)


def _cheapest(cells: Cells, workload: Workload, metric: Metric, limits: tuple[float | None, ...]) -> Regime | str:
    """Return the regime of the workload with the lowest mean that holds the limits in every seed, or why none does."""
    own = {regime: cell for regime, cell in cells.items() if _workload_of(regime) == workload}
    if not own:
        return "this workload was not measured"
    names: tuple[Metric, Metric] = ("ttft_s", "itl_s")
    kept = own
    for name, limit in zip(names, limits, strict=True):
        if limit is not None:
            kept = {regime: cell for regime, cell in kept.items() if _holds(cell.worst(name), limit, workload, name)}
    if not kept:
        return NONE_HOLDS
    known = {regime: mean for regime, cell in kept.items() if (mean := cell.mean(metric)) is not None}
    return min(known, key=lambda regime: (known[regime], regime.batch_size), default="its energy is unknown")


def _holds(value: float | None, limit: float, workload: Workload, name: Metric) -> bool:
    if name == "itl_s" and workload[2] == 1:
        return True  # one token has no gap
    return value is not None and value <= limit


def _row(  # noqa: PLR0917 - the parts of one row
    view: View,
    metric: Metric,
    arms: tuple[str, str],
    cells: Mapping[str, Cells],
    pairing: Pairing,
    workload: Workload,
    chosen: Mapping[str, Regime | str],
) -> ViewRow:
    found = {arm: cells[arm][regime] for arm, regime in chosen.items() if isinstance(regime, Regime)}
    missing = [f"{arm}: {why}" for arm, why in chosen.items() if isinstance(why, str)]
    energetic = "j_per" in metric
    reason = "; ".join(missing) or None
    if reason is None and energetic and len(frozenset().union(*(cell.domains for cell in found.values()))) > 1:
        reason = "the runs differ in which domains their energy covers, so it does not compare"
    ratio = _ratio([found[arm] for arm in reversed(arms)], metric, pairing) if reason is None else _nothing(reason)
    grades: list[Grade] = [cell.grade for cell in found.values() if cell.grade is not None]
    return ViewRow(
        view=view,
        metric=metric,
        answer_length="free" if workload[0] == "free" else "fixed",
        num_input_tokens=workload[1],
        num_output_tokens=workload[2],
        batches={arm: regime.batch_size if isinstance(regime, Regime) else None for arm, regime in chosen.items()},
        values={arm: found[arm].mean(metric) if arm in found else None for arm in arms},
        ratio=ratio,
        grade=worst_grade(*grades) if energetic and grades else None,
        simulated=energetic and any(cell.simulated for cell in found.values()),
        run_ids=tuple(sorted({run_id for cell in found.values() for run_id in cell.run_ids})),
        reason=ratio.reason,
    )


def _ratio(sides: Sequence[_Cell], metric: Metric, pairing: Pairing) -> Estimate:
    """Return candidate over baseline over the seeds that both have."""
    above, below = (side.values.get(metric, {}) for side in sides)
    seeds = sorted(set(above) & set(below))
    if not seeds or any(above[seed] <= 0 or below[seed] <= 0 for seed in seeds):
        return _nothing("the figure is unknown or not above zero in some run")
    return estimate_ratio_of([above[seed] for seed in seeds], [below[seed] for seed in seeds], pairing)


def _nothing(reason: str) -> Estimate:
    return Estimate(value=None, interval=None, n=0, reason=reason)


def _workload_of(regime: Regime) -> Workload:
    return regime.answer_length, regime.num_input_tokens, regime.num_output_tokens


def _order(workload: Workload) -> tuple[str, int, int]:
    return workload[0], workload[1] or 0, workload[2] or 0


def _read_limit(records: Sequence[RunRecord], name: str) -> float | None:
    """Return the limit that the study's configuration declares; the strictest where runs differ."""
    values = [read_config(record, f"task.regimes.{name}") for record in records]
    return min((float(value) for value in values if isinstance(value, (int, float))), default=None)
