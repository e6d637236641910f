"""The section on servers under load: requests and failures, latencies side by side, goodput and joules per request."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.inference.results import ServingSide
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Section, Table, columns_of
from harness.report.sections.estimates import estimate_cell

_LATENCIES = (
    ("ttft", "TTFT"),
    ("tpot", "TPOT"),
    ("itl", "ITL"),
    ("e2e", "E2E"),
)
_PARTS = (("mean", "Mean"), ("p50", "p50"), ("p90", "p90"), ("p95", "p95"), ("p99", "p99"))
_RATES = (
    ("requests_per_s", "Requests answered per second", "/s"),
    ("output_tokens_per_s", "Output tokens per second", "/s"),
    ("goodput_per_s", "Goodput: answers within every limit, per second", "/s"),
    ("j_per_request", "J per answered request, whole run", "J"),
    ("net_j_per_request", "J per answered request, whole run, net of idle", "J"),
    ("steady_j_per_request", "J per answered request, under full load", "J"),
    ("j_per_output_token", "J per output token, whole run", "J"),
    ("steady_j_per_output_token", "J per output token, under full load", "J"),
)


def serving_section(sides: Sequence[ServingSide]) -> Section:
    """Return what the servers did, one column or row for each arm."""
    word = n.warning_word(n.energy_word(side.grade, side.simulated) for side in sides).lower()
    title = f"Servers under load (energy {word})" if word else "Servers under load"
    return Section(
        id="serving-section",
        title=title,
        lead=(
            "Every request that was sent was answered or failed. Latencies are of answered requests, percentiles of "
            "each run, then means over the runs of an arm with their 95% interval. The energy of a run is that of all "
            "it did, failures and start included, divided by its answers. TTFT: from sending to the first output. "
            "TPOT: (E2E - TTFT) / (output tokens - 1). ITL: gaps between outputs. E2E: from sending to the end."
        ),
        tables=(_requests_table(sides), _latency_table(sides), _rates_table(sides)),
        notes=tuple(f"{side.arm}: {side.additivity_text}; tokens are those of: {side.token_source}." for side in sides),
    )


def _requests_table(sides: Sequence[ServingSide]) -> Table:
    rows = tuple(
        (
            side.arm,
            side.server_model,
            side.api,
            side.load,
            n.count(side.num_sent, n.runs(side.run_ids)),
            n.count(side.num_answered, n.runs(side.run_ids)),
            n.count(side.num_failed, n.runs(side.run_ids)),
            ", ".join(f"{cause} {count}" for cause, count in side.failures.items()) or "none",
            n.count(side.num_retries, n.runs(side.run_ids)),
        )
        for side in sides
    )
    names = ("Arm", "Served model", "API", "Load", "Sent", "Answered", "Failed", "Causes", "Tries beyond the first")
    words = {"Arm", "Served model", "API", "Load", "Causes"}
    return _table("serving-requests", "Requests", names, rows, words)


def _latency_table(sides: Sequence[ServingSide]) -> Table:
    rows = tuple(
        (
            words,
            side.arm,
            *(estimate_cell(side.figures[f"{name}_{part}_s"], "s", n.runs(side.run_ids)) for part, _ in _PARTS),
        )
        for name, words in _LATENCIES
        for side in sides
    )
    names = ("Latency", "Arm", *(title for _, title in _PARTS))
    return _table("serving-latency", "Latencies side by side", names, rows, {"Latency", "Arm"})


def _rates_table(sides: Sequence[ServingSide]) -> Table:
    rows = tuple(
        (
            words,
            *(estimate_cell(side.figures[name], unit, n.runs(side.run_ids)) for side in sides),
            n.join((n.grade_badge(side.grade, side.simulated) for side in sides), " ") if unit == "J" else "",
        )
        for name, words, unit in _RATES
    )
    names = ("What", *(side.arm for side in sides), "Grade")
    return _table("serving-rates", "Throughput, goodput and energy", names, rows, {"What", "Grade"})


def _table(
    table_id: str, caption: str, names: Sequence[str], rows: tuple[tuple[Cell, ...], ...], words: set[str]
) -> Table:
    columns = columns_of(names, words)
    return Table(id=table_id, caption=caption, columns=columns, rows=rows)
