"""What would overturn the study: its ratios under stated alternatives, how far a claim is from turning, and grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from markupsafe import Markup

from harness.analysis.sensitivity.results import Distance, Emissions, Sensitivity, SensitivityRow
from harness.analysis.verdicts import ClaimVerdict
from harness.core.units import format_digits
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section, Table, columns_of
from harness.report.plots.registry import draw_plot
from harness.report.plots.sensitivity import NAMES, known_rows

_CHANGES = {"yes": "yes", "no": "no", "not judged": "not judged"}
_LEAD = (
    "The same records, computed once more with one choice changed at a time: what of the idle power is subtracted, "
    "which devices are inside the boundary, {}. Ratios are candidate over baseline."
)
_CHOICES = {
    "seed": "how FLOPs are counted, at which loss the families are compared, and without one seed",
    "repeat": "and without one repeat",
}
Unit = Literal["seed", "repeat"]


def sensitivity_section(found: Sensitivity, verdicts: Sequence[ClaimVerdict], unit: Unit = "seed") -> Section:
    """Return every alternative with its ratio and the verdicts it would give; what cannot be computed says why.

    `unit` is what the study's intervals are over.
    """
    facts = tuple((_short(d.statement), _show_distance(d)) for d in found.distances)
    title = "What would overturn it"
    if found.reason is not None:
        lead = f"No alternative can be computed: {found.reason}."
        return Section(id="sensitivity-section", title=title, lead=lead, facts=facts)
    figure = Figure(
        id="f-sensitivity",
        caption="Each mark is one alternative; bars span a kind of them. The thin line is the study's own ratio.",
        svg=draw_plot("sensitivity", found, verdicts),
        table=_rows_table(found),
        missing="No ratio of this study can be computed, so there is nothing to vary.",
    )
    return Section(
        id="sensitivity-section",
        title=title,
        lead=Markup("{} {}").format(_LEAD.format(_CHOICES[unit]), _summarise(found)),
        figures=(figure,),
        facts=facts,
        tables=(_emissions_table(found),) if found.emissions else (),
        notes=(
            *_list_unknown(found),
            *_NOTES,
            _LESS.format(unit=unit),
            *(f"{g.name}: {g.g_per_kwh:g} g/kWh. {g.source}." for g in found.grids),
        ),
    )


_NOTES: tuple[Cell, ...] = (
    (
        "A building's PUE and the grid multiply both sides alike: they cancel in every ratio and change no verdict, "
        "only joules and grams."
    ),
    (
        "PUE 1.58 is the mean of the Uptime Institute's survey of data centres in 2023, 1.1 what the best fleets "
        "report. Grams are for a PUE of 1, by yearly means of a grid, not of the hour or place of a run; making the "
        "hardware is not in them."
    ),
)
_LESS = (
    "Without one {unit} the claim may ask for as many {unit}s as are left; two {unit}s make wide intervals. Verdicts "
    "keep the fairness checks of the whole study."
)


def _summarise(found: Sensitivity) -> Cell:
    judged = [claim for row in found.rows for claim in row.claims if claim.changes != "not judged"]
    if not judged:
        return Markup("<strong>No verdict rests on these ratios</strong>, so none can turn.")
    turned = found.overturned
    source = "verdicts under the alternatives of this section"
    if not turned:
        return Markup("<strong>None of {} judged alternatives changes a verdict.</strong>").format(
            n.count(len(judged), source)
        )
    listed = "; ".join(dict.fromkeys(f"{NAMES[row.metric]}, {row.alternative}" for row in turned))
    return Markup("<strong>{} of {} judged alternatives change a verdict</strong>: {}.").format(
        n.count(sum(claim.changes == "yes" for claim in judged), source), n.count(len(judged), source), listed
    )


def _rows_table(found: Sensitivity) -> Table | None:
    known = known_rows(found)
    names = ("Ratio of", "Alternative", "Ratio", "Interval", "Against the study", "Grade", "Would the verdict change?")
    columns = columns_of(names, ("Alternative", "Grade", "Would the verdict change?"), first_numeric=1)
    caption = "Ratios under other choices"
    rows = tuple(_row(row) for row in known)
    return Table(id="sensitivity", caption=caption, columns=columns, rows=rows) if rows else None


def _row(row: SensitivityRow) -> tuple[Cell, ...]:
    source = f"{row.metric}, {row.alternative}"
    ends: Cell = Markup('<span class="why">no interval</span>')
    if row.interval is not None:
        ends = Markup("{} to {}").format(n.digits(row.interval.low, source), n.digits(row.interval.high, source))
    change = "" if row.change is None else f"{100 * row.change:+.1f}%"
    grade: Cell = n.grade_badge(row.grade, row.simulated) if "energy" in row.metric else "counted"
    return (
        NAMES[row.metric],
        f"{row.group}: {row.alternative}",
        n.digits(row.ratio, source),
        ends,
        n.num(row.change, change, source, "the study has no such ratio"),
        grade,
        _show_changes(row),
    )


def _show_changes(row: SensitivityRow) -> Cell:
    if not row.claims:
        return "no claim"
    return n.join(
        (
            Markup("{}: <strong>yes, {}</strong>").format(c.claim_id, c.after)
            if c.changes == "yes"
            else f"{c.claim_id}: {_CHANGES[c.changes]}"
            for c in row.claims
        ),
        "; ",
    )


def _list_unknown(found: Sensitivity) -> list[Cell]:
    """Return one line for each alternative without a ratio and its reason; ratios that share both stand together."""
    grouped: dict[tuple[str, str], list[str]] = {}
    whole = {row.metric for row in found.rows} - {row.metric for row in known_rows(found)}
    for row in found.rows:
        if row.ratio is None:
            words = "any alternative" if row.metric in whole else f"{row.group}, {row.alternative}"
            grouped.setdefault((words, row.reason or "unknown"), []).append(NAMES[row.metric].lower())
    lines: dict[str, Cell] = {}
    for (words, reason), metrics in grouped.items():
        names = ", ".join(dict.fromkeys(metrics))
        key = f"{words} {names}" if words == "any alternative" else f"{words} {reason}"
        lines.setdefault(key, f"Not computed: {words} ({names}): {reason}.")
    return list(lines.values())


def _show_distance(distance: Distance) -> Cell:
    if distance.factor is None:
        return Markup("{} <small class='why'>{}</small>").format(distance.verdict, distance.reason or "")
    source = f"limit {distance.limit:g} over the ratio of claim {distance.claim_id}"
    text = Markup("{}: its ratio would have to {} to lie at the limit").format(
        distance.verdict, _show_move(distance.factor, source)
    )
    if distance.interval_factor is not None:
        text += Markup(", and its whole interval to {}").format(
            _show_move(distance.interval_factor, f"{source}, its end")
        )
    return text


def _show_move(factor: float, source: str) -> Cell:
    times = max(factor, 1 / factor)
    shown = n.num(times, f"{format_digits(times)} times", source)
    return Markup("{} {}").format("shrink" if factor < 1 else "grow", shown)


def _emissions_table(found: Sensitivity) -> Table:
    pues = [f"Joules, PUE {pue:g}" for pue, _ in found.emissions[0].joules_at_pue]
    grids = [f"CO2e, {grid.name} ({grid.id})" for grid in found.grids]
    names = ("What", "Family", "Grade", *pues, *grids)
    rows = tuple(_emission_row(row) for row in found.emissions)
    columns = columns_of(names, first_numeric=3)
    return Table(
        id="emissions", caption="Joules behind a building's meter, and grams of CO2e", columns=columns, rows=rows
    )


def _emission_row(row: Emissions) -> tuple[Cell, ...]:
    source = n.runs(row.run_ids)
    if row.energy_j is None:
        unknown = n.unknown(row.reason, source)
        rest = ("",) * (len(row.joules_at_pue) + len(row.grams_at_grid) - 1)
        return row.quantity, row.arm, n.grade_badge(row.grade, row.simulated), unknown, *rest
    joules = tuple(n.si(value, "J", f"energy times PUE {pue:g}; {source}") for pue, value in row.joules_at_pue)
    grams = tuple(n.si(value, "g", f"energy times grid '{grid}'; {source}") for grid, value in row.grams_at_grid)
    return row.quantity, row.arm, n.grade_badge(row.grade, row.simulated), *joules, *grams


def _short(statement: str) -> str:
    return statement.rstrip(".")
