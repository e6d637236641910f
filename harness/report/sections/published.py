"""Published claims with their arithmetic beside what was measured: other people's figures, never a verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.claims.published import PublishedRow
from harness.analysis.results import Interval, MatchResult, Resource, TaskMetric
from harness.analysis.stats import invert_interval
from harness.core.records import Grade
from harness.core.units import format_digits
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Column, Section, Table

_NAMES = ("What was published", "About", "Computed", "This study", "Isolates", "Tags", "Arithmetic")
_MAX_FORMULA = 60
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


def published_section(rows: Sequence[PublishedRow], match: MatchResult) -> Section:
    """Return the table of published rows, each beside the ratio of `match` on the same axis where there is one."""
    lead = (
        "These are other people's figures, and no verdict: each is computed here from published inputs, on other "
        "models, data and machines. They stand beside this study's own ratios so that nobody mixes the two. Ratios "
        "are candidate (sparse) over baseline (dense), so below 1 the sparse model needs less."
    )
    body = tuple(_row(row, match) for row in rows)
    table = Table(
        id="published",
        caption="Published claims and their arithmetic",
        columns=tuple(Column(name, name == "Computed") for name in _NAMES),
        rows=body,
        filterable=True,
    )
    notes: tuple[Cell, ...] = (
        (
            "Tags: P a primary source (repository, model card, data, abstract), S a secondary one that quotes it, D "
            "derived by arithmetic. A computed value is always D; its inputs keep their own tags."
        ),
        (
            "About: the axis that a row speaks on, and which of the two press claims it bears on. Isolates: whether "
            "only the architecture differs between the two sides; what else differs is in the details."
        ),
    )
    return Section(
        id="published-section",
        title="Published claims beside what was measured",
        lead=lead,
        tables=(table,) if body else (),
        notes=notes if body else ("No published claim is shipped.",),
    )


def _row(row: PublishedRow, match: MatchResult) -> tuple[Cell, ...]:
    value = n.digits(row.value, f"claim {row.id}: {row.formula}")
    return (
        Markup('{} <details class="why"><summary>details</summary>{}</details>').format(row.statement, _details(row)),
        row.axis if row.bears_on == "none" else f"{row.axis} ({_PRESS[row.bears_on]})",
        Markup("{} {}{}").format(value, row.unit, _show_expected(row)),
        _show_own(row, match),
        "yes" if row.isolates_architecture else "no",
        f"{row.tag} of {', '.join(row.input_tags)}",
        Markup("<code>{}</code>").format(textwrap.shorten(row.filled_formula, _MAX_FORMULA, placeholder=" ...")),
    )


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
    return Markup("{} Source: {}. Value: <code>{}</code>, that is <code>{}</code>. Inputs: {}.").format(
        row.note, row.source, row.formula, row.filled_formula, inputs
    )


def _show_expected(row: PublishedRow) -> Cell:
    if row.expected is None:
        return ""
    shown = n.num(row.expected, f"{row.expected:g}", f"claim {row.id}: {row.source}")
    return Markup(' <small class="why">published: {} ({})</small>').format(shown, "agrees" if row.agrees else "differs")


def _show_own(row: PublishedRow, match: MatchResult) -> Cell:
    """Return this study's ratio on the row's axis; a modelled one is named and not shown as a number."""
    if row.unit not in _RATIO_UNITS:
        return "no ratio to compare"
    if row.axis == "speed":
        return _own_resource("seconds", match) if row.bears_on == "training" else _own_task("seconds_per_task", match)
    if row.axis in _RESOURCES:
        return _own_resource(_RESOURCES[row.axis], match)
    if row.axis in _TASKS:
        return _own_task(_TASKS[row.axis], match)
    return "not measured by this study"


def _own_resource(resource: Resource, match: MatchResult) -> Cell:
    found = next((m for m in match.headline if m.resource == resource), None)
    if found is None or not found.estimate:
        return "not measured"
    # The study's multiplier is baseline over candidate; published ratios are the other way round.
    flipped = invert_interval(found.interval)
    grade = found.grade if "energy" in resource else None
    return _own(_LABELS[resource], 1 / found.estimate, flipped, grade, found.simulated)


def _own_task(metric: TaskMetric, match: MatchResult) -> Cell:
    found = next((r for r in match.task_ratios if r.metric == metric), None)
    if found is None or found.estimate is None:
        return "not measured"
    grade = found.grade if "energy" in metric else None
    simulated = grade is not None and any(task.simulated for task in match.arm_tasks)
    return _own(_LABELS[metric], found.estimate, found.interval, grade, simulated)


def _own(label: str, estimate: float, interval: Interval | None, grade: Grade | None, simulated: bool) -> Cell:
    source = f"this study's {label}, with its runs in the tables above"
    if simulated or n.is_modelled(grade):
        return Markup("{} not measured: it is {}").format(label, n.grade_badge(grade, simulated))
    shown = n.num(estimate, format_digits(estimate), source)
    if interval is None:
        return Markup("{} {}, no interval").format(label, shown)
    low, high = (n.num(end, format_digits(end), source) for end in (interval.low, interval.high))
    return Markup("{} {} ({} to {}, {:.0f}%)").format(label, shown, low, high, 100 * interval.level)
