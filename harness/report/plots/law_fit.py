"""Loss against training FLOPs: every run, and the law of its family at its size."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.analysis.laws.runs import LawLine, LawRun
from harness.core.units import format_digits, format_si
from harness.report.plots import style

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

    numbered = [(row, run) for row, group in enumerate(group_runs(runs)) for run in group]

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for colour, family in zip(COLOURS, families, strict=False):
            for position, size in enumerate(sizes):
                members = [(i, r) for i, r in numbered if (r.family, r.size) == (family, size)]
                if not members:
                    continue
                for line in lines:
                    if (line.family, line.size) == (family, size):
                        dash = style.DASHES[position % len(style.DASHES)]
                        axes.plot(line.flops, line.losses, color=colour, linestyle=dash, linewidth=1.6)
                (marks,) = axes.plot(
                    [run.flops for _, run in members],
                    [run.loss for _, run in members],
                    color=colour,
                    marker=style.MARKERS[position % len(style.MARKERS)],
                    markersize=5.5,
                    linestyle="none",
                    alpha=0.75,
                )
                style.mark_rows(marks, [row for row, _ in members])
        style.log_axis(axes, "x", min(flops) / 1.3, max(flops) * 1.3, "FLOP")
        axes.set_title("Runs and the law fitted to them")
        axes.set_xlabel("Training compute, FLOP")
        axes.set_ylabel("Held-out loss, bits per byte")
        style.place_legend(axes, handles=make_legend(families, sizes), handlelength=3)

    return style.draw("law-fit", "Runs and fitted laws", described, paint, wide=(8.4, 4.0), narrow=(4.2, 4.4))


def group_runs(runs: Sequence[LawRun]) -> list[list[LawRun]]:
    """Return the runs by configuration (family, size, tokens), in order: the rows of the figures' tables."""
    groups: dict[tuple[str, str, float], list[LawRun]] = {}
    for run in runs:
        groups.setdefault((run.family, run.size, run.tokens), []).append(run)
    return list(groups.values())


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
