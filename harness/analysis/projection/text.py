"""A projection as people read it: labelled at the top, tables of batches, requests, training and sensitivity."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from harness.analysis.projection.assumptions import LAUNCH_S, SOURCES
from harness.analysis.projection.batches import Sweep
from harness.analysis.projection.requests import TaskProjection
from harness.analysis.projection.results import (
    LABEL,
    BatchRow,
    Projection,
    Side,
)
from harness.analysis.projection.sensitivity import SensitivityRow
from harness.analysis.projection.training import TrainingComparison
from harness.core.units import format_digits, format_si

_WIDTH = 110
_PICO = 1e12


def projection_to_text(projection: Projection) -> str:
    """Return what ``isojoule project`` prints for one pair."""
    p = projection
    lines = [LABEL, ""]
    lines += [f"sparse-expert {_side(p.moe)}", f"dense         {_side(p.dense)}", f"on {p.card.name}", ""]
    lines += _quality_lines(p)
    lines += ["", f"Decoding one token at context {p.context}, energy of the cards alone", *_batch_table(p.rows)]
    lines += _equal_precision_lines(p)
    if p.checks:
        lines += ["", *_check_lines(p)]
    lines += ["", *_constant_lines(p), "", *_sweep_lines(p.sweep), *_criterion_lines(p)]
    if p.task is not None:
        lines += ["", *_task_lines(p.task)]
    lines += [
        "",
        *(_training_lines(p.training, p) if p.training else [f"Training: not projected, {p.training_reason}"]),
    ]
    lines += ["", *_sensitivity_lines(p.sensitivity, [row.batch for row in p.rows]), "", "Assumptions and notes"]
    for note in (*_assumption_notes(p), *p.notes):
        lines += _wrapped(note)
    return "\n".join(lines)


def pairs_to_text(projections: Sequence[Projection]) -> str:
    """Return the headline table of several pairs: ratios of joules per decoded token, sparse-expert over dense."""
    first = projections[0]
    table = [["pair", *(f"batch {row.batch}" for row in first.rows), "at or below 0.1", "qs", "isolates architecture"]]
    for p in projections:
        name = p.pair.id if p.pair else f"{p.moe.name}_{p.dense.name}"
        ratios = [_ratio(row.ratio) for row in p.rows]
        isolates = "yes" if p.pair and p.pair.isolates_architecture else "no"
        table.append([name, *ratios, _ranges(p.sweep, "0.1"), f"{p.criterion.qs:.2f}", isolates])
        if p.equal_precision is not None:
            same = [_ratio(ratio) for ratio in p.equal_precision.ratios]
            ranges = _ranges(p.equal_precision.sweep, "0.1")
            table.append([f"  weights of both in {p.equal_precision.dtype}", *same, ranges, "", ""])
    beyond = [
        f"{side.name}: the context is beyond its config's maximum of {side.max_context}"
        for side in dict.fromkeys(side for p in projections for side in (p.moe, p.dense))
        if side.max_context is not None and first.context > side.max_context
    ]
    title = f"Joules per decoded token, sparse-expert over dense, {first.card.name}, context {first.context}"
    origin = f"constants {_origin(first)}"
    return "\n".join(
        [LABEL, "", title, *_aligned(table), "", *(line for note in (origin, *beyond) for line in _wrapped(note))]
    )


def _side(side: Side) -> str:
    size = f"{side.total_params / 1e9:.1f}B parameters, {side.active_params / 1e9:.1f}B active"
    weights = f"{format_si(side.weight_bytes, 'B')} of weights ({side.weights.partition(':')[0]})"
    return f"{side.name}: {size}; {weights}; cache {format_si(side.cache_bytes, 'B')} a sequence ({side.cache_dtype})"


def _quality_lines(p: Projection) -> list[str]:
    if p.pair is None:
        return _wrapped("Equal quality of the two is not established here: a named pair (--pair) brings its evidence.")
    quality = p.pair.quality
    scores = "; ".join(f"{s.metric} {s.moe:g} / {s.dense:g}" for s in quality.scores)
    lines = _wrapped(f"Quality: {' '.join(quality.statement.split())} [{quality.tag}: {quality.source}]")
    if scores:
        lines += _wrapped(f"sparse-expert / dense: {scores}")
    answer = "yes" if p.pair.isolates_architecture else "no"
    return lines + _wrapped(
        f"Isolates the architecture: {answer}. Beside the experts differ: {'; '.join(p.pair.also_differs)}"
    )


def _batch_table(rows: Sequence[BatchRow]) -> list[str]:
    head = ["batch", "ratio", "model error", "sparse J/token", "dense J/token", "coverage"]
    head += ["sparse bytes", "dense bytes", "sparse FLOPs", "dense FLOPs", "cards", "capped"]
    table = [head]
    for row in rows:
        capped = [name for name, step in (("sparse", row.moe), ("dense", row.dense)) if step.capped]
        table.append(
            [
                str(row.batch),
                _ratio(row.ratio),
                "unknown" if row.interval is None else f"{_ratio(row.interval[0])}-{_ratio(row.interval[1])}",
                format_digits(row.moe.joules_per_token),
                format_digits(row.dense.joules_per_token),
                "none" if row.moe.coverage is None else f"{row.moe.coverage:.0%}",
                format_si(row.moe.weight_bytes + row.moe.cache_bytes, "B"),
                format_si(row.dense.weight_bytes + row.dense.cache_bytes, "B"),
                format_si(row.moe.flops, ""),
                format_si(row.dense.flops, ""),
                f"{row.moe.num_gpus} / {row.dense.num_gpus}",
                ", ".join(capped) or "-",
            ]
        )
    return _aligned(table)


def _equal_precision_lines(p: Projection) -> list[str]:
    same = p.equal_precision
    if same is None:
        return []
    ratios = ", ".join(f"{_ratio(ratio)} at batch {row.batch}" for ratio, row in zip(same.ratios, p.rows, strict=True))
    ranges = f"at or below 0.1: {_ranges(same.sweep, '0.1')}"
    return [
        "",
        *_wrapped(f"The weights differ in precision. With both in {same.dtype} the ratio is {ratios}; {ranges}"),
    ]


def _check_lines(p: Projection) -> list[str]:
    table = [["batch", "ratio measured", "projected", "sparse J/token", "projected", "dense J/token", "projected"]]
    for check in p.checks:
        joules = (
            check.measured_moe_joules,
            check.projected_moe_joules,
            check.measured_dense_joules,
            check.projected_dense_joules,
        )
        ratios = (_ratio(check.measured_ratio), _ratio(check.projected_ratio))
        table.append([str(check.batch), *ratios, *(format_digits(value) for value in joules)])
    title = f"The model beside what others measured, context {p.checks[0].context}"
    source = p.pair.measurements if p.pair else None
    return [title, *_aligned(table), *(_wrapped(f"[{source.tag}] {' '.join(source.source.split())}") if source else [])]


def _origin(p: Projection) -> str:
    c = p.constants
    values = (
        f"{format_digits(c.j_per_step)} J a step, {format_digits(c.j_per_byte * _PICO)} pJ a byte,"
        f" {format_digits(c.j_per_flop * _PICO)} pJ a FLOP"
    )
    word = {"fitted": "fitted", "scaled_by_assumption": "scaled by assumption", "calibrated_here": "calibrated here"}
    return f"{word[c.constants_origin]}: {values}. {c.source}"


def _constant_lines(p: Projection) -> list[str]:
    lines = _wrapped(f"Constants {_origin(p)}")
    if p.constants.rms is None:
        return lines + _wrapped(f"Model error unknown: {p.constants.rms_reason}")
    return lines + _wrapped(
        f"Model error: 95%, from the fit's rms of {p.constants.rms:.0%} on each side; not a measured interval"
    )


def _sweep_lines(sweep: Sweep) -> list[str]:
    lines = [f"Batches 1 to {sweep.last_batch} at which the ratio is at or below"]
    lines += [f"  {limit:>4}: {_ranges(sweep, limit)}" for limit in sweep.ranges]
    lowest = f"lowest {_ratio(sweep.lowest)} at batch {sweep.lowest_at}"
    return [*lines, f"  {lowest}, highest {_ratio(sweep.highest)} at batch {sweep.highest_at}"]


def _ratio(value: float) -> str:
    """Two decimals, and three where a tenth is near."""
    return f"{value:.2f}" if value >= 0.195 else f"{value:.3f}"


def _ranges(sweep: Sweep, limit: str) -> str:
    found = sweep.ranges[limit]
    return ", ".join(str(r.first) if r.first == r.last else f"{r.first}-{r.last}" for r in found) or "nowhere"


def _criterion_lines(p: Projection) -> list[str]:
    c = p.criterion
    which = "sparse-expert" if c.qs < 1 else "dense"
    return _wrapped(
        f"q = dense / active = {c.q:.2f}, s = active / total = {c.s:.3f}, qs = {c.qs:.2f}: once a batch touches every"
        f" expert, the {which} model reads more weights (in bytes, dense / sparse-expert {c.weight_bytes_ratio:.2f})"
    )


def _task_lines(task: TaskProjection) -> list[str]:
    answers = f"{task.moe_output_tokens} tokens (sparse-expert) or {task.dense_output_tokens} (dense)"
    lines = [f"One request: prompt of {task.prompt_tokens} tokens, answer of {answers}"]
    table = [["batch", "ratio", "sparse J", "dense J"]]
    table += [
        [str(r.batch), _ratio(r.ratio), format_digits(r.moe_joules), format_digits(r.dense_joules)] for r in task.rows
    ]
    prefill = (
        f"{format_digits(task.moe_prefill.joules)} J (sparse-expert), {format_digits(task.dense_prefill.joules)} J"
    )
    return [*lines, *_aligned(table), f"  of which prefill, at the power limit: {prefill} (dense)"]


def _training_lines(training: TrainingComparison, p: Projection) -> list[str]:
    rows = [["Training", "tokens", "FLOPs, full", "causal", "6ND", "MFU", "GPU-hours", "at power limit", "published"]]
    facts = (None, None) if p.pair is None else (p.pair.moe_training, p.pair.dense_training)
    for name, one, fact in zip(("sparse-expert", "dense"), (training.moe, training.dense), facts, strict=True):
        hours = fact.gpu_hours if fact else None
        rows.append(
            [
                name,
                format_si(one.tokens, ""),
                f"{one.flops:.2e}",
                f"{one.flops_causal:.2e}",
                f"{one.six_n_d:.2e}",
                f"{one.mfu:.2f}",
                format_si(one.gpu_hours, ""),
                format_si(one.power_limit_mwh * 1e6, "Wh"),
                f"{format_si(hours, '')} h ({fact.gpu})" if fact and hours else "unknown",
            ]
        )
    ratios = (training.flops_ratio, training.flops_causal_ratio, training.six_n_d_ratio, training.gpu_hours_ratio)
    full, causal, six, hours_ratio = (format_digits(ratio, 2) for ratio in ratios)
    rows.append(["ratio", "", full, causal, six, "", hours_ratio, hours_ratio, ""])
    return _aligned(rows)


def _sensitivity_lines(rows: Sequence[SensitivityRow], batches: Sequence[int]) -> list[str]:
    head = ["Ratio when one thing moves", "low", "high", *(f"batch {batch}" for batch in batches)]
    table = [
        [
            row.assumption,
            row.low,
            row.high,
            *(f"{_ratio(a)} .. {_ratio(b)}" for a, b in zip(row.ratios_at_low, row.ratios_at_high, strict=True)),
        ]
        for row in rows
    ]
    return _aligned([head, *table])


def _assumption_notes(p: Projection) -> list[str]:
    a = p.assumptions
    launch = a.launch_s if a.launch_s is not None else p.card.launch_s.value or LAUNCH_S
    values = {
        "bandwidth reached": (f"{a.bandwidth_efficiency:.0%}", "bandwidth_efficiency"),
        "FLOP/s reached": (f"{a.flops_efficiency:.0%}", "flops_efficiency"),
        "launch": (format_si(launch, "s"), "launch_s"),
        "usable memory": (f"{a.usable_memory:.0%}", "usable_memory"),
        "routing": (f"correlation {a.routing_correlation:g}", "routing_correlation"),
    }
    if p.task is not None:
        values["prefill MFU"] = (f"{a.prefill_mfu:.2f}", "prefill_mfu")
    if p.training is not None:
        values["training MFU, dense"] = (f"{a.dense_train_mfu:.2f}", "dense_train_mfu")
        values["training MFU, sparse-expert"] = (f"{a.moe_train_mfu:.2f}", "moe_train_mfu")
    return [f"{name} {value}: {SOURCES[key]}" for name, (value, key) in values.items()]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(f"{c:<{w}}" if i == 0 else f"{c:>{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
