"""The multiplier over the losses that both families reached, with its interval and the claims' lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analysis.results import MatchResult, Multiplier
from harness.analysis.verdicts import ClaimVerdict
from harness.report.page.numbers import TIMES, energy_word, warning_word
from harness.report.plots import style
from harness.report.plots.frontier_marks import pick_evenly

_LOOKS: tuple[tuple[str, str, str, str], ...] = (
    ("flops", "training FLOPs", style.CANDIDATE, "o"),
    ("energy", "training energy", style.THIRD, "s"),
    ("seconds", "training seconds", style.FOURTH, "D"),
)
MAX_ROWS = 60


def thin_curve(curve: Sequence[Multiplier], limit: int = MAX_ROWS) -> tuple[Multiplier, ...]:
    """Return the rows at evenly chosen losses, so that at most `limit` are left; all of them where they are few."""
    losses = sorted({row.loss for row in curve})
    resources = max(1, len({row.resource for row in curve}))
    kept = {losses[i] for i in pick_evenly(range(len(losses)), max(2, limit // resources))}
    return tuple(row for row in curve if row.loss in kept)


def multiplier_over_loss(match: MatchResult, verdicts: Sequence[ClaimVerdict]) -> Markup | None:
    """Return multiplier (baseline over candidate) over matched loss, or ``None`` where the families never met."""
    rows = {name: _known(match.curve, name) for name, *_ in _LOOKS}
    places: dict[tuple[str, float], int] = {
        (row.resource, row.loss): place for place, row in enumerate(thin_curve(match.curve))
    }
    values = [v for found in rows.values() for m in found for v in _extent(m)]
    if not values:
        return None
    claims = sorted(
        {round(1 / v.claim.factor, 6) for v in verdicts if v.claim.metric == "training_flops" and v.claim.factor > 0}
    )
    counted = [m.estimate for m in rows["flops"] if m.estimate is not None]
    described = f"Multipliers at {len({m.loss for found in rows.values() for m in found})} matched losses."
    if counted:
        described += (
            f" The training FLOP multiplier runs from {style.ratio_text(min(counted))} to "
            f"{style.ratio_text(max(counted))}."
        )
    if claims:
        described += " Claimed: " + ", ".join(style.ratio_text(claim) for claim in claims) + "."

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        low, high = min(*values, 1.0), max(*values, 1.0, *claims)
        style.log_axis(axes, "y", low / 1.15, high * 1.2, "")
        style.plain_axis(axes.yaxis, TIMES)
        axes.axhline(1, color=style.MUTED, linewidth=1)
        axes.annotate(
            "equal cost",
            (0, 1),
            xycoords=("axes fraction", "data"),
            xytext=(4, 4),
            textcoords="offset points",
            color=style.MUTED,
        )
        for claim in claims:
            axes.axhline(claim, color=style.INK, linewidth=1.3, linestyle=(0, (6, 3)))
            axes.annotate(
                f"the claim: {style.ratio_text(claim)}",
                (0, claim),
                xycoords=("axes fraction", "data"),
                xytext=(4, -4),
                textcoords="offset points",
                va="top",
                weight="bold",
            )
        for look in _LOOKS:
            _paint_resource(axes, rows[look[0]], places, look)
        if match.matched_loss is not None:
            axes.axvline(match.matched_loss, color=style.MUTED, linestyle=(0, (4, 3)), linewidth=1)
            axes.annotate(
                "matched loss",
                (match.matched_loss, 0),
                xycoords=("data", "axes fraction"),
                xytext=(4, 4),
                textcoords="offset points",
                color=style.MUTED,
            )
        axes.invert_xaxis()
        axes.set_title(f"How many times less the {style.clip(match.candidate_arm, 12)} models need")
        axes.set_xlabel("Held-out loss, bits per byte (better to the right)")
        axes.set_ylabel("Multiplier, baseline over candidate")
        style.place_legend(axes, handlelength=2)

    return style.draw(
        "multiplier", "Multiplier over matched loss", described, paint, wide=(8.4, 3.9), narrow=(4.2, 4.4)
    )


def _paint_resource(
    axes: Axes, rows: Sequence[Multiplier], places: Mapping[tuple[str, float], int], look: tuple[str, str, str, str]
) -> None:
    name, words, colour, marker = look
    found = sorted((m for m in rows if m.estimate is not None), key=lambda m: m.loss)
    warning = warning_word(energy_word(m.grade, m.simulated) for m in found if name == "energy").lower()
    label = f"{words} ({warning})" if warning else words
    if name == "flops":
        _paint_bands(axes, found, colour)
    axes.plot(
        [m.loss for m in found],
        [m.estimate or 0.0 for m in found],
        color=colour,
        linestyle=(0, (5, 2)) if warning else "-",
        linewidth=2 if name == "flops" else 1.2,
    )
    hollow = style.PAPER if warning else colour
    _paint_dots(axes, found, places, marker=marker, markersize=6, markerfacecolor=hollow, markeredgecolor=colour)
    if found:
        axes.plot(
            [],
            [],
            color=colour,
            marker=marker,
            markerfacecolor=hollow,
            markeredgecolor=colour,
            markersize=6,
            linestyle=(0, (5, 2)) if warning else "-",
            label=label,
        )
    bounds = [m for m in rows if m.estimate is None and m.lower_bound is not None]
    if bounds:
        _paint_dots(axes, bounds, places, marker="^", markersize=8, color=colour, label=f"{words}, at least")


def _paint_bands(axes: Axes, found: Sequence[Multiplier], colour: str) -> None:
    """Draw the interval at each loss, and more lightly the one that holds at all losses at once."""
    for intervals, alpha in (([m.band for m in found], 0.12), ([m.interval for m in found], 0.2)):
        known = [(m.loss, i) for m, i in zip(found, intervals, strict=True) if i is not None and i.low > 0]
        if known:
            axes.fill_between(
                [loss for loss, _ in known],
                [i.low for _, i in known],
                [i.high for _, i in known],
                facecolor=colour,
                edgecolor="none",
                alpha=alpha,
                linewidth=0,
            )


def _paint_dots(axes: Axes, found: Sequence[Multiplier], places: Mapping[tuple[str, float], int], **look: Any) -> None:
    """Draw a mark for each point that stands in the table."""
    listed = [(places[m.resource, m.loss], m) for m in found if (m.resource, m.loss) in places]
    heights = [(m.estimate if m.estimate is not None else m.lower_bound) or 0.0 for _, m in listed]
    if listed:
        (dots,) = axes.plot([m.loss for _, m in listed], heights, linestyle="none", zorder=3, **look)
        style.mark_rows(dots, [place for place, _ in listed])


def _known(rows: Sequence[Multiplier], resource: str) -> list[Multiplier]:
    return [m for m in rows if m.resource == resource and (m.estimate is not None or m.lower_bound is not None)]


def _extent(row: Multiplier) -> list[float]:
    values = [row.estimate, row.lower_bound]
    if row.resource == "flops" and row.interval is not None:
        values += [row.interval.low, row.interval.high]
    if row.resource == "flops" and row.band is not None:
        values += [row.band.low, row.band.high]
    return [v for v in values if v is not None and v > 0]
