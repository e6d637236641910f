"""Loss against cost: every run, on the axis of FLOPs and on that of joules."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from harness.analysis.results import FrontierPoint, MatchResult
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section, Table, columns_of
from harness.report.plots.registry import draw_plot

_NO_POINTS = "No finished run has both a loss and this cost."


def flops_section(match: MatchResult) -> Section:
    """Return loss against counted training FLOPs."""
    table = _points_table("points-flops", match.points, ("Training FLOPs", lambda p: n.si(p.flops, "FLOP", p.run_id)))
    return Section(
        id="loss-flops-section",
        title="Loss against compute",
        lead=(
            "Each mark is one finished run; lines join the budgets of one seed and size. FLOPs "
            "are counted by formula and checked by a trace."
        ),
        figures=(
            Figure(
                id="f-flops",
                caption="Lower and further left is better.",
                svg=draw_plot("loss_against_flops", match),
                table=table,
                missing=_NO_POINTS,
            ),
        ),
    )


def joules_section(match: MatchResult) -> Section:
    """Return loss against training energy, named modelled where it is."""
    word = n.warning_word(n.energy_word(p.energy_grade, p.simulated) for p in match.points).lower()

    def cell(point: FrontierPoint) -> Cell:
        return (
            n.si(point.energy_j, "J", point.run_id, "no energy for this run")
            + " "
            + n.grade_badge(point.energy_grade, point.simulated)
        )

    boundary = sorted({"+".join(p.energy_domains) for p in match.points if p.energy_domains})
    lead: Cell = Markup("Energy boundary: {}. ").format(", ".join(boundary) or "unknown, no energy recorded")
    if word == "modelled":
        lead += Markup(
            "<strong>Modelled, not measured:</strong> these joules come from a power model, so "
            "they mostly restate running time."
        )
    elif word:
        lead += Markup("<strong>Simulated:</strong> these joules are made up to exercise the program.")
    table = _points_table("points-joules", match.points, ("Training energy", cell))
    title = f"Loss against energy ({word})" if word else "Loss against energy"
    return Section(
        id="loss-joules-section",
        title=title,
        lead=lead,
        figures=(
            Figure(
                id="f-joules",
                caption="The same runs against joules.",
                svg=draw_plot("loss_against_joules", match),
                table=table,
                missing=_NO_POINTS,
            ),
        ),
    )


def _points_table(
    table_id: str, points: Sequence[FrontierPoint], cost: tuple[str, Callable[[FrontierPoint], Cell]]
) -> Table | None:
    if not points:
        return None
    name, cell = cost
    rows = tuple(
        (
            p.run_id,
            p.arm,
            p.size,
            n.count(p.seed, p.run_id),
            n.count(p.tokens, p.run_id),
            n.fixed(p.loss, 4, p.run_id),
            cell(p),
        )
        for p in sorted(points, key=lambda p: p.run_id)
    )
    names = ("Run", "Family", "Size", "Seed", "Tokens", "Loss (bits per byte)", name)
    return Table(
        id=table_id,
        caption=f"{name} and loss",
        columns=columns_of(names, ("Grade",), first_numeric=3),
        rows=rows,
        sortable=True,
    )
