"""Ratios of several studies with their intervals, one row for each quantity and study; a modelled ratio is hollow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.core.units import format_digits
from harness.report.page.numbers import TIMES
from harness.report.plots import style

_COLOURS = (style.BASELINE, style.CANDIDATE, style.THIRD, style.FOURTH)
# An interval may be wider than any drawing: what lies further than this from every ratio is cut off.
_REACH = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """One ratio of one study; `position` numbers its study, `row` is its row in the figure's table."""

    quantity: str
    study: str
    position: int
    estimate: float | None
    low: float | None
    high: float | None
    lower_bound: float | None
    hollow: bool
    row: int


def ratio_forest(
    figure_id: str, title: str, axis: str, rows: Sequence[ForestRow], studies: Sequence[str]
) -> Markup | None:
    """Return the rows under one another on a log axis, or ``None`` where none has a value."""
    drawn = [row for row in rows if _place(row) is not None]
    if not drawn:
        return None
    quantities = list(dict.fromkeys(row.quantity for row in drawn))
    low, high = _span(drawn)
    described = "; ".join(f"{row.quantity}, {row.study}: {_words(row)}" for row in drawn) + "."

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        narrow = style.is_narrow(axes)
        axes.grid(axis="y", visible=False)
        style.log_axis(axes, "x", low, high, "")
        style.plain_axis(axes.xaxis, TIMES)
        axes.axvline(1, color=style.MUTED, linewidth=1)
        step = 1.0 / (len(studies) + 1.0)
        for number, quantity in enumerate(quantities):
            if number:
                axes.axhline(number - 0.5, color=style.GRID, linewidth=0.6)
            for row in (row for row in drawn if row.quantity == quantity):
                _draw_row(axes, row, number + (row.position - (len(studies) - 1) / 2) * step)
        axes.set_yticks(range(len(quantities)), [_wrap(name) if narrow else name for name in quantities])
        axes.set_ylim(len(quantities) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_title(_wrap(title) if narrow else title)
        axes.set_xlabel(axis.replace(" (", "\n(") if narrow else axis)
        handles = [_handle(position, style.clip(name, 24)) for position, name in enumerate(studies)]
        if any(row.hollow for row in drawn):
            handles.append(_hollow())
        axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=1)

    rows_drawn = len(quantities) * max(1, len(studies))
    height = 1.5 + 0.24 * len(studies) + 0.3 * rows_drawn
    return style.draw(figure_id, title, described, paint, wide=(8.4, height), narrow=(4.2, height + 0.8))


def _draw_row(axes: Axes, row: ForestRow, height: float) -> None:
    colour = _COLOURS[row.position % len(_COLOURS)]
    marker = style.MARKERS[row.position % len(style.MARKERS)]
    if row.low is not None and row.high is not None and row.low > 0:
        axes.plot(
            [row.low, row.high],
            [height, height],
            color=colour,
            linewidth=1.6,
            linestyle=style.DASHES[1] if row.hollow else "-",
            solid_capstyle="butt",
        )
    mark = axes.plot(
        [_place(row) or 0.0],
        [height],
        marker=marker if row.estimate is not None else ">",
        markersize=7,
        color=colour,
        markerfacecolor=style.PAPER if row.hollow else colour,
        markeredgecolor=colour,
        markeredgewidth=1.5,
        linestyle="none",
    )
    style.mark_rows(mark[0], [row.row])


def _handle(position: int, name: str) -> Line2D:
    colour = _COLOURS[position % len(_COLOURS)]
    marker = style.MARKERS[position % len(style.MARKERS)]
    return Line2D([], [], color=colour, marker=marker, markersize=7, markeredgecolor=colour, label=name)


def _hollow() -> Line2D:
    return Line2D(
        [],
        [],
        color=style.MUTED,
        marker="o",
        markersize=7,
        markerfacecolor=style.PAPER,
        markeredgecolor=style.MUTED,
        linestyle=style.DASHES[1],
        label="hollow: modelled, not measured",
    )


def _place(row: ForestRow) -> float | None:
    value = row.estimate if row.estimate is not None else row.lower_bound
    return value if value is not None and value > 0 else None


def _span(rows: Sequence[ForestRow]) -> tuple[float, float]:
    places = [place for row in rows if (place := _place(row)) is not None] + [1.0]
    low, high = min(places), max(places)
    ends = [end for row in rows for end in (row.low, row.high) if end is not None and end > 0]
    return max(low / _REACH, min([low, *ends])) / 1.12, min(high * _REACH, max([high, *ends])) * 1.12


def _words(row: ForestRow) -> str:
    word = " (modelled)" if row.hollow else ""
    if row.estimate is None:
        return f"at least {format_digits(row.lower_bound)}{TIMES}{word}"
    if row.low is None or row.high is None:
        return f"{format_digits(row.estimate)}{TIMES}, no interval{word}"
    return f"{format_digits(row.estimate)}{TIMES}, {format_digits(row.low)} to {format_digits(row.high)}{word}"


def _wrap(name: str) -> str:
    """Return the name on two lines where it is long, broken near its middle."""
    words = name.split()
    if len(name) <= 16 or len(words) < 2:
        return name
    cut = min(range(1, len(words)), key=lambda i: abs(len(" ".join(words[:i])) - len(name) / 2))
    return " ".join(words[:cut]) + "\n" + " ".join(words[cut:])
