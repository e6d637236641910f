"""What the laws leave unexplained: log residuals against training FLOPs, with the band that seeds alone make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from harness.analysis.laws.runs import LawRun
from harness.core.units import format_digits
from harness.report.plots import style
from harness.report.plots.law_fit import COLOURS, list_law_marks, make_legend


def law_residuals(runs: Sequence[LawRun], bands: Mapping[str, float | None]) -> Markup | None:
    """Return residuals family by family, or ``None`` without a law; marks name the rows of `group_runs`.

    `bands` holds the half-width of the seeds' band of log loss by family, ``None`` where no seed is repeated.
    """
    if not runs:
        return None
    families = list(dict.fromkeys(run.family for run in runs))
    sizes = list(dict.fromkeys(run.size for run in sorted(runs, key=lambda run: run.params)))
    described = "; ".join(_describe(family, runs, bands.get(family)) for family in families) + "."
    reach = max(abs(run.log_residual) for run in runs)
    reach = 1.15 * max(reach, *(band for band in bands.values() if band is not None), 1e-6)
    flops = [run.flops for run in runs]

    marks_of = list_law_marks(runs)

    def paint(figure: Figure) -> None:
        grid = figure.subplots(len(families), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, colour, family in zip(grid, COLOURS, families, strict=False):
            band = bands.get(family)
            if band is not None:
                axes.axhspan(-band, band, facecolor=colour, edgecolor="none", alpha=0.14)
            axes.axhline(0, color=style.MUTED, linewidth=1)
            for position, size in enumerate(sizes):
                members = [mark for mark in marks_of if (mark.run.family, mark.run.size) == (family, size)]
                if members:
                    (marks,) = axes.plot(
                        [mark.run.flops for mark in members],
                        [mark.log_residual for mark in members],
                        color=colour,
                        marker=style.MARKERS[position % len(style.MARKERS)],
                        markersize=5.5,
                        linestyle="none",
                        alpha=0.8,
                    )
                    style.mark_rows(marks, [mark.row for mark in members])
            axes.set_title(style.clip(family))
            _label(axes, reach)
        style.log_axis(grid[-1], "x", min(flops) / 1.3, max(flops) * 1.3, "FLOP")
        grid[-1].set_xlabel("Training compute, FLOP")
        figure.supylabel("Log residual, predicted less observed", fontsize=9.5)
        handles = style.cap_handles(make_legend(families, sizes)[len(families) :])
        if style.is_narrow(grid[-1]):
            figure.legend(handles=handles, loc="outside lower center", ncols=3, handlelength=1.5)
        else:
            style.place_legend(grid[0], handles=handles, handlelength=1.5)

    height = 1.1 + 1.5 * len(families)
    return style.draw(
        "law-residuals", "Residuals of the laws", described, paint, wide=(8.4, height), narrow=(4.2, height + 0.4)
    )


def _label(axes: Axes, reach: float) -> None:
    axes.set_ylim(-reach, reach)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:+.1f}%" if value else "0"))


def _describe(family: str, runs: Sequence[LawRun], band: float | None) -> str:
    own = [run.log_residual for run in runs if run.family == family]
    largest = max(abs(value) for value in own)
    text = f"{family}: log residuals of {len(own)} runs, at most {format_digits(100 * largest, 2)}%"
    if band is None:
        return f"{text}; no seed is repeated, so there is no band"
    inside = sum(abs(value) <= band for value in own)
    width = format_digits(100 * band, 2)
    return f"{text}; {inside} of {len(own)} lie inside the band of seed noise, {width}% to either side"
