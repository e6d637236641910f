"""Published claims with their arithmetic beside this study's ratios and projections: three columns, never mixed."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.claims.projected import BATCHES, ProjectedRow
from harness.analysis.claims.published import PublishedRow
from harness.analysis.laws.matched import MatchedLaws
from harness.analysis.laws.multiplier import LawMultiplier
from harness.analysis.results import Interval, MatchResult, Resource, TaskMetric
from harness.analysis.stats import invert_interval
from harness.core.readings import Grade
from harness.core.units import format_digits
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Column, Figure, Section, Table
from harness.report.plots.published_ratios import RatioMark
from harness.report.plots.registry import draw_plot

_NAMES = ("About", "What", "Published", "This study", "Projected", "Isolates")
_AXES = (
    "training compute",
    "training energy",
    "inference compute",
    "energy per task",
    "energy per token",
    "speed",
    "memory",
    "quality",
)
# Only a ratio of candidate over baseline can stand beside a ratio of this study, and only on the same axis.
_RATIO_UNITS = ("ratio", "ratio, upper bound", "ratio of time")
_RESOURCES: dict[str, Resource] = {"training compute": "flops", "training energy": "energy"}
_TASKS: dict[str, TaskMetric] = {"inference compute": "flops_per_task", "energy per task": "energy_per_task"}
_LABELS = {
    "flops": "training FLOPs",
    "energy": "training energy",
    "seconds": "training time",
    "flops_per_task": "FLOPs per task",
    "energy_per_task": "energy per task",
    "seconds_per_task": "time per task",
}
_PRESS = {"training": "training claim", "per task": "task claim"}
_LEAD = (
    "Three kinds of numbers that nobody should mix. Published: other people's figures, and no verdict, computed here "
    "from published inputs, on other models, data and machines. This study: its own ratios on the same axis. "
    "Projected: what a model of energy and compute says of published pairs; nobody measured it. Ratios are candidate "
    "(sparse) over baseline (dense), so below 1 the sparse model needs less."
)
_NOTES: tuple[Cell, ...] = (
    (
        "Tags of inputs: P a primary source (repository, model card, data, abstract), S a secondary one that quotes "
        "it, D derived by arithmetic. A computed value is always D."
    ),
    (
        "About: the axis that a row speaks on, and which of the two press claims it bears on. Isolates: whether only "
        "the architecture differs between the two sides; what else differs is in the details."
    ),
)


class _Own:
    """One ratio of this study: what the table says of it, and the mark that it makes where it is no model's answer."""

    def __init__(self, cell: Cell, values: tuple[float, float | None, float | None] | None = None) -> None:
        self.cell = cell
        self.values = values


def published_section(
    rows: Sequence[PublishedRow],
    match: MatchResult,
    projected: Sequence[ProjectedRow] = (),
    laws: MatchedLaws | None = None,
) -> Section:
    """Return published rows, the ratios of `match` on the same axes, and projections, in columns of their own."""
    ordered = _order(rows)
    owns = [_find_own(row, match) for row in ordered]
    projections = [*(_projected(row) for row in projected), *_project_laws(laws)]
    body = tuple(_row(row, own) for row, own in zip(ordered, owns, strict=True))
    body += tuple(cells for cells, _ in projections)
    table = Table(
        id="published",
        caption="Published, this study, projected",
        columns=tuple(Column(name, name == "Published") for name in _NAMES),
        rows=body,
        filterable=True,
    )
    marks = list_marks(rows, match, [points for _, points in projections])
    figure = Figure(
        id="f-published",
        caption="Each mark is one ratio. Bars are this study's intervals; hollow marks are projected, grade D.",
        svg=draw_plot("published_ratios", marks),
        table=table,
        missing="No published claim is shipped.",
    )
    return Section(
        id="published-section",
        title="Published claims beside what was measured",
        lead=_LEAD,
        figures=(figure,) if body else (),
        notes=_NOTES if body else ("No published claim is shipped.",),
    )


def _row(row: PublishedRow, own: _Own) -> tuple[Cell, ...]:
    value = n.digits(row.value, f"claim {row.id}: {row.formula}")
    return (
        row.axis if row.bears_on == "none" else f"{row.axis} ({_PRESS[row.bears_on]})",
        Markup('{} <details class="why"><summary>details</summary>{}</details>').format(row.statement, _details(row)),
        Markup("{} {}{}").format(value, row.unit, _show_expected(row)),
        own.cell,
        "",
        "yes" if row.isolates_architecture else "no",
    )


def _projected(row: ProjectedRow) -> tuple[tuple[Cell, ...], list[tuple[str, float]]]:
    """Return the table's row of a projection, and its marks as (axis, ratio)."""
    source = f"projection {row.id}"
    found = {f" at batch {batch}": row.values.get(f"ratio_at_batch_{batch}") for batch in BATCHES}
    axis = "energy per token"
    if "flops_ratio_causal" in row.values:
        axis, found = "training compute", {" in FLOPs": row.values["flops_ratio_causal"]}
    known = {words: float(value) for words, value in found.items() if isinstance(value, float)}
    shown = n.join((Markup("{}{}").format(n.digits(value, source), words) for words, value in known.items()), ", ")
    pair, _, rest = row.text.partition(", ")
    cells: tuple[Cell, ...] = (
        f"{axis} ({_PRESS['training' if axis == 'training compute' else 'per task']})",
        Markup('{} <details class="why"><summary>details</summary>{}.</details>').format(pair, rest),
        "",
        "",
        Markup("{} {}").format(shown, n.projected_badge()),
        "yes" if row.values.get("isolates_architecture") else "no",
    )
    return cells, [(axis, value) for value in known.values()]


def _project_laws(laws: MatchedLaws | None) -> list[tuple[tuple[Cell, ...], list[tuple[str, float]]]]:
    """Return what this study's own laws say beyond its runs; nothing without two laws."""
    comparison = laws.study.comparison if laws is not None and laws.study is not None else None
    found: list[LawMultiplier] = list(comparison.multipliers) if comparison is not None else []
    rows = []
    for m in found:
        if not m.extrapolated or not m.estimate or m.loss is None:
            continue
        source = f"laws of {m.baseline} and {m.candidate}"
        ends = invert_interval(m.interval)
        span: Cell = ", no interval"
        if ends is not None:
            span = Markup(" ({} to {}, {:.0f}%)").format(
                n.digits(ends.low, source), n.digits(ends.high, source), 100 * ends.level
            )
        cells: tuple[Cell, ...] = (
            "training compute (training claim)",
            Markup("This study's laws, {} over {}, at {} bits per byte: beyond the runs of {}").format(
                m.candidate, m.baseline, n.fixed(m.loss, 3, source), " and ".join(m.extrapolated)
            ),
            "",
            "",
            Markup("{}{} {}").format(n.digits(1 / m.estimate, source), span, n.projected_badge()),
            "yes",
        )
        rows.append((cells, [("training compute", 1 / m.estimate)]))
    return rows


def _order(rows: Sequence[PublishedRow]) -> list[PublishedRow]:
    return sorted(rows, key=lambda row: _AXES.index(row.axis))


def list_marks(
    rows: Sequence[PublishedRow], match: MatchResult, projections: Sequence[Sequence[tuple[str, float]]] = ()
) -> list[RatioMark]:
    """Return the marks of the figure; this study's ratio on an axis stands once, at the first row that shows it.

    `projections` holds (axis, ratio) of each projected row, which stand in the table after the published ones.
    """
    marks: list[RatioMark] = []
    seen: set[str] = set()
    rows = _order(rows)
    for i, row in enumerate(rows):
        own = _find_own(row, match)
        if row.unit not in _RATIO_UNITS or row.axis not in _AXES[:6] or row.value <= 0:
            continue
        axis: str = row.axis
        if axis == "speed":
            axis = "training time" if row.bears_on == "training" else "time per task"
        marks.append(RatioMark(axis=axis, kind="published", value=row.value, row=i))
        if own.values is not None and axis not in seen:
            seen.add(axis)
            value, low, high = own.values
            marks.append(RatioMark(axis=axis, kind="this study", value=value, low=low, high=high, row=i))
    for i, points in enumerate(projections, start=len(rows)):
        marks += [RatioMark(axis=axis, kind="projected", value=value, row=i) for axis, value in points if value > 0]
    order = [row.axis for row in rows]
    return sorted(marks, key=lambda mark: order.index(mark.axis) if mark.axis in order else len(order))


def _details(row: PublishedRow) -> Cell:
    inputs = n.join(
        (
            Markup("{} = {} {} ({})").format(
                name,
                n.num(given.value, f"{given.value:.6g}", f"claim {row.id}"),
                given.unit,
                given.tag if given.source == row.source else f"{given.tag}: {given.source}",
            )
            for name, given in row.inputs.items()
        ),
        "; ",
    )
    tags = f"{row.tag} of {', '.join(row.input_tags)}"
    return Markup("{} Source: {}. Tags: {}. Value: <code>{}</code> with {}.").format(
        row.note, row.source, tags, row.filled_formula, inputs
    )


def _show_expected(row: PublishedRow) -> Cell:
    if row.expected is None:
        return ""
    shown = n.num(row.expected, f"{row.expected:g}", f"claim {row.id}: {row.source}")
    return Markup(' <small class="why">published: {} ({})</small>').format(shown, "agrees" if row.agrees else "differs")


def _find_own(row: PublishedRow, match: MatchResult) -> _Own:
    """Return this study's ratio on the row's axis; a modelled one is named and not shown as a number."""
    if row.unit not in _RATIO_UNITS:
        return _Own("no ratio to compare")
    if row.axis == "speed":
        return _own_resource("seconds", match) if row.bears_on == "training" else _own_task("seconds_per_task", match)
    if row.axis in _RESOURCES:
        return _own_resource(_RESOURCES[row.axis], match)
    if row.axis in _TASKS:
        return _own_task(_TASKS[row.axis], match)
    return _Own("not measured by this study")


def _own_resource(resource: Resource, match: MatchResult) -> _Own:
    found = next((m for m in match.headline if m.resource == resource), None)
    if found is None or not found.estimate:
        return _Own("not measured")
    # The study's multiplier is baseline over candidate; published ratios are the other way round.
    flipped = invert_interval(found.interval)
    grade = found.grade if "energy" in resource else None
    return _own(_LABELS[resource], 1 / found.estimate, flipped, grade, found.simulated, found.run_ids)


def _own_task(metric: TaskMetric, match: MatchResult) -> _Own:
    found = next((r for r in match.task_ratios if r.metric == metric), None)
    if found is None or found.estimate is None:
        return _Own("not measured")
    grade = found.grade if "energy" in metric else None
    simulated = grade is not None and any(task.simulated for task in match.arm_tasks)
    return _own(_LABELS[metric], found.estimate, found.interval, grade, simulated, found.run_ids)


def _own(  # noqa: PLR0917 - one ratio and where it comes from
    label: str,
    estimate: float,
    interval: Interval | None,
    grade: Grade | None,
    simulated: bool,
    run_ids: Sequence[str],
) -> _Own:
    source = f"this study's {label}; {n.runs(run_ids)}"
    if simulated or n.is_modelled(grade):
        return _Own(Markup("{} not measured: it is {}").format(label, n.grade_badge(grade, simulated)))
    shown = n.num(estimate, format_digits(estimate), source)
    if interval is None:
        return _Own(Markup("{} {}, no interval").format(label, shown), (estimate, None, None))
    low, high = (n.num(end, format_digits(end), source) for end in (interval.low, interval.high))
    cell = Markup("{} {} ({} to {}, {:.0f}%)").format(label, shown, low, high, 100 * interval.level)
    return _Own(cell, (estimate, interval.low, interval.high))
