"""Loss against training FLOPs: every run, and the law of its family at its size."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.analysis.laws.runs import LawLine, LawRun
from harness.core.units import format_digits, format_si
from harness.report.plots import style
from harness.report.plots.frontier_marks import MAX_CELLS, MAX_LISTED, MAX_RUNS, pick_evenly

COLOURS = (style.BASELINE, style.CANDIDATE, style.THIRD, style.FOURTH)


def law_fit(runs: Sequence[LawRun], lines: Sequence[LawLine]) -> Markup | None:
    """Return runs as marks and laws as lines, or ``None`` without a law; marks name the rows of `group_runs`."""
    if not runs:
        return None
    families = list(dict.fromkeys(run.family for run in runs))
    sizes = list(dict.fromkeys(run.size for run in sorted(runs, key=lambda run: run.params)))
    flops, losses = [run.flops for run in runs], [run.loss for run in runs]
    worst = max(runs, key=lambda run: abs(run.loss - run.fitted))
    missed = format_digits(abs(worst.loss - worst.fitted), 2)
    described = (
        f"{len(runs)} runs of {' and '.join(families)} at {len(lines)} sizes, {format_si(min(flops), 'FLOP')} to "
        f"{format_si(max(flops), 'FLOP')}, loss {max(losses):.3f} down to {min(losses):.3f} bits per byte, with the "
        f"law of each family at each size. The law misses a run by at most {missed} bits per byte."
    )

    marks_of = list_law_marks(runs)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for colour, family in zip(COLOURS, families, strict=False):
            for position, size in enumerate(sizes):
                members = [mark for mark in marks_of if (mark.run.family, mark.run.size) == (family, size)]
                if not members:
                    continue
                for line in lines:
                    if (line.family, line.size) == (family, size):
                        dash = style.DASHES[position % len(style.DASHES)]
                        axes.plot(line.flops, line.losses, color=colour, linestyle=dash, linewidth=1.6)
                (marks,) = axes.plot(
                    [mark.run.flops for mark in members],
                    [mark.loss for mark in members],
                    color=colour,
                    marker=style.MARKERS[position % len(style.MARKERS)],
                    markersize=5.5,
                    linestyle="none",
                    alpha=0.75,
                )
                style.mark_rows(marks, [mark.row for mark in members])
        style.log_axis(axes, "x", min(flops) / 1.3, max(flops) * 1.3, "FLOP")
        axes.set_title("Runs and the law fitted to them")
        axes.set_xlabel("Training compute, FLOP")
        axes.set_ylabel("Held-out loss, bits per byte")
        style.place_legend(axes, handles=make_legend(families, sizes), handlelength=3)

    return style.draw("law-fit", "Runs and fitted laws", described, paint, wide=(8.4, 4.0), narrow=(4.2, 4.4))


@dataclass(frozen=True, slots=True, kw_only=True)
class LawMark:
    """One mark: a run, or the mean over the seeds of one configuration; `row` is its row of the table."""

    row: int
    run: LawRun
    loss: float
    log_residual: float


def group_runs(runs: Sequence[LawRun]) -> list[list[LawRun]]:
    """Return the runs by configuration (family, size, tokens), in order: the rows of the figures' tables.

    Of more than `MAX_LISTED` configurations `MAX_CELLS` stand for all, evenly chosen.
    """
    groups: dict[tuple[str, str, float], list[LawRun]] = {}
    for run in runs:
        groups.setdefault((run.family, run.size, run.tokens), []).append(run)
    found = list(groups.values())
    return found if len(found) <= MAX_LISTED else [found[place] for place in pick_evenly(range(len(found)), MAX_CELLS)]


def list_law_marks(runs: Sequence[LawRun]) -> list[LawMark]:
    """Return one mark a run up to `MAX_RUNS` runs, else the mean of each configuration's seeds, at most `MAX_CELLS`."""
    groups = list(enumerate(group_runs(runs)))
    if len(runs) <= MAX_RUNS:
        return [
            LawMark(row=row, run=run, loss=run.loss, log_residual=run.log_residual)
            for row, group in groups
            for run in group
        ]
    return [
        LawMark(
            row=row,
            run=group[0],
            loss=statistics.fmean(run.loss for run in group),
            log_residual=statistics.fmean(run.log_residual for run in group),
        )
        for row, group in (groups[place] for place in pick_evenly(range(len(groups)), MAX_CELLS))
    ]


def say_selection(runs: Sequence[LawRun]) -> str:
    """Return what a reader must know of the marks, or an empty string where each run has its own."""
    if len(runs) <= MAX_RUNS:
        return ""
    total = len({(run.family, run.size, run.tokens) for run in runs})
    drawn, listed = len(list_law_marks(runs)), len(group_runs(runs))
    said = "Each mark is the mean over the seeds of one configuration."
    if drawn < total:
        table = "" if listed < total else "; all are in the table"
        said += f" {drawn} of {total} configurations are drawn{'' if table else ' and listed'}, evenly chosen{table}."
    return said


def make_legend(families: Sequence[str], sizes: Sequence[str]) -> list[Line2D]:
    """Return a key of colours for families, and of markers and dashes for sizes."""
    arms = [
        Line2D([], [], color=colour, linewidth=4, label=style.clip(family.lstrip("_") or family))
        for colour, family in zip(COLOURS, families, strict=False)
    ]
    shapes = [
        Line2D(
            [],
            [],
            color=style.MUTED,
            marker=style.MARKERS[i % len(style.MARKERS)],
            markersize=5.5,
            linestyle=style.DASHES[i % len(style.DASHES)],
            linewidth=1.2,
            label=style.clip(f"size {size}"),
        )
        for i, size in enumerate(sizes)
    ]
    return arms + shapes
