"""What single runs say of inference as plain text: regimes, sums, views, experts by kind of task, servers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.analysis.inference.figures import Metric
from harness.analysis.inference.results import (
    Additivity,
    ArmRegime,
    Coverage,
    InferenceDetail,
    KindOverlap,
    KindRouting,
    ServingSide,
    ViewRow,
    Views,
)
from harness.analysis.results import Interval
from harness.analysis.stats import Estimate
from harness.core.inference import Regime
from harness.core.units import format_si

MAX_SHOWN = 6
MIXED = "mixed"
VIEW_TITLES = {
    "equal_batch": "equal batch",
    "equal_latency": "equal latency: each arm at its cheapest batch within the limits",
    "own_best": "each arm at its own best batch",
}
METRIC_WORDS: dict[Metric, str] = {
    "j_per_task": "J/task",
    "j_per_output_token": "J/output token",
    "prefill_j_per_input_token": "prefill J/input token",
    "decode_j_per_output_token": "decode J/output token",
    "s_per_task": "s/task",
}
_REGIME_COLUMNS: tuple[tuple[Metric, str], ...] = (
    ("j_per_task", "J"),
    ("j_per_output_token", "J"),
    ("prefill_j_per_input_token", "J"),
    ("decode_j_per_output_token", "J"),
    ("s_per_task", "s"),
    ("ttft_s", "s"),
    ("itl_s", "s"),
    ("decode_mbu", ""),
    ("prefill_mfu", ""),
)
_HEADS = ("J/task", "J/out tok", "prefill/tok", "decode/tok", "s/task", "TTFT", "ITL", "MBU dec", "MFU pre")


def detail_lines(detail: InferenceDetail) -> list[str]:
    """Return the lines of every part that has data."""
    lines = _score_lines(detail) + _regime_lines(detail.arm_regimes) + _sum_lines(detail.additivity)
    if detail.views is not None:
        lines += _view_lines(detail.views)
    lines += _routing_lines(detail.routing, detail.overlaps) + _coverage_lines(detail.coverage)
    for side in detail.serving:
        lines += _serving_lines(side)
    return lines


def _score_lines(detail: InferenceDetail) -> list[str]:
    if not detail.scores:
        return []
    costs = {(row.arm, row.size, row.regime.kind, row.regime.answer_length): row.figures for row in detail.arm_regimes}
    head = f"  {'arm':<8}{'size':<14}{'kind':<20}{'accuracy':>16}{'chance':>9}{'asked':>7}{'runs':>6}"
    where = f"at {detail.matched_loss:.4g} bits per byte" if detail.matched_loss is not None else "a mean over repeats"
    title = f"kinds of tasks, accuracy {where} (+- one standard error)"
    # servers have no windows of one kind: what a task costs stands above
    lines = ["", title, f"{head}{'J/task':>11}{'J/correct':>11}" if costs else head]
    for score in detail.scores:
        told = "unknown" if score.accuracy is None else f"{score.accuracy:.1%}"
        if score.accuracy is not None and score.accuracy_stderr is not None:
            told += f" +-{score.accuracy_stderr:.1%}"
        chance = "unknown" if score.chance is None else f"{score.chance:.1%}"
        figures = costs.get((score.arm, score.size, score.kind, "fixed")) or costs.get(
            (score.arm, score.size, score.kind, "free")
        )
        names: tuple[Metric, ...] = ("j_per_task", "j_per_correct") if costs else ()
        cells = [figures[name].value if figures else None for name in names]
        lines.append(
            f"  {score.arm:<8}{score.size[:13]:<14}{score.kind:<20}{told:>16}{chance:>9}{score.num_asked:>7}"
            f"{score.num_runs:>6}" + "".join(f"{format_si(cell, 'J'):>11}" for cell in cells)
        )
    return lines


def _regime_lines(rows: Sequence[ArmRegime]) -> list[str]:
    if not rows:
        return ["", "no window names its regime: nothing to show by batch, context or answer length"]
    lines = ["", "regimes (kind, batch, tokens in > out; +- half of the 95% interval)"]
    lines.append(f"  {'arm, size':<16}{'regime':<30}" + "".join(f"{head:>15}" for head in _HEADS) + "  grade")
    for row in rows:
        cells = "".join(f"{_figure(row.figures[name], unit):>15}" for name, unit in _REGIME_COLUMNS)
        word = "simulated" if row.simulated else row.grade or "-"
        lines.append(f"  {_name(row):<16}{describe_regime(row.regime):<30}{cells}  {word}")
    reasons = _reasons((name, row.figures[name]) for row in rows for name, _ in _REGIME_COLUMNS)
    return lines + [f"  {line}" for line in reasons]


def _reasons(figures: Iterable[tuple[Metric, Estimate]]) -> list[str]:
    """Return why figures are unknown or have no interval, each reason once."""
    found = {f"{name}: {estimate.reason}" for name, estimate in figures if estimate.reason and estimate.value is None}
    alone = {estimate.reason for _, estimate in figures if estimate.reason and estimate.value is not None}
    return sorted(found) + sorted(reason for reason in alone if reason is not None)


def _sum_lines(checks: Sequence[Additivity]) -> list[str]:
    if not checks:
        return []
    marks = {"pass": "pass", "fail": "FAIL", "unknown": "?"}
    counts = {word: sum(check.outcome == word for check in checks) for word in marks}
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
    worst = max((abs(c.relative_gap) for c in checks if c.relative_gap is not None), default=None)
    largest = f", largest gap {worst:.1%}" if worst is not None else ""
    lines = ["", f"prefill + decode against the whole generation, J/task: {told}{largest}"]
    shown = sorted((c for c in checks if c.outcome != "pass"), key=lambda c: c.outcome)
    lines += [f"  {marks[c.outcome]:<5}{c.run_id}, {describe_regime(c.regime)}: {c.text}" for c in shown[:MAX_SHOWN]]
    return lines + ([f"  and {len(shown) - MAX_SHOWN} more (--json has all)"] if len(shown) > MAX_SHOWN else [])


def _view_lines(views: Views) -> list[str]:
    lines: list[str] = []
    limits = [
        f"{name} <= {format_si(limit, 's')}"
        for name, limit in (("TTFT", views.max_ttft_s), ("ITL", views.max_itl_s))
        if limit is not None
    ]
    for view, title in VIEW_TITLES.items():
        rows = [row for row in views.rows if row.view == view]
        told = f" ({', '.join(limits)})" if view == "equal_latency" and limits else ""
        lines += ["", f"{title}{told}: {views.candidate_arm} / {views.baseline_arm}"]
        if view == "equal_latency" and not limits:
            lines.append("  the study declares no limit (task.regimes.max_ttft_s, task.regimes.max_itl_s)")
        lines += [_view_line(row, views) for row in rows]
    return lines


def _view_line(row: ViewRow, views: Views) -> str:
    batches = [row.batches[arm] for arm in (views.candidate_arm, views.baseline_arm)]
    told = " / ".join("none" if batch is None else str(batch) for batch in batches)
    note = f"  ({row.reason})" if row.reason else ""
    free = "<=" if row.answer_length == "free" else ""
    work = f"{row.num_input_tokens or '?'}>{free}{row.num_output_tokens or '?'}"
    ratio = f"{format_short(row.ratio.value):>8}  {format_interval(row.ratio.interval):<18}"
    word = f"{METRIC_WORDS.get(row.metric, row.metric)}"
    return f"  {work:<12}{f'batch {told}':<18}{word:<24}{ratio}{row.grade or '-'}{note}".rstrip()


def _routing_lines(routing: Sequence[KindRouting], overlaps: Sequence[KindOverlap]) -> list[str]:
    if not routing:
        return []
    head = f"  {'arm, size':<16}{'kind':<20}{'experts':>8}{'carry 90%':>11}{'entropy':>9}{'active':>9}{'tokens':>10}"
    lines = ["", "only the parts needed: experts by kind of task", head]
    lines += [
        f"  {_name(row):<16}{row.kind:<20}{row.num_experts:>8}{row.share_for_90:>11.1%}{row.mean_entropy:>9.3f}"
        f"{row.active_share:>9.1%}{row.num_tokens:>10}"
        for row in routing
    ]
    if overlaps:
        lines.append("  overlap of two kinds (1 - total variation of their loads, mean over layers and seeds)")
    for pair in overlaps:
        value, interval = format_short(pair.overlap.value), format_interval(pair.overlap.interval)
        lines.append(f"  {_name(pair):<16}{' and '.join(pair.kinds):<44}{value:>8}  {interval}")
    return lines


def _coverage_lines(rows: Sequence[Coverage]) -> list[str]:
    if not rows:
        return []
    head = f"  {'arm, size':<16}{'kind':<20}{'batch':>6}{'measured':>10}{'by load':>9}{'if even':>9}{'experts':>9}"
    shown = [row for row in rows if row.kind == MIXED] or list(rows)
    rest = f" (batches of all kinds mixed; {len(rows) - len(shown)} rows of single kinds with --json)"
    told = rest if len(shown) < len(rows) else ""
    lines = ["", f"distinct experts that one decode step touches{told}", head]
    return lines + [
        f"  {_name(row):<16}{row.kind:<20}{row.batch_size:>6}{format_short(row.measured.value):>10}"
        f"{row.expected_load:>9.3g}{row.expected_even:>9.3g}{row.num_experts:>9}"
        for row in shown
    ]


def _serving_lines(side: ServingSide) -> list[str]:
    lines = [
        "",
        f"server {side.server_model} ({side.arm}), {side.api}, {side.load}",
        f"  sent {side.num_sent} = answered {side.num_answered} + failed {side.num_failed}; retries {side.num_retries}",
    ]
    if side.failures:
        lines.append("  failures: " + ", ".join(f"{cause} {count}" for cause, count in side.failures.items()))
    lines.append(f"  {'latency':<8}{'mean':>11}{'p50':>11}{'p90':>11}{'p95':>11}{'p99':>11}")
    for name in ("ttft", "tpot", "itl", "e2e"):
        cells = "".join(
            f"{format_si(side.figures[f'{name}_{part}_s'].value, 's'):>11}"
            for part in ("mean", "p50", "p90", "p95", "p99")
        )
        lines.append(f"  {name.upper():<8}{cells}")
    for name, unit in (
        ("requests_per_s", "/s"),
        ("output_tokens_per_s", "tokens/s"),
        ("goodput_per_s", "/s"),
        ("j_per_request", "J"),
        ("steady_j_per_request", "J"),
        ("j_per_output_token", "J"),
        ("steady_j_per_output_token", "J"),
    ):
        found = side.figures[name]
        told = (
            f"{format_si(found.value, unit)}  {_ends(found.interval, unit)}" if found.value is not None else "unknown"
        )
        lines.append(f"  {name:<28}{told}{f'  ({found.reason})' if found.reason else ''}")
    grade = "simulated" if side.simulated else side.grade or "none"
    return [*lines, f"  energy grade {grade}; {side.additivity_text}; tokens: {side.token_source}"]


def _ends(interval: Interval | None, unit: str) -> str:
    return f"{format_si(interval.low, unit)} to {format_si(interval.high, unit)}" if interval is not None else "-"


def _name(row: ArmRegime | KindRouting | KindOverlap | Coverage) -> str:
    return f"{row.arm} {row.size}"[:15]


def describe_regime(regime: Regime) -> str:
    """Return a regime in words: its kind, batch, and tokens in and out."""
    tokens_in = "?" if regime.num_input_tokens is None else str(regime.num_input_tokens)
    tokens_out = "?" if regime.num_output_tokens is None else str(regime.num_output_tokens)
    free = "<=" if regime.answer_length == "free" else ""
    return f"{regime.kind} b{regime.batch_size} {tokens_in}>{free}{tokens_out}"


def _figure(estimate: Estimate, unit: str) -> str:
    if estimate.value is None:
        return "unknown"
    text = format_si(estimate.value, unit) if unit else f"{estimate.value:.2%}"
    if estimate.interval is None or estimate.value == 0:
        return text
    half = (estimate.interval.high - estimate.interval.low) / 2 / abs(estimate.value)
    return f"{text} +-{half:.0%}"


def format_interval(interval: Interval | None) -> str:
    """Return an interval with three significant digits, a dash without one."""
    return f"{interval.low:.3g} to {interval.high:.3g}" if interval is not None else "-"


def format_short(value: float | None) -> str:
    """Return three significant digits, or that it is unknown."""
    return f"{value:.3g}" if value is not None else "unknown"
