"""The multipliers at the matched loss, and over every loss that both families reached."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.results import MatchResult
from harness.analysis.verdicts import ClaimVerdict
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section
from harness.report.plots.registry import draw_plot
from harness.report.sections.ratio_tables import multiplier_table


def headline_section(match: MatchResult) -> Section:
    """Return the multipliers at the matched loss."""
    lead: Cell = Markup(
        "Baseline cost over candidate cost: above 1 the <b>{}</b> models need less than the <b>{}</b> models."
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
    return Section(
        id="multipliers", title="The multipliers", lead=lead, tables=(table,) if match.headline else (), notes=notes
    )


def curve_section(match: MatchResult, verdicts: Sequence[ClaimVerdict]) -> Section:
    """Return the multiplier over all losses that both families reached."""
    table = multiplier_table("curve", "Multipliers over matched losses", match.curve, per_seed=False)
    lead: Cell = (
        "One matched loss is a choice; this is the multiplier at all of them. The band is the pointwise interval of "
        "the FLOP multiplier; the table also has the wider one that holds at all losses at once (Bonferroni)."
    )
    figure = Figure(
        id="f-curve",
        caption="Interpolated inside what both families reached, never beyond.",
        svg=draw_plot("multiplier_over_loss", match, verdicts),
        table=table,
        missing="The families have no loss in common, so there is no curve.",
    )
    return Section(id="curve-section", title="The multiplier over quality", lead=lead, figures=(figure,))
