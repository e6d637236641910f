"""The share of experts that carries 90% of a kind's choices, kind by kind, beside an even load."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.analysis.inference.results import KindRouting
from harness.analysis.inference.routing import CARRIED
from harness.report.plots import style

_COLOURS = (style.CANDIDATE, style.THIRD, style.FOURTH, style.BASELINE)


def kind_experts(rows: Sequence[KindRouting]) -> Markup | None:
    """Return one line a kind with a mark for each sparse arm and size; ``None`` where no run recorded its choices."""
    if not rows:
        return None
    kinds = sorted({row.kind for row in rows})
    models = sorted({(row.arm, row.size) for row in rows})
    described = (
        "; ".join(f"{row.kind}, {row.arm} {row.size}: {100 * row.share_for_90:.1f}% of the experts" for row in rows)
        + f" carry {100 * CARRIED:.0f}% of the choices."
    )
    title = f"Experts that carry {100 * CARRIED:.0f}% of the choices"

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.grid(axis="y", visible=False)
        step = 0.6 / len(models)
        for place, row in enumerate(rows):
            model = models.index((row.arm, row.size))
            value, interval = 100 * row.share_for_90, row.share_for_90_interval
            ends = (interval.low, interval.high) if interval is not None else (row.share_for_90, row.share_for_90)
            drawn = axes.errorbar(
                [value],
                [kinds.index(row.kind) - 0.3 + step * (model + 0.5)],
                xerr=[[max(0.0, value - 100 * ends[0])], [max(0.0, min(100.0, 100 * ends[1]) - value)]],
                color=_COLOURS[model % len(_COLOURS)],
                marker=style.MARKERS[model % len(style.MARKERS)],
                markersize=7,
                capsize=3,
                linestyle="none",
            )
            if drawn.lines[0] is not None:
                style.mark_rows(drawn.lines[0], [place])
        axes.axvline(100 * CARRIED, color=style.INK, linestyle=(0, (4, 2)), linewidth=1)
        axes.set_xlim(0, 102)
        axes.set_ylim(len(kinds) - 0.5, -0.5)
        axes.set_yticks(range(len(kinds)), [style.clip(kind, 18) for kind in kinds])
        style.plain_axis(axes.xaxis, "%")
        axes.set_title(title.removesuffix(" of the choices") if style.is_narrow(axes) else title)
        axes.set_xlabel("Share of a layer's experts")
        handles = [
            Line2D(
                [],
                [],
                color=_COLOURS[place % len(_COLOURS)],
                marker=style.MARKERS[place % len(style.MARKERS)],
                linestyle="none",
                label=f"{style.clip(arm, 12)} {style.clip(size, 10)}",
            )
            for place, (arm, size) in enumerate(models)
        ]
        handles.append(Line2D([], [], color=style.INK, linestyle=(0, (4, 2)), linewidth=1, label="an even load"))
        style.place_legend(axes, handles=handles)

    height = 1.4 + 0.42 * len(kinds)
    return style.draw("kind-experts", title, described, paint, wide=(8.4, height), narrow=(4.2, height + 0.6))
