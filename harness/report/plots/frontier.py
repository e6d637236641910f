"""Loss against cost: runs or their cells, the matched loss, and the gap between the families as a multiplier."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.analysis.results import FrontierPoint, MatchResult, Multiplier
from harness.core.units import format_digits, format_si
from harness.report.page.numbers import energy_word, warning_word
from harness.report.plots import style
from harness.report.plots.frontier_marks import Cost, Mark, Marks, gather_marks
from harness.report.plots.svg import MERGED

MAX_SIZES = 8


def loss_against_flops(match: MatchResult) -> Markup | None:
    """Return loss (bits per byte) against training FLOPs, or ``None`` without a finished run."""
    return _frontier(match, "flops", lambda point: point.flops, "FLOP", "training compute", "loss-flops", "")


def loss_against_joules(match: MatchResult) -> Markup | None:
    """Return loss against training energy (J); a modelled energy is named so in title and axis."""
    word = warning_word(energy_word(point.energy_grade, point.simulated) for point in match.points)
    name = f"{word} training energy".strip()
    return _frontier(match, "energy", lambda point: point.energy_j, "J", name, "loss-joules", word.lower())


def cost_at_loss(points: Sequence[FrontierPoint], loss: float, cost: Cost) -> float | None:
    """Return the cost at `loss` by interpolating log cost over loss along one run family, ``None`` outside of it."""
    known = sorted((p.loss, c) for p in points if (c := cost(p)) is not None and c > 0)
    for reached, spent in known:
        if math.isclose(reached, loss, rel_tol=1e-9):
            return spent
    for (low, cost_low), (high, cost_high) in itertools.pairwise(known):
        if low <= loss <= high and high > low:
            share = (loss - low) / (high - low)
            return math.exp((1 - share) * math.log(cost_low) + share * math.log(cost_high))
    return None


def candidate_cost(match: MatchResult, row: Multiplier, cost: Cost) -> float | None:
    """Return where the candidate stands at the row's loss: the geometric mean over seeds at its cheapest sizes."""
    sizes = row.sizes.get(match.candidate_arm, ())
    lines: dict[tuple[str, int], list[FrontierPoint]] = {}
    for point in match.points:
        if point.arm == match.candidate_arm:
            lines.setdefault((point.size, point.seed), []).append(point)
    found = []
    for (seed, _), size in zip(row.per_seed, sizes, strict=False):
        if (value := cost_at_loss(lines.get((size, seed), ()), row.loss, cost)) is not None:
            found.append(math.log(value))
    return math.exp(sum(found) / len(found)) if found else None


def _frontier(  # noqa: PLR0917 - two callers, ten lines above
    match: MatchResult, resource: str, cost: Cost, unit: str, name: str, figure_id: str, word: str
) -> Markup | None:
    marks = gather_marks(match.points, cost)
    drawn = [(place, marks.rows[place]) for place in marks.drawn]
    if not drawn:
        return None
    row = next((m for m in match.headline if m.resource == resource), None)
    known = [mark for _, mark in drawn]
    sizes = sorted(
        {mark.size for mark in known},
        key=lambda size: (min((m.points[0].active_params or 0) for m in known if m.size == size), size),
    )
    costs = [mark.cost or 0.0 for mark in known]
    losses = [loss for mark in known for loss in mark.losses]
    title = f"Loss against {name}" + (", means over seeds" if marks.pooled else "")
    described = _describe(
        match, marks, row, f"{name} from {format_si(min(costs), unit)} to {format_si(max(costs), unit)}"
    )
    if word:
        described += f" The energy is {word}, not measured."

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for arm, colour in ((match.baseline_arm, style.BASELINE), (match.candidate_arm, style.CANDIDATE)):
            for position, size in enumerate(sizes):
                _paint_marks(axes, [(i, m) for i, m in drawn if (m.arm, m.size) == (arm, size)], colour, position)
        shown = [*losses, match.matched_loss] if match.matched_loss is not None else losses
        spread = max(shown) - min(shown) or 0.1
        axes.set_ylim(min(shown) - 0.12 * spread, max(shown) + 0.12 * spread)
        style.log_axis(axes, "x", min(costs) / 1.35, max(costs) * 1.35, unit)
        axes.set_title(title.replace(", means", ",\nmeans") if style.is_narrow(axes) else title)
        axes.set_xlabel(f"{name[0].upper()}{name[1:]}, {unit}" + (f" ({word}, not measured)" if word else ""))
        axes.set_ylabel("Held-out loss, bits per byte")
        if match.matched_loss is not None:
            axes.axhline(match.matched_loss, color=style.MUTED, linestyle=(0, (4, 3)), linewidth=1)
            axes.annotate(
                f"matched loss {match.matched_loss:.3f}",
                (0, match.matched_loss),
                xycoords=("axes fraction", "data"),
                xytext=(4, 4),
                textcoords="offset points",
                ha="left",
                color=style.MUTED,
            )
        if row is not None:
            _paint_gap(axes, match, row, cost)
        style.place_legend(axes, handles=_legend(match, sizes), handlelength=3)

    return style.draw(figure_id, title, described, paint, wide=(8.4, 4.3), narrow=(4.2, 4.6))


def _describe(match: MatchResult, marks: Marks, row: Multiplier | None, costs: str) -> str:
    found = [marks.rows[place] for place in marks.drawn]
    runs = sum(len(mark.points) for mark in found)
    what = f"{len(found)} means over seeds of {runs} finished runs" if marks.pooled else f"{runs} finished runs"
    losses = [loss for mark in found for loss in mark.losses]
    described = f"{what}; {costs}, loss from {max(losses):.3f} down to {min(losses):.3f} bits per byte."
    if row is not None and row.estimate is not None:
        described += f" At {row.loss:.3f} bits per byte the multiplier is {style.ratio_text(row.estimate)}"
        if row.interval is not None:
            described += f", {_ends(row)} ({100 * row.interval.level:.0f}% interval)"
        described += "."
    elif row is not None and row.lower_bound is not None:
        described += f" At {row.loss:.3f} bits per byte the multiplier is at least {style.ratio_text(row.lower_bound)}."
    elif match.matched_loss is None:
        described += " The families have no loss in common."
    return f"{described} {marks.note}".strip()


def _ends(row: Multiplier) -> str:
    if row.interval is None:
        return ""
    return f"{format_digits(row.interval.low)} to {format_digits(row.interval.high)}"


def _paint_marks(axes: Axes, marks: list[tuple[int, Mark]], colour: str, position: int) -> None:
    """Draw the lines of each seed (or of the means), the whiskers over seeds, and then the marks in one artist."""
    if not marks:
        return
    marker = style.MARKERS[position % len(style.MARKERS)]
    dash = style.DASHES[position % len(style.DASHES)]
    lines: dict[int, list[tuple[float, float]]] = {}
    for _, mark in marks:
        seed = mark.points[0].seed if len(mark.points) == 1 else -1
        lines.setdefault(seed, []).append((mark.cost or 0.0, mark.loss))
    path = [point for _, line in sorted(lines.items()) for point in [*sorted(line), (math.nan, math.nan)]]
    axes.plot([x for x, _ in path], [y for _, y in path], color=colour, linestyle=dash, linewidth=1.1, alpha=0.8)
    spread = [(place, mark) for place, mark in marks if mark.losses[0] < mark.losses[1]]
    if spread:
        whiskers = axes.vlines(
            [mark.cost or 0.0 for _, mark in spread],
            [mark.losses[0] for _, mark in spread],
            [mark.losses[1] for _, mark in spread],
            color=colour,
            linewidth=1.1,
        )
        whiskers.set_gid(MERGED)
    (dots,) = axes.plot(
        [mark.cost or 0.0 for _, mark in marks],
        [mark.loss for _, mark in marks],
        color=colour,
        marker=marker,
        markersize=6,
        linestyle="none",
        zorder=3,
    )
    style.mark_rows(dots, [place for place, _ in marks])


def _paint_gap(axes: Axes, match: MatchResult, row: Multiplier, cost: Cost) -> None:
    """Draw the ratio as an arrow from the candidate to the baseline, its interval as a band about the arrow's end."""
    value = row.estimate if row.estimate is not None else row.lower_bound
    start = candidate_cost(match, row, cost)
    if value is None or start is None:
        return
    ends = [value, 1.0] + ([row.interval.low, row.interval.high] if row.interval is not None else [])
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, start * min(ends) / 1.2), max(high, start * max(ends) * 1.2))
    words = style.ratio_text(value)
    if row.estimate is None:
        words = f"at least {words}"
    elif row.interval is not None:
        words = f"{words} ({_ends(row)})"
        axes.plot(
            [start * row.interval.low, start * row.interval.high],
            [row.loss] * 2,
            color=style.INK,
            linewidth=9,
            alpha=0.22,
            zorder=3.5,
        )
        axes.plot(
            [start * row.interval.low, start * row.interval.high],
            [row.loss] * 2,
            color=style.INK,
            linestyle="none",
            marker="|",
            markersize=11,
            markeredgecolor=style.INK,
            markeredgewidth=1.4,
            zorder=4,
        )
    axes.annotate(
        "",
        (start * value, row.loss),
        xytext=(start, row.loss),
        zorder=4,
        arrowprops={
            "arrowstyle": "<->" if row.estimate is not None else "->",
            "color": style.INK,
            "linewidth": 1.8,
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )
    # Loss falls to the right, so the upper right corner is free of marks.
    axes.annotate(
        f"at matched loss\n{words}",
        (1, 1),
        xycoords="axes fraction",
        xytext=(-2, -2),
        textcoords="offset points",
        ha="right",
        va="top",
        weight="bold",
        bbox={"facecolor": style.PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1},
        fontsize=11,
        color=style.INK,
        zorder=2.9,
    )


def _legend(match: MatchResult, sizes: Sequence[str]) -> list[Any]:
    arms = [
        Line2D([], [], color=colour, linewidth=4, label=style.clip(arm.lstrip("_") or arm))
        for arm, colour in ((match.baseline_arm, style.BASELINE), (match.candidate_arm, style.CANDIDATE))
    ]
    shapes = [
        Line2D(
            [],
            [],
            color=style.MUTED,
            marker=style.MARKERS[i % len(style.MARKERS)],
            markersize=6,
            linestyle=style.DASHES[i % len(style.DASHES)],
            linewidth=1.1,
            label=style.clip(f"size {size}"),
        )
        for i, size in enumerate(sizes[:MAX_SIZES])
    ]
    if len(sizes) > MAX_SIZES:
        shapes.append(Line2D([], [], linestyle="none", label=f"and {len(sizes) - MAX_SIZES} more sizes"))
    return arms + shapes
