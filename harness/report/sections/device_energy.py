"""The figure of energy per task by device and the table under it, for trained studies and for models and servers."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.device_joules import ArmDevices, DeviceJoules, TaskJoules
from harness.analysis.stats import Estimate
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Table, columns_of
from harness.report.plots.registry import draw_plot
from harness.report.plots.task_energy import list_rows, name_device
from harness.report.sections.estimates import estimate_cell

_FIELDS = (
    ("gross", "Gross, per task"),
    ("prefill", "of it prefill"),
    ("decode", "of it decode"),
    ("net", "Net of idle, per task"),
    ("gross_per_correct", "Gross, per correct answer"),
    ("net_per_correct", "Net, per correct answer"),
)


def device_figure(figure_id: str, arms: Sequence[ArmDevices], baseline: str) -> Figure:
    """Return energy per task and per correct answer by device; a figure that nobody knows is left out with its reason.

    Rows of the table are the marks of the drawing: an arm's devices, their sum, then what stands beside the boundary.
    """
    shown = [
        (name, title)
        for name, title in _FIELDS
        if any(_estimate(joules, name).value is not None for joules in _list_joules(arms))
    ]
    rows = tuple(_row(arm, part, [name for name, _ in shown]) for arm, part in list_rows(arms))
    columns = columns_of(
        ("Family", "Size", "Part", *(title for _, title in shown), "Grade"), {"Part", "Grade"}, first_numeric=2
    )
    caption = (
        "Bars are stacked by device; hatched: modelled, whiskers: 95% intervals of the sum. Net: above idle power. "
        "Only devices inside the study's boundary are added up."
    )
    return Figure(
        id=figure_id,
        caption=" ".join((caption, *_list_missing(arms))),
        svg=draw_plot("energy_per_task", arms, baseline),
        table=Table(id="task-devices", caption="Energy per task by device", columns=columns, rows=rows)
        if rows and shown
        else None,
        missing="No family has an energy per task at a matched quality.",
    )


def _list_joules(arms: Sequence[ArmDevices]) -> list[TaskJoules]:
    return [joules for arm in arms for joules in (arm.total, *(part.joules for part in arm.parts))]


def _list_missing(arms: Sequence[ArmDevices]) -> list[str]:
    """Return one sentence for each reason why figures are unknown in every row."""
    told: dict[str, list[str]] = {}
    for name, title in _FIELDS:
        found = [_estimate(joules, name) for joules in _list_joules(arms)]
        if found and all(estimate.value is None for estimate in found):
            reasons = "; ".join(dict.fromkeys(estimate.reason or "not recorded" for estimate in found))
            told.setdefault(reasons, []).append(title.removeprefix("of it ").capitalize())
    return [f"{'; '.join(titles)}: unknown ({reasons})." for reasons, titles in told.items()]


def _row(arm: ArmDevices, part: DeviceJoules | None, names: Sequence[str]) -> tuple[Cell, ...]:
    source = n.runs(arm.run_ids)
    if part is None:
        label: Cell = Markup("<strong>{}</strong>").format("inside the boundary, in all")
        joules, badge = arm.total, n.grade_badge(arm.grade, arm.simulated)
    else:
        where = "" if part.inside else " beside the boundary"
        label = Markup('{}{} <small class="why">{}</small>').format(
            name_device(part, arm), where, f"{part.device}, {', '.join(part.sensors)}"
        )
        joules, badge = part.joules, n.grade_badge(part.grade, part.simulated)
    cells = (estimate_cell(_estimate(joules, name), "J", source) for name in names)
    return (arm.arm, arm.size, label, *cells, badge)


def _estimate(joules: TaskJoules, name: str) -> Estimate:
    found: Estimate = getattr(joules, name)
    return found
