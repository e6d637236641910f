"""Figures of one run in one regime, each from windows of its own phase, with an interval over repetitions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.analysis.boundary import add_boundaries, sum_boundary
from harness.analysis.inference.figures import NOT_JUDGED, Metric, RepeatedFigures, Value, cut_off, unknown
from harness.analysis.inference.results import ArmRegime, RegimeCost
from harness.analysis.inference.seeds import EVEN, Weights, average_seeds
from harness.analysis.phases import PhaseSum, count_new_tokens, sum_phase
from harness.analysis.stats import Estimate, estimate_mean, t_critical
from harness.analysis.task_costs import SWEEP, find_accuracy
from harness.analysis.window_groups import group_windows
from harness.core.inference import Regime
from harness.core.readings import Grade, worst_grade
from harness.core.records import RunRecord, WindowRecord

_PHASES = ("prefill", "decode", "generate")


def measure_regimes(record: RunRecord) -> tuple[RegimeCost, ...]:
    """Return the figures of `record` for each regime that its windows name: kinds of tasks first, then the sweep."""
    regimes = {regime for phase, regime in group_windows(record) if regime is not None and phase in _PHASES}
    measured = [_measure(record, regime) for regime in sorted(regimes, key=order_of)]
    return tuple(cost for cost in measured if cost is not None)


def merge_runs(costs: Sequence[RegimeCost], weights: Weights = EVEN) -> tuple[ArmRegime, ...]:
    """Return every arm and size in every regime: means over its seeds with a t interval, or its one run's.

    Runs of one seed are first averaged by `weights`.
    """
    groups: dict[tuple[str, str, Regime], list[RegimeCost]] = {}
    for cost in costs:
        groups.setdefault((cost.arm, cost.size, cost.regime), []).append(cost)
    rows = []
    for (arm, size, regime), found in groups.items():
        grades: list[Grade] = [cost.grade for cost in found if cost.grade is not None]
        rows.append(
            ArmRegime(
                arm=arm,
                size=size,
                regime=regime,
                figures={name: cut_off(name, _over_seeds(found, name, weights)) for name in found[0].figures},
                num_runs=len(found),
                grade=worst_grade(*grades) if grades else None,
                simulated=any(cost.simulated for cost in found),
                run_ids=tuple(sorted(cost.run_id for cost in found)),
            )
        )
    return tuple(sorted(rows, key=lambda row: (order_of(row.regime), row.arm, row.size)))


def _over_seeds(costs: Sequence[RegimeCost], name: Metric, weights: Weights) -> Estimate:
    if len(costs) == 1:
        return costs[0].figures[name]
    found = [(cost.run_id, cost.seed, cost.figures.value(name)) for cost in costs]
    known = [(run_id, seed, value) for run_id, seed, value in found if value is not None]
    if len(known) < len(found):
        missing = next(cost.figures[name].reason for cost in costs if cost.figures.value(name) is None)
        return unknown(missing or "it is unknown in some run")
    return estimate_mean(average_seeds(known, weights), method="t over seeds or repeats")


def order_of(regime: Regime) -> tuple[bool, str, str, int, int, int]:
    """Return what regimes are sorted by: kinds before the sweep, then answer length, context, answer and batch."""
    tokens = regime.num_input_tokens or 0, regime.num_output_tokens or 0
    return regime.kind == SWEEP, regime.kind, regime.answer_length, *tokens, regime.batch_size


def find_windows(record: RunRecord, regime: Regime, phase: str) -> list[WindowRecord]:
    """Return the windows of `phase` in `regime`; a prefill may stand under any length of answer, since it has none.

    Windows with another limit on the answer read the same prompts, so they serve where the regime has no prefill.
    """
    groups = group_windows(record)
    own = groups.get((phase, regime), [])
    if own or phase != "prefill":
        return own
    others = [other for other_phase, other in groups if other_phase == phase and other is not None]
    return [window for other in others if _reads_the_same(other, regime) for window in groups[phase, other]]


def _reads_the_same(other: Regime, regime: Regime) -> bool:
    key = (regime.kind, regime.batch_size, regime.num_input_tokens)
    return (other.kind, other.batch_size, other.num_input_tokens) == key and regime.num_input_tokens is not None


def _measure(record: RunRecord, regime: Regime) -> RegimeCost | None:
    phases = {phase: find_windows(record, regime, phase) for phase in _PHASES}
    measured_whole = phases["decode"] or phases["generate"] or regime.num_output_tokens == 1
    if not measured_whole and _is_read_elsewhere(record, regime):
        return None
    return _build(record, regime, phases)


def _is_read_elsewhere(record: RunRecord, regime: Regime) -> bool:
    """Return whether this regime only holds a prefill that another regime's decode windows go on from."""
    return any(
        other != regime and _reads_the_same(other, regime)
        for phase, other in group_windows(record)
        if phase == "decode" and other is not None
    )


def _build(record: RunRecord, regime: Regime, phases: Mapping[str, Sequence[WindowRecord]]) -> RegimeCost:
    apart = bool(phases["prefill"] or phases["decode"])
    used = [*phases["prefill"], *phases["decode"]] if apart else list(phases["generate"])
    numbers = sorted({window.repetition for window in (phases["decode"] or used)})
    per_repetition = [
        _figures(
            record,
            regime,
            *(sum_phase(_of_repetition(phases[phase], number)) for phase in _PHASES),
            apart=apart,
        )
        for number in numbers
    ]
    samples = {name: [values[name] for values in per_repetition] for name in per_repetition[0]}
    accuracy = NOT_JUDGED if regime.kind == SWEEP else find_accuracy(record, regime.kind)
    boundary = add_boundaries([sum_boundary(window.energy) for window in used])
    return RegimeCost(
        run_id=record.run_id,
        arm=record.arm,
        size=record.size,
        seed=record.seed,
        regime=regime,
        figures=RepeatedFigures(samples, accuracy),
        num_repetitions=len(numbers),
        grade=boundary.grade,
        domains=boundary.domains,
        simulated=boundary.simulated,
    )


def _of_repetition(windows: Sequence[WindowRecord], number: int) -> list[WindowRecord]:
    """Return the windows of one repetition; all of them where that phase was measured a different number of times."""
    return [window for window in windows if window.repetition == number] or list(windows)


def _figures(
    record: RunRecord, regime: Regime, prefill: PhaseSum, decode: PhaseSum, generate: PhaseSum, *, apart: bool
) -> dict[Metric, Value]:
    peak_flops, peak_bytes = record.peak_flops_per_s, record.peak_bytes_per_s
    no_flops, no_bytes = "the peak FLOP/s of the device is unknown", "the memory bandwidth of the device is unknown"
    parts = [generate] if not apart else [prefill] if regime.num_output_tokens == 1 else [prefill, decode]
    task = {name: _add([part.per_task(name) for part in parts]) for name in ("energy_j", "net_j", "flops", "seconds")}
    last, before = (decode, prefill) if apart else (generate, None)
    outputs = count_new_tokens(regime.answer_length, regime.num_output_tokens, last, before)
    inputs = (prefill if apart else generate).per_task("num_input_tokens")
    memory: list[float] = [part.peak_memory_bytes for part in parts if part.peak_memory_bytes is not None]
    return {
        "j_per_task": task["energy_j"],
        "net_j_per_task": task["net_j"],
        "j_per_output_token": _over(task["energy_j"], outputs),
        "j_per_token": _over(task["energy_j"], _add([inputs, outputs])),
        "prefill_j_per_input_token": _over(prefill.energy_j, prefill.num_input_tokens),
        "decode_j_per_output_token": _over(decode.energy_j, decode.num_output_tokens),
        "flops_per_task": task["flops"],
        "s_per_task": task["seconds"],
        "output_tokens_per_s": _over(outputs, task["seconds"]),
        "ttft_s": _over(prefill.seconds, prefill.num_steps),
        "itl_s": _over(decode.seconds, decode.num_steps),
        "prefill_mfu": _over(_over(prefill.flops, prefill.seconds), peak_flops or no_flops),
        "decode_mfu": _over(_over(decode.flops, decode.seconds), peak_flops or no_flops),
        "prefill_mbu": _over(_over(prefill.num_bytes, prefill.seconds), peak_bytes or no_bytes),
        "decode_mbu": _over(_over(decode.num_bytes, decode.seconds), peak_bytes or no_bytes),
        "peak_memory_bytes": max(memory) if memory else "the windows do not say their peak memory",
    }


def half_width(values: Sequence[float]) -> float | None:
    """Return the half-width of the t interval of a mean (95%), ``None`` for fewer than two values."""
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return t_critical(len(values)) * spread / math.sqrt(len(values))


def _add(values: Sequence[Value]) -> Value:
    reasons = [value for value in values if isinstance(value, str)]
    return reasons[0] if reasons else math.fsum(value for value in values if not isinstance(value, str))


def _over(above: Value, below: Value) -> Value:
    if isinstance(above, str):
        return above
    if isinstance(below, str):
        return below
    return above / below if below > 0 else "the window counts none of it"
