"""Loss against cost: every finished run, the matched loss, and the gap between the families as a multiplier."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.analysis.results import FrontierPoint, MatchResult, Multiplier
from harness.core.units import format_si
from harness.report.page.numbers import energy_word, warning_word
from harness.report.plots import style

Cost = Callable[[FrontierPoint], float | None]


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
    found = []
    for (seed, _), size in zip(row.per_seed, sizes, strict=False):
        line = [p for p in match.points if (p.arm, p.size, p.seed) == (match.candidate_arm, size, seed)]
        if (value := cost_at_loss(line, row.loss, cost)) is not None:
            found.append(math.log(value))
    return math.exp(sum(found) / len(found)) if found else None


def _frontier(  # noqa: PLR0917 - two callers, ten lines above
    match: MatchResult, resource: str, cost: Cost, unit: str, name: str, figure_id: str, word: str
) -> Markup | None:
    points = [(p, c) for p in match.points if (c := cost(p)) is not None and c > 0]
    if not points:
        return None
    row = next((m for m in match.headline if m.resource == resource), None)
    sizes = sorted(
        {p.size for p, _ in points}, key=lambda size: min((p.active_params or 0) for p, _ in points if p.size == size)
    )
    title = f"Loss against {name}"
    costs = [c for _, c in points]
    losses = [p.loss for p, _ in points]
    described = (
        f"{len(points)} finished runs; {name} from {format_si(min(costs), unit)} to {format_si(max(costs), unit)}, "
        f"loss from {max(losses):.3f} down to {min(losses):.3f} bits per byte."
    )
    if row is not None and row.estimate is not None:
        described += f" At {row.loss:.3f} bits per byte the multiplier is {style.ratio_text(row.estimate)}."
    if word:
        described += f" The energy is {word}, not measured."

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for arm, colour in ((match.baseline_arm, style.BASELINE), (match.candidate_arm, style.CANDIDATE)):
            for position, size in enumerate(sizes):
                _paint_lines(axes, [(p, c) for p, c in points if (p.arm, p.size) == (arm, size)], colour, position)
        shown = [*losses, match.matched_loss] if match.matched_loss is not None else losses
        spread = max(shown) - min(shown) or 0.1
        axes.set_ylim(min(shown) - 0.12 * spread, max(shown) + 0.12 * spread)
        style.log_axis(axes, "x", min(costs) / 1.35, max(costs) * 1.35, unit)
        axes.set_title(title)
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


def _paint_lines(axes: Axes, points: list[tuple[FrontierPoint, float]], colour: str, position: int) -> None:
    marker = style.MARKERS[position % len(style.MARKERS)]
    dash = style.DASHES[position % len(style.DASHES)]
    for seed in sorted({p.seed for p, _ in points}):
        line = sorted((c, p.loss) for p, c in points if p.seed == seed)
        axes.plot(
            [c for c, _ in line],
            [loss for _, loss in line],
            color=colour,
            marker=marker,
            markersize=6,
            linestyle=dash,
            linewidth=1.1,
            alpha=0.8,
        )


def _paint_gap(axes: Axes, match: MatchResult, row: Multiplier, cost: Cost) -> None:
    value = row.estimate if row.estimate is not None else row.lower_bound
    start = candidate_cost(match, row, cost)
    if value is None or start is None:
        return
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, start * min(value, 1) / 1.2), max(high, start * max(value, 1) * 1.2))
    axes.annotate(
        "",
        (start * value, row.loss),
        xytext=(start, row.loss),
        arrowprops={
            "arrowstyle": "<->" if row.estimate is not None else "->",
            "color": style.INK,
            "linewidth": 1.8,
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )
    words = style.ratio_text(value) if row.estimate is not None else f"at least {style.ratio_text(value)}"
    axes.annotate(
        words,
        (start * math.sqrt(value), row.loss),
        xytext=(0, -7),
        textcoords="offset points",
        ha="center",
        va="top",
        weight="bold",
        bbox={"facecolor": style.PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
        fontsize=12,
        color=style.INK,
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
        for i, size in enumerate(sizes)
    ]
    return arms + shapes
