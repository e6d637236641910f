"""Loss against cost: every run, on the axis of FLOPs and on that of joules."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

from harness.analysis.results import FrontierPoint, MatchResult
from harness.core.readings import Grade
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section, Table, columns_of
from harness.report.plots.frontier_marks import Mark, Marks, gather_marks
from harness.report.plots.registry import draw_plot

_NO_POINTS = "No finished run has both a loss and this cost."


def flops_section(match: MatchResult) -> Section:
    """Return loss against counted training FLOPs."""
    marks = gather_marks(match.points, _flops)
    table = _marks_table("points-flops", marks, "Training FLOPs", lambda mark: n.si(mark.cost, "FLOP", _source(mark)))
    return Section(
        id="loss-flops-section",
        title="Loss against compute",
        lead=(f"{_told(marks)} FLOPs are counted by formula and checked by a trace."),
        figures=(
            Figure(
                id="f-flops",
                caption=_caption("Lower and further left is better.", marks),
                svg=draw_plot("loss_against_flops", match),
                table=table,
                missing=_NO_POINTS,
            ),
        ),
    )


def joules_section(match: MatchResult) -> Section:
    """Return loss against training energy, named modelled where it is."""
    word = n.warning_word(n.energy_word(p.energy_grade, p.simulated) for p in match.points).lower()

    marks = gather_marks(match.points, _joules)

    def cell(mark: Mark) -> Cell:
        grade, simulated = _worst(mark)
        shown = n.si(mark.cost, "J", _source(mark), "no energy for this run")
        return shown + " " + n.grade_badge(grade, simulated)

    boundary = sorted({"+".join(p.energy_domains) for p in match.points if p.energy_domains})
    lead: Cell = Markup("Energy boundary: {}. ").format(", ".join(boundary) or "unknown, no energy recorded")
    if word == "modelled":
        lead += Markup(
            "<strong>Modelled, not measured:</strong> these joules come from a power model, so "
            "they mostly restate running time."
        )
    elif word:
        lead += Markup("<strong>Simulated:</strong> these joules are made up to exercise the program.")
    table = _marks_table("points-joules", marks, "Training energy", cell)
    title = f"Loss against energy ({word})" if word else "Loss against energy"
    return Section(
        id="loss-joules-section",
        title=title,
        lead=lead,
        figures=(
            Figure(
                id="f-joules",
                caption=_caption("The same runs against joules.", marks),
                svg=draw_plot("loss_against_joules", match),
                table=table,
                missing=_NO_POINTS,
            ),
        ),
    )


def _flops(point: FrontierPoint) -> float | None:
    return point.flops


def _joules(point: FrontierPoint) -> float | None:
    return point.energy_j


def _told(marks: Marks) -> str:
    if marks.pooled:
        return (
            "Each mark is the mean over the seeds of one family, size and budget, its whisker runs from the lowest to "
            "the highest seed; lines join the budgets of one size."
        )
    return "Each mark is one finished run; lines join the budgets of one seed and size."


def _caption(text: str, marks: Marks) -> str:
    """Return the caption with what the marks are where they are not single runs, and with what was left out."""
    pooled = "Marks are means over seeds, whiskers run from the lowest to the highest seed." if marks.pooled else ""
    return " ".join(part for part in (text, pooled, marks.note) if part)


def _source(mark: Mark) -> str:
    return mark.run_ids[0] if len(mark.points) == 1 else n.runs(mark.run_ids)


def _worst(mark: Mark) -> tuple[Grade | None, bool]:
    grades = [point.energy_grade for point in mark.points]
    known = [grade for grade in grades if grade is not None]
    return (max(known) if len(known) == len(grades) else None), any(point.simulated for point in mark.points)


def _marks_table(table_id: str, marks: Marks, name: str, cell: Callable[[Mark], Cell]) -> Table | None:
    """Return one row a mark, in the order that the marks of the drawing name."""
    if not marks.rows:
        return None
    if marks.pooled:
        names: tuple[str, ...] = (
            "Family",
            "Size",
            "Tokens",
            "n",
            "Mean loss (bits per byte)",
            "Interval",
            "Lowest",
            "Highest",
            name,
        )
        rows: tuple[tuple[Cell, ...], ...] = tuple(_cell_row(mark, cell) for mark in marks.rows)
        columns = columns_of(names, first_numeric=2)
    else:
        names = ("Run", "Family", "Size", "Seed", "Tokens", "Loss (bits per byte)", name)
        rows = tuple(_run_row(mark.points[0], cell(mark)) for mark in marks.rows)
        columns = columns_of(names, first_numeric=3)
    return Table(id=table_id, caption=f"{name} and loss", columns=columns, rows=rows, sortable=True)


def _run_row(point: FrontierPoint, cost: Cell) -> tuple[Cell, ...]:
    return (
        point.run_id,
        point.arm,
        point.size,
        n.count(point.seed, point.run_id),
        n.count(point.tokens, point.run_id),
        n.fixed(point.loss, 4, point.run_id),
        cost,
    )


def _cell_row(mark: Mark, cell: Callable[[Mark], Cell]) -> tuple[Cell, ...]:
    source = _source(mark)
    return (
        mark.arm,
        mark.size,
        n.count(mark.tokens, source),
        n.count(mark.estimate.n, source),
        n.fixed(mark.loss, 4, source),
        n.interval(mark.estimate.interval, source, ""),
        n.fixed(mark.losses[0], 4, source),
        n.fixed(mark.losses[1], 4, source),
        cell(mark),
    )
