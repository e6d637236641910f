"""One look for all figures: sentinel colours in, CSS variables out, text as text, the same bytes every time.

Matplotlib cannot write ``var(--ink)``, so figures are drawn with colours that stand for variables and the SVG's text
is rewritten. Text of records is data: mathtext is off, so that a dollar sign in a name is a dollar sign.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from harness.core.units import format_digits, format_si
from harness.report.page.numbers import TIMES
from harness.report.plots.board import put_up
from harness.report.plots.svg import ROWS, inline

INK, MUTED, GRID = "#010101", "#020202", "#030303"
BASELINE, CANDIDATE, THIRD, FOURTH = "#040404", "#050505", "#060606", "#070707"
PAPER = "#080808"
HEAT = tuple(f"#0a0a{step:02x}" for step in range(9))
VARIABLES: dict[str, str] = {
    INK: "ink",
    MUTED: "muted",
    GRID: "rule",
    BASELINE: "c-base",
    CANDIDATE: "c-cand",
    THIRD: "c-third",
    FOURTH: "c-fourth",
    PAPER: "paper",
    **{colour: f"heat{step}" for step, colour in enumerate(HEAT)},
}
NARROW_INCHES = 6.0
# More entries than these would leave no room for the axes.
MAX_LEGEND = 14
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 1.5, 1, 1.5)))
_RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "isojoule",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 10,
    "axes.labelsize": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.edgecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "hatch.color": INK,
    "hatch.linewidth": 0.7,
    "patch.edgecolor": INK,
    "lines.markeredgecolor": PAPER,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "butt",
}


def draw(
    figure_id: str,
    title: str,
    description: str,
    paint: Callable[[Figure], None],
    *,
    wide: tuple[float, float],
    narrow: tuple[float, float],
) -> Markup:
    """Return the inline SVG of what `paint` draws, once for wide pages and once for phones; the style shows one.

    Sizes are in inches. Text in an SVG shrinks with the page, so one drawing cannot be legible at both widths. While a
    page is made this is what stands for the drawing until its board is finished (`board`).
    """

    def draw_one(kind: str, name: str, size: tuple[float, float]) -> Markup:
        return inline(_paint_svg(paint, size), name, title, description, kind, VARIABLES)

    return put_up([partial(draw_one, "wide", figure_id, wide), partial(draw_one, "narrow", f"{figure_id}-n", narrow)])


def _paint_svg(paint: Callable[[Figure], None], size: tuple[float, float]) -> str:
    with mpl.rc_context(_RC):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        engine = figure.get_layout_engine()
        if engine is not None:  # savefig would draw everything once more only to lay it out
            engine.execute(figure)
            figure.set_layout_engine("none")
        _leave_out_unseen(figure)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return stream.getvalue()


def mark_rows(artist: Artist, rows: Sequence[int]) -> None:
    """Say which rows of the figure's table the marks of `artist` stand for, in the order in which they are drawn."""
    artist.set_gid(ROWS + "-".join(map(str, rows)))


def _leave_out_unseen(figure: Figure) -> None:
    """Take out the marks that name rows and lie outside of the view, and their rows.

    Matplotlib cuts a line at the edge of the paper before it puts marks on it, which adds and loses some.
    """
    for line in figure.findobj(Line2D):
        gid = line.get_gid() or ""
        if not isinstance(line, Line2D) or not gid.startswith(ROWS) or line.axes is None:
            continue
        box = line.axes.bbox.padded(1.0)
        data: Any = line.get_xydata()
        places: Any = line.get_transform().transform(data)
        seen = [bool(math.isfinite(x) and math.isfinite(y) and box.contains(x, y)) for x, y in places]
        if all(seen):
            continue
        rows = gid.removeprefix(ROWS).split("-")
        if len(rows) == len(seen) and line.get_linestyle() == "None":
            line.set_data(*data[seen].T)
            line.set_gid(ROWS + "-".join(row for row, ok in zip(rows, seen, strict=True) if ok))
        else:
            line.set_gid(None)


def is_narrow(axes: Axes) -> bool:
    """Return whether this is the drawing for phones."""
    figure = axes.get_figure(root=True)
    return figure is not None and float(figure.get_figwidth()) < NARROW_INCHES


def cap_handles(handles: Sequence[Any], limit: int = MAX_LEGEND) -> list[Any]:
    """Return at most `limit` entries of a legend, the last of them telling how many more there are."""
    if len(handles) <= limit:
        return list(handles)
    rest = Line2D([], [], linestyle="none", label=f"and {len(handles) - limit + 1} more")
    return [*handles[: limit - 1], rest]


def place_legend(axes: Axes, *, columns: int = 2, **options: Any) -> None:
    """Put the legend beside the axes on wide pages and below them on phones; a long one is cut and says so."""
    if "handles" in options:
        options["handles"] = cap_handles(options["handles"])
    if is_narrow(axes):
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=columns, **options)
    else:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), **options)


def clip(text: str, limit: int = 22) -> str:
    """Return `text` cut to `limit` characters, so that no name can push a figure aside; tables hold it whole."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def si_axis(axis: Any, unit: str) -> None:
    """Label a (log) axis with SI prefixes."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value, unit)))
    axis.set_minor_formatter(NullFormatter())


def tick_text(value: float, unit: str) -> str:
    """Return a tick's label with an SI prefix and no trailing zeros."""
    number, _, rest = format_si(value, unit, 4).partition(" ")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number} {rest}"


def log_axis(axes: Axes, which: str, low: float, high: float, unit: str) -> None:
    """Make an axis logarithmic from `low` to `high` with as many round ticks as fit."""
    ticks = log_ticks(low, high, 4 if which == "x" and is_narrow(axes) else 8)
    if which == "x":
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.set_xticks(ticks)
        si_axis(axes.xaxis, unit) if unit else plain_axis(axes.xaxis)
    else:
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        axes.set_yticks(ticks)
        si_axis(axes.yaxis, unit) if unit else plain_axis(axes.yaxis)
    axes.minorticks_off()


def log_ticks(low: float, high: float, limit: int) -> list[float]:
    """Return round ticks in [low, high], at most `limit`: 1, 2, 5 per decade, or 1, 3, or every n-th power of ten."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ladders = [[step * 10.0**power for power in powers for step in steps] for steps in ((1, 2, 5), (1, 3), (1,))]
    ladders += [[10.0**power for power in powers if power % every == 0] for every in (2, 3, 6)]
    found = [[tick for tick in ladder if low <= tick <= high] for ladder in ladders]
    return next((ticks for ticks in found if len(ticks) <= limit), found[-1])


def plain_axis(axis: Any, suffix: str = "") -> None:
    """Label an axis with plain digits and a suffix."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{suffix}"))
    axis.set_minor_formatter(NullFormatter())


def ratio_text(value: float) -> str:
    """Return a multiplier as people read it."""
    return f"{value:g}{TIMES}" if value == round(value) else f"{format_digits(value)}{TIMES}"
