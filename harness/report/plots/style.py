"""One look for all figures: sentinel colours in, CSS variables out, text as text, the same bytes every time.

Matplotlib cannot write ``var(--ink)``, so figures are drawn with colours that stand for variables and the SVG's text
is rewritten. Text of records is data: mathtext is off, so that a dollar sign in a name is a dollar sign.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from harness.core.units import format_digits, format_si
from harness.report.numbers import TIMES

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
}


def draw(
    figure_id: str, title: str, description: str, paint: Callable[[Figure], None], *, size: tuple[float, float] = (8, 4)
) -> Markup:
    """Return the inline SVG of what `paint` draws on a fresh figure of `size` inches; no state is left behind."""
    with mpl.rc_context(_RC):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return inline(stream.getvalue(), figure_id, title, description)


def inline(svg: str, figure_id: str, title: str, description: str) -> Markup:
    """Return matplotlib's SVG document as an element of the page: own ids, theme variables, title and description."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{figure_id}-', svg)
    svg = re.sub(r'href="#', f'href="#{figure_id}-', svg)
    svg = svg.replace("url(#", f"url(#{figure_id}-")
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    view = re.search(r'viewBox="[^"]*"', svg)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" class="plot" role="img" '
        f'aria-labelledby="{figure_id}-t {figure_id}-d" {view.group(0) if view else ""}>'
        f'<title id="{figure_id}-t">{escape(title)}</title><desc id="{figure_id}-d">{escape(description)}</desc>'
    )
    body = re.sub(r"^<svg[^>]*>", "", svg, count=1)
    return Markup(head + re.sub(r"\n\s*", "\n", body).strip())  # noqa: S704 - free text was escaped by matplotlib and above


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
    """Make an axis logarithmic from `low` to `high` with ticks at 1, 2, 5 or powers of ten, at most about eight."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    ticks = [tick for tick in ticks if low <= tick <= high]
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


def plain_axis(axis: Any, suffix: str = "") -> None:
    """Label an axis with plain digits and a suffix."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{suffix}"))
    axis.set_minor_formatter(NullFormatter())


def ratio_text(value: float) -> str:
    """Return a multiplier as people read it."""
    return f"{value:g}{TIMES}" if value == round(value) else f"{format_digits(value)}{TIMES}"
