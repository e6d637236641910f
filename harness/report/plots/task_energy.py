"""Energy of one task in each family, prefill and decode stacked; a modelled energy is hatched."""

from __future__ import annotations

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from harness.analysis.results import MatchResult
from harness.core.units import format_si
from harness.report.page.numbers import energy_word, warning_word
from harness.report.plots import style


def energy_per_task(match: MatchResult) -> Markup | None:
    """Return stacked bars of joules per task at the matched loss, or ``None`` where no arm has an energy."""
    arms = [a for a in match.arm_tasks if a.energy_per_task_j is not None]
    if not arms:
        return None
    word = warning_word(energy_word(a.energy_grade, a.simulated) for a in arms)
    what = f"{word} energy per task" if word else "Energy per task"
    described = "; ".join(f"{a.arm} size {a.size}: {format_si(a.energy_per_task_j, 'J')} per task" for a in arms) + "."
    if word:
        described += f" {word.capitalize()}, not measured."

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        narrow = style.is_narrow(axes)
        axes.grid(axis="y", visible=False)
        for position, arm in enumerate(arms):
            colour = style.CANDIDATE if arm.arm == match.candidate_arm else style.BASELINE
            hatch = "////" if energy_word(arm.energy_grade, arm.simulated) != "measured" else ""
            left = 0.0
            for value, alpha in ((arm.prefill_energy_per_task_j, 0.85), (arm.decode_energy_per_task_j, 0.4)):
                if value is not None:
                    axes.barh(position, value, left=left, height=0.52, facecolor=colour, alpha=alpha, linewidth=0)
                    axes.barh(
                        position,
                        value,
                        left=left,
                        height=0.52,
                        facecolor="none",
                        hatch=hatch,
                        edgecolor=style.INK,
                        linewidth=0.8,
                    )
                    left += value
            total = arm.energy_per_task_j or 0.0
            if left == 0:
                axes.barh(
                    position, total, height=0.52, facecolor=style.GRID, hatch=hatch, edgecolor=style.INK, linewidth=0.8
                )
            axes.annotate(
                format_si(total, "J"),
                (max(total, left), position),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                weight="bold",
            )
        largest = max(a.energy_per_task_j or 0.0 for a in arms)
        axes.set_xlim(0, largest * 1.18 or 1)
        axes.set_ylim(len(arms) - 0.4, -0.6)
        joint = "\n" if narrow else ", "
        labels = [f"{style.clip(a.arm, 14)}{joint}{style.clip(f'size {a.size}', 14)}" for a in arms]
        axes.set_yticks(range(len(arms)), labels)
        axes.xaxis.set_major_locator(MaxNLocator(4 if narrow else 7))
        style.si_axis(axes.xaxis, "J")
        axes.set_title(what if narrow else f"{what} at matched loss")
        axes.set_xlabel("Joules per task" + (f" ({word.lower()}, not measured; hatched)" if word else ""))
        handles = [
            Patch(facecolor=style.MUTED, alpha=0.85, edgecolor=style.INK, label="prefill (reading the prompt)"),
            Patch(facecolor=style.MUTED, alpha=0.4, edgecolor=style.INK, label="decode (writing the answer)"),
        ]
        style.place_legend(axes, columns=1, handles=handles)

    return style.draw(
        "task-energy", what, described, paint, wide=(8.4, 1.5 + 0.6 * len(arms)), narrow=(4.2, 2.1 + 0.55 * len(arms))
    )
