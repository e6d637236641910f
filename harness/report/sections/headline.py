"""The multipliers at the matched loss, and over every loss that both families reached."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.results import MatchResult
from harness.analysis.verdicts import ClaimVerdict
from harness.core.units import format_digits
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section, Table, columns_of
from harness.report.plots.headline_ratios import RatioRow, gather_ratios
from harness.report.plots.multiplier_curve import thin_curve
from harness.report.plots.registry import draw_plot
from harness.report.sections.ratio_tables import multiplier_table


def headline_section(match: MatchResult, verdicts: Sequence[ClaimVerdict]) -> Section:
    """Return the multipliers at the matched loss, and all headline ratios in one figure."""
    lead: Cell = Markup(
        "What the <b>{0}</b> models cost for each unit that the <b>{1}</b> models cost: in the figure, below 1 they "
        "need less. The table of multipliers has it the other way round, baseline over candidate: above 1 they need "
        "less."
    ).format(match.candidate_arm, match.baseline_arm)
    if match.matched_loss is None:
        lead = Markup("No multiplier: {}.").format(
            match.matched_loss_reason or "there is no loss that both families reached"
        )
    else:
        lead += Markup(" All at {} bits per byte, picked by the rule “{}” before the first run.").format(
            n.fixed(match.matched_loss, 3, f"rule: {match.rule}"), match.rule
        )
    edges = sorted({arm for row in match.headline for arm in row.edge_arms})
    notes = (
        (
            (
                f"Size-limited: the cheapest size of {', '.join(edges)} stands at an edge of its "
                "ladder, so the numbers are size-matched, not a frontier's."
            ),
        )
        if edges
        else ()
    )
    table = multiplier_table("headline", "Multipliers at the matched loss", match.headline, per_seed=True)
    figure = Figure(
        id="f-ratios",
        caption=(
            "Candidate over baseline on a log scale: left of 1 the candidate needs less. The figure's table has both "
            "directions."
        ),
        svg=draw_plot("headline_ratios", match, verdicts),
        table=_ratios_table(gather_ratios(match, verdicts)),
        missing="No ratio is known.",
    )
    return Section(
        id="multipliers",
        title="Headline ratios",
        lead=lead,
        figures=(figure,) if match.headline or match.task_ratios else (),
        tables=(table,) if match.headline else (),
        notes=notes,
    )


def _ratios_table(rows: Sequence[RatioRow]) -> Table | None:
    """Return the ratios in both directions, one row a mark of the figure."""
    if not rows:
        return None
    names = ("What", "Candidate over baseline", "Interval", "Baseline over candidate", "n", "Claimed", "Grade")
    return Table(
        id="headline-ratios",
        caption="Headline ratios in both directions",
        columns=columns_of(names, ("Grade",), first_numeric=1),
        rows=tuple(_ratio_cells(row) for row in rows),
    )


def _ratio_cells(row: RatioRow) -> tuple[Cell, ...]:
    source = n.runs(row.run_ids)
    ratio = n.digits(row.estimate, source, row.reason)
    inverse = None if row.estimate is None or row.estimate <= 0 else 1 / row.estimate
    other = n.num(inverse, f"{format_digits(inverse)}{n.TIMES}", source, row.reason)
    if row.at_most:
        ratio = Markup('at most {} <small class="why">{}</small>').format(ratio, row.reason or "an upper bound")
        other = Markup("at least {}").format(other)
    claims = n.join((n.digits(factor, "factor of the claim") for factor in row.claimed), ", ")
    badge = (
        n.grade_badge(row.grade, row.simulated)
        if "nergy" in row.name
        else Markup('<span class="badge measured">{}</span>').format(row.word)
    )
    return (row.name, ratio, n.interval(row.interval, source, ""), other, n.count(row.n, source), claims or "", badge)


def curve_section(match: MatchResult, verdicts: Sequence[ClaimVerdict]) -> Section:
    """Return the multiplier over all losses that both families reached."""
    shown = thin_curve(match.curve)
    table = multiplier_table("curve", "Multipliers over matched losses", shown, per_seed=False)
    caption = "Interpolated inside what both families reached, never beyond."
    if len(shown) < len(match.curve):
        caption += f" Marks and table: {len(shown)} of {len(match.curve)} points, evenly chosen; the JSON holds all."
    lead: Cell = (
        "One matched loss is a choice; this is the multiplier at all of them. The band is the pointwise interval of "
        "the FLOP multiplier; the lighter one around it holds at all losses at once (Bonferroni)."
    )
    figure = Figure(
        id="f-curve",
        caption=caption,
        svg=draw_plot("multiplier_over_loss", match, verdicts),
        table=table,
        missing="The families have no loss in common, so there is no curve.",
    )
    return Section(id="curve-section", title="The multiplier over quality", lead=lead, figures=(figure,))
