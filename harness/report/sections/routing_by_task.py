"""The section that asks for only the parts needed: experts by kind of task, how far kinds overlap, experts per step."""

from __future__ import annotations

from harness.analysis.inference.results import InferenceDetail, KindRouting
from harness.analysis.stats import Estimate
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section, Table, columns_of
from harness.report.plots.registry import draw_plot
from harness.report.sections.estimates import estimate_cell


def routing_by_task_section(detail: InferenceDetail) -> Section:
    """Return expert use by kind of task, the overlap of kinds, and coverage measured and expected."""
    tables = tuple(table for table in (_params_table(detail), _overlap_table(detail)) if table is not None)
    kinds = Figure(
        id="f-kind-experts",
        caption=(
            "The smallest share of a layer's experts that carries 90% of a kind's choices, a mean over layers; bars "
            "are 95% intervals over seeds. Dashed: where every expert is chosen alike."
        ),
        svg=draw_plot("kind_experts", detail.routing),
        table=_routing_table(detail),
        missing="No run recorded whom its routers chose by kind.",
    )
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
        figures=(*((kinds,) if detail.routing else ()), *((figure,) if detail.coverage else ())),
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
            _share_cell(row),
            n.fixed(row.mean_entropy, 3, n.runs(row.run_ids)),
            n.count(row.num_experts, n.runs(row.run_ids)),
            n.count(row.num_tokens, n.runs(row.run_ids)),
            n.count(row.num_runs, n.runs(row.run_ids)),
        )
        for row in detail.routing
    )
    names = (
        *("Family", "Size", "Kind", "Experts that carry 90%", "Entropy (1: even)", "Experts in a layer"),
        *("Tokens", "Runs"),
    )
    return _table("task-routing", "Experts by kind of task", names, rows, {"Family", "Size", "Kind"})


def _share_cell(row: KindRouting) -> Cell:
    reason = "one run gives no interval" if row.num_runs == 1 else "no interval"
    found = Estimate(value=row.share_for_90, interval=row.share_for_90_interval, n=row.num_runs, reason=reason)
    return estimate_cell(found, "%", n.runs(row.run_ids))


def _params_table(detail: InferenceDetail) -> Table | None:
    """Return the parameters that a token uses, one row where every kind of an arm and size uses as many."""
    groups: dict[tuple[str, str, float, int], list[KindRouting]] = {}
    for row in detail.routing:
        groups.setdefault((row.arm, row.size, row.active_params_per_token, row.total_params), []).append(row)
    rows = tuple(
        (
            arm,
            size,
            ", ".join(row.kind for row in found),
            n.si(active, "", source := n.runs(run_id for row in found for run_id in row.run_ids)),
            n.si(total, "", source),
            n.percent(found[0].active_share, source),
        )
        for (arm, size, active, total), found in groups.items()
    )
    names = ("Family", "Size", "Kinds", "Parameters a token uses", "of", "Active share")
    return _table("task-params", "Parameters that a token uses", names, rows, {"Family", "Size", "Kinds"})


def _overlap_table(detail: InferenceDetail) -> Table | None:
    rows = tuple(
        (
            pair.arm,
            pair.size,
            pair.kinds[0],
            pair.kinds[1],
            estimate_cell(pair.overlap, "", n.runs(pair.run_ids)),
            n.count(pair.overlap.n, n.runs(pair.run_ids)),
        )
        for pair in detail.overlaps
    )
    names = ("Family", "Size", "Kind", "and kind", "Overlap", "Runs")
    return _table(
        "overlaps", "How far two kinds use the same experts", names, rows, {"Family", "Size", "Kind", "and kind"}
    )


def _coverage_table(detail: InferenceDetail) -> Table | None:
    """Return the coverage row by row; how many experts there are is said once where all rows agree."""
    shapes = {(row.num_experts, row.top_k) for row in detail.coverage}
    rows = tuple(
        (
            row.arm,
            row.size,
            row.kind,
            n.count(row.batch_size, n.runs(row.run_ids)),
            estimate_cell(row.measured, "", n.runs(row.run_ids)),
            n.digits(row.expected_load, f"from the measured loads; {n.runs(row.run_ids)}"),
            n.digits(row.expected_even, f"E (1 - (1 - k/E)^b); {n.runs(row.run_ids)}"),
            *(
                (n.count(row.num_experts, n.runs(row.run_ids)), n.count(row.top_k, n.runs(row.run_ids)))
                if len(shapes) > 1
                else ()
            ),
        )
        for row in detail.coverage
    )
    names = (
        *("Family", "Size", "Kind", "Batch", "Measured", "Expected by load", "Expected if even"),
        *(("Experts", "Chosen per token") if len(shapes) > 1 else ()),
    )
    caption = "Distinct experts that one decode step touches"
    if len(shapes) == 1:
        ((num_experts, top_k),) = shapes
        caption += f", of {num_experts} in a layer; a token chooses {top_k}"
    return _table("coverage", caption, names, rows, {"Family", "Size", "Kind"})


def _table(
    table_id: str, caption: str, names: tuple[str, ...], rows: tuple[tuple[Cell, ...], ...], words: set[str]
) -> Table | None:
    columns = columns_of(names, words)
    return Table(id=table_id, caption=caption, columns=columns, rows=rows, sortable=True) if rows else None
