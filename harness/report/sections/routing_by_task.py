"""The section that asks for only the parts needed: experts by kind of task, how far kinds overlap, experts per step."""

from __future__ import annotations

from harness.analysis.inference.results import InferenceDetail
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section, Table, columns_of
from harness.report.plots.registry import draw_plot


def routing_by_task_section(detail: InferenceDetail) -> Section:
    """Return expert use by kind of task, the overlap of kinds, and coverage measured and expected."""
    tables = tuple(table for table in (_routing_table(detail), _overlap_table(detail)) if table is not None)
    figure = Figure(
        id="f-coverage",
        caption="Distinct experts that one decode step reads, a mean over its expert layers: measured, and by formula.",
        svg=draw_plot("expert_coverage", detail.coverage),
        table=_coverage_table(detail),
        missing="No run counted the experts that a step touches.",
    )
    return Section(
        id="routing-by-task-section",
        title="Only the parts needed?",
        lead=(
            "A sparse model uses few of its experts for a token. That saves energy for a batch of tasks only where its "
            "tokens choose the same experts: a step reads every expert that any of its tokens chose."
        ),
        figures=(figure,) if detail.coverage else (),
        tables=tables,
        notes=(
            (
                "Overlap is 1 - total variation of the loads of two kinds, layer by layer, then the mean: 1 where both "
                "use the same experts alike, 0 where they share none. Expert numbers mean something inside one model "
                "only, so it is made run by run. An even load needs 90% of the experts to carry 90% of the choices."
            ),
        ),
    )


def _routing_table(detail: InferenceDetail) -> Table | None:
    rows = tuple(
        (
            row.arm,
            row.size,
            row.kind,
            n.count(row.num_experts, n.runs(row.run_ids)),
            n.percent(row.share_for_90, n.runs(row.run_ids)),
            n.fixed(row.mean_entropy, 3, n.runs(row.run_ids)),
            n.si(row.active_params_per_token, "", n.runs(row.run_ids)),
            n.si(row.total_params, "", n.runs(row.run_ids)),
            n.percent(row.active_share, n.runs(row.run_ids)),
            n.count(row.num_tokens, n.runs(row.run_ids)),
            n.count(row.num_runs, n.runs(row.run_ids)),
        )
        for row in detail.routing
    )
    names = (
        *("Family", "Size", "Kind", "Experts in a layer", "Experts that carry 90%", "Entropy (1: even)"),
        *("Parameters a token uses", "of", "Active share", "Tokens", "Runs"),
    )
    return _table("task-routing", "Experts by kind of task", names, rows, {"Family", "Size", "Kind"})


def _overlap_table(detail: InferenceDetail) -> Table | None:
    rows = tuple(
        (
            pair.arm,
            pair.size,
            pair.kinds[0],
            pair.kinds[1],
            n.fixed(pair.overlap.value, 3, n.runs(pair.run_ids), pair.overlap.reason),
            n.interval(pair.overlap.interval, n.runs(pair.run_ids), ""),
            n.count(pair.overlap.n, n.runs(pair.run_ids)),
        )
        for pair in detail.overlaps
    )
    names = ("Family", "Size", "Kind", "and kind", "Overlap", "Interval", "Runs")
    return _table(
        "overlaps", "How far two kinds use the same experts", names, rows, {"Family", "Size", "Kind", "and kind"}
    )


def _coverage_table(detail: InferenceDetail) -> Table | None:
    rows = tuple(
        (
            row.arm,
            row.size,
            row.kind,
            n.count(row.batch_size, n.runs(row.run_ids)),
            n.estimate(row.measured, "", n.runs(row.run_ids)),
            n.digits(row.expected_load, f"from the measured loads; {n.runs(row.run_ids)}"),
            n.digits(row.expected_even, f"E (1 - (1 - k/E)^b); {n.runs(row.run_ids)}"),
            n.count(row.num_experts, n.runs(row.run_ids)),
            n.count(row.top_k, n.runs(row.run_ids)),
        )
        for row in detail.coverage
    )
    names = (
        "Family",
        "Size",
        "Kind",
        "Batch",
        "Measured",
        "Expected by load",
        "Expected if even",
        "Experts",
        "Chosen per token",
    )
    return _table("coverage", "Distinct experts that one decode step touches", names, rows, {"Family", "Size", "Kind"})


def _table(
    table_id: str, caption: str, names: tuple[str, ...], rows: tuple[tuple[Cell, ...], ...], words: set[str]
) -> Table | None:
    columns = columns_of(names, words)
    return Table(id=table_id, caption=caption, columns=columns, rows=rows, sortable=True) if rows else None
