"""Accuracy of both families in each kind of task beside what blind answers would reach."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.analysis.inference.results import KindScore
from harness.analysis.stats import NORMAL_95
from harness.report.plots import style


def kind_accuracy(scores: Sequence[KindScore], baseline: str, candidate: str) -> Markup | None:
    """Return one row a kind with a mark for each arm and a tick at chance, ``None`` where no accuracy is known."""
    known = [score for score in scores if score.accuracy is not None]
    if not known:
        return None
    kinds = sorted({score.kind for score in known})
    arms = sorted({(score.arm, score.size) for score in known}, key=lambda arm: (arm[0] != baseline, arm))
    described = "; ".join(f"{s.kind}, {s.arm} {s.size}: {100 * (s.accuracy or 0):.1f}%" for s in known) + "."

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.grid(axis="y", visible=False)
        step = 0.56 / max(1, len(arms))
        for score in known:
            row = kinds.index(score.kind)
            place = row - 0.28 + step * (arms.index((score.arm, score.size)) + 0.5)
            colour = {baseline: style.BASELINE, candidate: style.CANDIDATE}.get(score.arm, style.THIRD)
            value = 100 * (score.accuracy or 0.0)
            half = 100 * NORMAL_95 * score.accuracy_stderr if score.accuracy_stderr is not None else 0.0
            drawn = axes.errorbar(
                [value],
                [place],
                xerr=[[min(half, value)], [min(half, 100 - value)]],
                color=colour,
                marker="o" if score.arm == baseline else "s",
                markersize=7,
                capsize=3,
                linestyle="none",
            )
            if drawn.lines[0] is not None:
                style.mark_rows(drawn.lines[0], [scores.index(score)])
        for row, kind in enumerate(kinds):
            chance = next((s.chance for s in known if s.kind == kind and s.chance is not None), None)
            if chance is not None:
                axes.plot([100 * chance] * 2, [row - 0.36, row + 0.36], color=style.INK, linestyle=(0, (2, 2)))
        axes.set_xlim(-2, 102)
        axes.set_ylim(len(kinds) - 0.5, -0.5)
        axes.set_yticks(range(len(kinds)), [style.clip(kind, 18) for kind in kinds])
        style.plain_axis(axes.xaxis, "%")
        axes.set_title("Accuracy of each kind of task")
        axes.set_xlabel("Answers that are right")
        handles = [
            Line2D(
                [],
                [],
                color={baseline: style.BASELINE, candidate: style.CANDIDATE}.get(arm, style.THIRD),
                marker="o" if arm == baseline else "s",
                linestyle="none",
                label=f"{style.clip(arm, 12)} {style.clip(size, 10)}",
            )
            for arm, size in arms
        ]
        handles.append(Line2D([], [], color=style.INK, linestyle=(0, (2, 2)), label="chance"))
        style.place_legend(axes, handles=handles)

    height = 1.4 + 0.55 * len(kinds)
    return style.draw(
        "kinds", "Accuracy of each kind of task", described, paint, wide=(8.4, height), narrow=(4.2, height + 0.6)
    )
