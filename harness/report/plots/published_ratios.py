"""Published, this study's and projected ratios on one log axis, by what they compare; three kinds of marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.core.units import format_digits
from harness.report.plots import style

Kind = Literal["published", "this study", "projected"]
KINDS: tuple[Kind, ...] = ("published", "this study", "projected")
CLAIMED = 0.1
_LOOKS: dict[Kind, tuple[str, str, bool]] = {
    "published": (style.BASELINE, "o", True),
    "this study": (style.CANDIDATE, "D", True),
    "projected": (style.THIRD, "s", False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioMark:
    """One ratio, candidate over baseline: its axis, who says so, its interval where there is one, its table row."""

    axis: str
    kind: Kind
    value: float
    low: float | None = None
    high: float | None = None
    row: int


def published_ratios(marks: Sequence[RatioMark]) -> Markup | None:
    """Return the ratios lane by lane, or ``None`` without any."""
    if not marks:
        return None
    axes_names = list(dict.fromkeys(mark.axis for mark in marks))
    lanes = [(axis, kind) for axis in axes_names for kind in KINDS if _of(marks, axis, kind)]
    ends = [end for m in marks for end in (m.value, m.low, m.high) if end is not None and end > 0]
    described = "; ".join(_describe(marks, axis) for axis in axes_names) + f". Claimed: {CLAIMED:g}."

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        places, named = _place(lanes), set[tuple[int, ...]]()
        for (axis, kind), place in zip(lanes, places, strict=True):
            lane = _of(marks, axis, kind)
            dots, rows = _paint_lane(axes, lane, kind, place), tuple(mark.row for mark in lane)
            if rows not in named:  # the one row of an axis is named once
                style.mark_rows(dots, rows)
                named.add(rows)
        axes.axvline(1, color=style.MUTED, linewidth=1)
        axes.axvline(CLAIMED, color=style.INK, linewidth=1.3, linestyle=(0, (6, 3)))
        axes.annotate(
            f" claimed {CLAIMED:g}", (CLAIMED, 1), xycoords=("data", "axes fraction"), va="top", weight="bold"
        )
        middles = [
            sum(place for (name, _), place in zip(lanes, places, strict=True) if name == axis)
            / sum(name == axis for name, _ in lanes)
            for axis in axes_names
        ]
        axes.set_yticks(middles, axes_names)
        axes.set_ylim(places[-1] + 0.8, -1.2)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        style.log_axis(axes, "x", min(*ends, CLAIMED) / 1.3, max(*ends, 1.0) * 1.3, "")
        less = "" if style.is_narrow(axes) else " (below 1 the sparse model needs less)"
        axes.set_xlabel(f"Candidate over baseline{less}")
        axes.set_title("Published, this study, projected")
        handles = _legend({mark.kind for mark in marks})
        if style.is_narrow(axes):
            figure.legend(handles=handles, loc="outside lower center", ncols=3, handlelength=1)
        else:
            style.place_legend(axes, handles=handles, handlelength=1)

    height = 1.3 + 0.24 * len(lanes) + 0.16 * len(axes_names)
    return style.draw(
        "published-ratios",
        "Published, measured and projected ratios",
        described,
        paint,
        wide=(8.4, height),
        narrow=(4.2, height + 0.4),
    )


def _of(marks: Sequence[RatioMark], axis: str, kind: Kind) -> list[RatioMark]:
    return sorted((m for m in marks if (m.axis, m.kind) == (axis, kind)), key=lambda m: (m.value, m.row))


def _place(lanes: Sequence[tuple[str, Kind]]) -> list[float]:
    """Return where each lane stands, with a gap between axes."""
    places: list[float] = []
    for i, (axis, _) in enumerate(lanes):
        gap = 1.0 if i == 0 or lanes[i - 1][0] == axis else 1.7
        places.append(places[-1] + gap if places else 0.0)
    return places


def _paint_lane(axes: Axes, marks: Sequence[RatioMark], kind: Kind, place: float) -> Line2D:
    colour, marker, filled = _LOOKS[kind]
    for mark in marks:
        if mark.low is not None and mark.high is not None:
            axes.plot([mark.low, mark.high], [place, place], color=colour, linewidth=2.2, alpha=0.6)
    (dots,) = axes.plot(
        [mark.value for mark in marks],
        [place] * len(marks),
        color=colour,
        marker=marker,
        markersize=6.5,
        markerfacecolor=colour if filled else style.PAPER,
        markeredgecolor=style.PAPER if filled else colour,
        linestyle="none",
        alpha=0.9,
    )
    return dots


def _legend(kinds: set[Kind]) -> list[Line2D]:
    handles = []
    for kind in KINDS:
        if kind in kinds:
            colour, marker, filled = _LOOKS[kind]
            handles.append(
                Line2D(
                    [],
                    [],
                    color=colour,
                    marker=marker,
                    markersize=6.5,
                    markerfacecolor=colour if filled else style.PAPER,
                    markeredgecolor=style.PAPER if filled else colour,
                    linestyle="none",
                    label=kind,
                )
            )
    return handles


def _describe(marks: Sequence[RatioMark], axis: str) -> str:
    parts = []
    for kind in KINDS:
        values = [mark.value for mark in _of(marks, axis, kind)]
        if values:
            span = format_digits(values[0])
            if values[-1] > values[0]:
                span += f" to {format_digits(values[-1])}"
            parts.append(f"{kind} {span}" + (f" ({len(values)})" if len(values) > 1 else ""))
    return f"{axis}: {', '.join(parts)}"
