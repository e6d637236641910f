"""Power over the time of one run with its measured windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from harness.core.records import EnergyReading, RunRecord
from harness.core.units import format_si
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section, Table, columns_of
from harness.report.plots.power_trace import clean_series
from harness.report.plots.registry import draw_plot


def trace_section(records: Sequence[RunRecord], traces: Mapping[str, Mapping[str, Any]], candidate: str) -> Section:
    """Return the power trace of one run: a candidate's with the most windows, ties by run id."""
    by_id = {record.run_id: record for record in records}
    order = sorted(
        (run for run in traces if run in by_id),
        key=lambda run: (by_id[run].arm != candidate, -len(by_id[run].windows), run),
    )
    # the first one that can be drawn, so that no other has to be read
    run_id = next((run for run in order if clean_series(dict(traces[run]))), None)
    missing = "No power trace was recorded, or none can be read."
    if run_id is None:
        return Section(
            id="power-section",
            title="Power over one run",
            figures=(Figure(id="f-power", caption="", svg=None, table=None, missing=missing),),
        )
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
    table = Table(
        id="trace-windows",
        caption=f"Windows of {run_id}",
        columns=columns_of(columns, ("Grade",), first_numeric=1),
        rows=tuple(rows),
    )
    lead: Cell = Markup("Run {}. Shaded: the windows whose energy is summed.").format(
        Markup("<code>{}</code>").format(run_id)
    )
    if word:
        lead += Markup(" <strong>{}, not measured.</strong>").format(word.capitalize())
    svg = draw_plot("power_trace", trace, run_id, word=word)
    title = f"Power over one run ({word.lower()})" if word else "Power over one run"
    figure = Figure(id="f-power", caption="Mean power between readings.", svg=svg, table=table, missing=missing)
    return Section(id="power-section", title=title, lead=lead, figures=(figure,))


def _gross(readings: Sequence[EnergyReading]) -> Cell:
    parts = [
        Markup("{} {}").format(r.domain, n.num(r.energy_j, format_si(r.energy_j, "J"), r.sensor, r.reason))
        for r in readings
    ]
    return n.join(parts, ", ") if parts else n.unknown("no sensor was open")


def _worst(readings: Sequence[EnergyReading]) -> Markup:
    return n.grade_badge(max((r.grade for r in readings), default=None), any(r.simulated for r in readings))
