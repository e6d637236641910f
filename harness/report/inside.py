"""Two looks inside single runs: power over time with its windows, and the load of the experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from harness.core.records import EnergyReading, RunRecord
from harness.core.units import format_si
from harness.report import numbers as n
from harness.report.blocks import Cell, Column, Figure, Section, Table
from harness.report.plots.power_trace import clean_series
from harness.report.plots.registry import draw_plot


def trace_section(records: Sequence[RunRecord], traces: Mapping[str, Mapping[str, Any]], candidate: str) -> Section:
    """Return the power trace of one run: a candidate's with the most windows, ties by run id."""
    by_id = {record.run_id: record for record in records}
    usable = [run for run in traces if run in by_id and clean_series(dict(traces[run]))]
    missing = "No power trace was recorded, or none can be read."
    if not usable:
        return Section(
            id="power-section",
            title="Power over one run",
            figures=(Figure(id="f-power", caption="", svg=None, table=None, missing=missing),),
        )
    run_id = min(usable, key=lambda run: (by_id[run].arm != candidate, -len(by_id[run].windows), run))
    record, trace = by_id[run_id], dict(traces[run_id])
    word = n.warning_word(n.energy_word(sensor.grade, sensor.simulated) for sensor in record.sensors)
    columns = ("Window", "Begin", "Length", "Energy", "Grade")
    rows = []
    for window in record.windows:
        sums = _gross(window.energy)
        name = f"{window.phase.replace('_', ' ')} {window.repetition}"
        rows.append(
            (name, n.seconds(window.begin_s, run_id), n.seconds(window.duration_s, run_id), sums, _worst(window.energy))
        )
    table = Table(id="trace-windows", caption=f"Windows of {run_id}", columns=_columns(columns, 1), rows=tuple(rows))
    lead: Cell = Markup("Run {}. Shaded: the windows whose energy is summed.").format(
        Markup("<code>{}</code>").format(run_id)
    )
    if word:
        lead += Markup(" <strong>{}, not measured.</strong>").format(word.capitalize())
    svg = draw_plot("power_trace", trace, run_id, word=word)
    title = f"Power over one run ({word.lower()})" if word else "Power over one run"
    figure = Figure(id="f-power", caption="Mean power between readings.", svg=svg, table=table, missing=missing)
    return Section(id="power-section", title=title, lead=lead, figures=(figure,))


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
        id="routing", caption="Routing of every run with experts", columns=_columns(names, 1), rows=rows, sortable=True
    )
    lead: Cell = (
        "Sparse experts save compute only while the load is spread; a collapsed router would "
        "be a small dense model in disguise."
    )
    if shown is not None:
        lead = Markup("{} Shown: <code>{}</code>.").format(lead, shown.run_id)
    figure = Figure(
        id="f-routing",
        caption="On held-out text, and over all of training." if counted else "On held-out text.",
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


def _gross(readings: Sequence[EnergyReading]) -> Cell:
    parts = [
        Markup("{} {}").format(r.domain, n.num(r.energy_j, format_si(r.energy_j, "J"), r.sensor, r.reason))
        for r in readings
    ]
    return n.join(parts, ", ") if parts else n.unknown("no sensor was open")


def _worst(readings: Sequence[EnergyReading]) -> Markup:
    return n.grade_badge(max((r.grade for r in readings), default=None), any(r.simulated for r in readings))


def _columns(names: Sequence[str], first_numeric: int) -> tuple[Column, ...]:
    return tuple(Column(name, i >= first_numeric and name != "Grade") for i, name in enumerate(names))
