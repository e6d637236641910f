"""The load of the routed experts."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.core.records import RunRecord
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section, Table, columns_of
from harness.report.plots.registry import draw_plot
from harness.report.plots.routing_load import pick_cells


def routing_section(records: Sequence[RunRecord]) -> Section:
    """Return the expert load of the finished run with routing that saw the most tokens, ties by run id."""
    routed = [r for r in records if r.routing is not None and r.status == "finished"]
    shown = min(
        routed,
        key=lambda r: (-(r.path.tokens if r.path else 0), -(r.params.total if r.params else 0), r.run_id),
        default=None,
    )
    svg = (
        draw_plot("routing_load", shown.routing, shown.run_id)
        if shown is not None and shown.routing is not None
        else None
    )
    counted = any(record.training_routing is not None for record in routed)
    names = ["Run", "Experts", "Layers", "Max violation", "Mean entropy", "Dead experts"]
    names += ["Max violation in training", "Dead in training"] if counted else []
    rows = tuple(
        (
            r.run_id,
            n.count(len(r.routing.load[0]) if r.routing.load else 0, r.run_id),
            n.count(len(r.routing.load), r.run_id),
            n.digits(r.routing.max_violation, r.run_id),
            n.digits(r.routing.mean_entropy, r.run_id),
            n.count(r.routing.num_dead_experts, r.run_id),
            *(_training_cells(r) if counted else ()),
        )
        for r in routed
        if r.routing is not None
    )
    table = Table(
        id="routing",
        caption="Routing of every run with experts",
        columns=columns_of(names, ("Grade",), first_numeric=1),
        rows=rows,
        sortable=True,
    )
    lead: Cell = (
        "Sparse experts save compute only while the load is spread; a collapsed router would "
        "be a small dense model in disguise."
    )
    if shown is not None:
        lead = Markup("{} Shown: <code>{}</code>.").format(lead, shown.run_id)
    note = pick_cells(shown.routing)[2] if shown is not None and shown.routing is not None else ""
    caption = "On held-out text, and over all of training." if counted else "On held-out text."
    figure = Figure(
        id="f-routing",
        caption=f"{caption} {note}".strip(),
        svg=svg,
        table=table if rows else None,
        missing="No finished run has routing statistics.",
    )
    return Section(id="routing-section", title="Load of the experts", lead=lead, figures=(figure,))


def _training_cells(record: RunRecord) -> tuple[Cell, Cell]:
    """Return violation and dead experts over all of training."""
    routing, why = record.training_routing, "loads of training were not counted"
    return (
        n.digits(None if routing is None else routing.max_violation, record.run_id, why),
        n.count(None if routing is None else routing.num_dead_experts, record.run_id, why),
    )
