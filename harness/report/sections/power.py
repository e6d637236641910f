"""Power over the time of one run with its measured windows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from harness.core.readings import EnergyReading
from harness.core.records import RunRecord, WindowRecord
from harness.core.units import format_si
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section, Table, columns_of
from harness.report.page.privacy import scrub_inputs
from harness.report.plots.power_trace import MAX_WINDOWS, clean_series
from harness.report.plots.registry import draw_plot
from harness.report.sections.run_lists import list_runs


def trace_section(records: Sequence[RunRecord], traces: Mapping[str, Mapping[str, Any]], candidate: str) -> Section:
    """Return the power trace of one run: a candidate's with the most windows, ties by run id."""
    by_id = {record.run_id: record for record in records}
    order = sorted(
        (run for run in traces if run in by_id),
        key=lambda run: (by_id[run].arm != candidate, -len(by_id[run].windows), run),
    )
    # the first one that can be drawn, so that no other has to be read
    run_id = next((run for run in order if clean_series(dict(traces[run]))), None)
    passed = order if run_id is None else order[: order.index(run_id)]
    notes = (
        (Markup("Power traces that cannot be read, or hold no sample: {}.").format(list_runs(passed)),)
        if passed
        else ()
    )
    missing = "No power trace was recorded, or none can be read."
    if run_id is None:
        return Section(
            id="power-section",
            title="Power over one run",
            figures=(Figure(id="f-power", caption="", svg=None, table=None, missing=missing),),
            notes=notes,
        )
    record, trace = by_id[run_id], scrub_inputs(dict(traces[run_id]))
    word = n.warning_word(n.energy_word(sensor.grade, sensor.simulated) for sensor in record.sensors)
    pooled = len(record.windows) > MAX_WINDOWS
    table = _phases_table(record) if pooled else _windows_table(record)
    places = [w.phase for w in _by_phase(record)]
    rows = {
        (window.phase, round(window.begin_s, 3)): places.index(window.phase) if pooled else row
        for row, window in enumerate(record.windows)
    }
    lead: Cell = Markup("Run {}. Shaded: the windows whose energy is summed.").format(
        Markup("<code>{}</code>").format(run_id)
    )
    if word:
        lead += Markup(" <strong>{}, not measured.</strong>").format(word.capitalize())
    svg = draw_plot("power_trace", trace, run_id, word=word, rows=rows)
    title = f"Power over one run ({word.lower()})" if word else "Power over one run"
    figure = Figure(id="f-power", caption="Mean power between readings.", svg=svg, table=table, missing=missing)
    return Section(id="power-section", title=title, lead=lead, figures=(figure,), notes=notes)


def _windows_table(record: RunRecord) -> Table:
    run_id = record.run_id
    return Table(
        id="trace-windows",
        caption=f"Windows of {run_id}",
        columns=columns_of(("Window", "Begin", "Length", "Energy", "Grade"), ("Grade",), first_numeric=1),
        rows=tuple(
            (
                f"{window.phase.replace('_', ' ')} {window.repetition}",
                n.seconds(window.begin_s, run_id),
                n.seconds(window.duration_s, run_id),
                _gross(window.energy),
                _worst(window.energy),
            )
            for window in record.windows
        ),
    )


@dataclass(frozen=True, slots=True)
class _Phase:
    phase: str
    windows: tuple[WindowRecord, ...]


def _by_phase(record: RunRecord) -> list[_Phase]:
    """Return the windows of each phase together, phases in the order in which they first came."""
    names = dict.fromkeys(window.phase for window in record.windows)
    return [_Phase(name, tuple(w for w in record.windows if w.phase == name)) for name in names]


def _phases_table(record: RunRecord) -> Table:
    run_id = record.run_id
    source = f"{run_id}, sum over the windows of the phase"
    return Table(
        id="trace-windows",
        caption=f"{len(record.windows)} windows of {run_id}, summed by phase",
        columns=columns_of(("Phase", "Windows", "Total length", "Total energy", "Grade"), ("Grade",), first_numeric=1),
        rows=tuple(
            (
                found.phase.replace("_", " "),
                n.count(len(found.windows), source),
                n.seconds(math.fsum(window.duration_s for window in found.windows), source),
                _gross_sum(found.windows, source),
                _worst([reading for window in found.windows for reading in window.energy]),
            )
            for found in _by_phase(record)
        ),
    )


def _gross_sum(windows: Sequence[WindowRecord], source: str) -> Cell:
    """Return the energy of each sensor over all windows, unknown as soon as one window lacks it."""
    names = dict.fromkeys((r.sensor, r.domain, r.device_index) for window in windows for r in window.energy)
    parts = []
    for name in names:
        found = [r for window in windows for r in window.energy if (r.sensor, r.domain, r.device_index) == name]
        known = [r.energy_j for r in found if r.energy_j is not None]
        total = math.fsum(known) if len(known) == len(windows) else None
        why = next((r.reason for r in found if r.energy_j is None), None) or "a window lacks this reading"
        parts.append(Markup("{} {}").format(name[1], n.num(total, format_si(total, "J"), f"{source}, {name[0]}", why)))
    return n.join(parts, ", ") if parts else n.unknown("no sensor was open")


def _gross(readings: Sequence[EnergyReading]) -> Cell:
    parts = [
        Markup("{} {}").format(r.domain, n.num(r.energy_j, format_si(r.energy_j, "J"), r.sensor, r.reason))
        for r in readings
    ]
    return n.join(parts, ", ") if parts else n.unknown("no sensor was open")


def _worst(readings: Sequence[EnergyReading]) -> Markup:
    return n.grade_badge(max((r.grade for r in readings), default=None), any(r.simulated for r in readings))
