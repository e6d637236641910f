"""Joules of a step as projected by another arm's constants against what it took, with the line where both are equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.analysis.roofline.results import PHASES, Phase, PredictedRegime, Prediction
from harness.core.units import format_digits
from harness.report.page.numbers import energy_word, warning_word
from harness.report.plots import style

Mark = tuple[Phase, PredictedRegime]


def list_predicted(predictions: Sequence[Prediction]) -> list[Mark]:
    """Return every predicted regime with its phase, in the order of the figure's table."""
    return [(prediction.phase, row) for prediction in predictions for row in prediction.regimes]


def step_energy(predictions: Sequence[Prediction]) -> Markup | None:
    """Return the scatter of a step's joules by phase, or ``None`` where nothing was predicted."""
    marks = list_predicted(predictions)
    if not marks:
        return None
    word = warning_word(energy_word(row.grade, row.simulated) for _, row in marks)
    took = word or "measured"
    values = [value for _, row in marks for value in (row.predicted_j, row.measured_j.value or row.predicted_j)]
    low, high = min(values) / 1.6, max(values) * 1.6

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([low, high], [low, high], color=style.MUTED, linewidth=1)
        handles = [Line2D([], [], color=style.MUTED, linewidth=1, label="as projected")]
        for place, phase in enumerate(PHASES):
            own = [(at, row) for at, (of, row) in enumerate(marks) if of == phase]
            if not own:
                continue
            look: dict[str, Any] = {
                "color": style.CANDIDATE,
                "marker": style.MARKERS[place],
                "markersize": 6.5,
                "linestyle": "none",
                "markerfacecolor": "none" if word else style.CANDIDATE,
                "markeredgecolor": style.CANDIDATE,
            }
            (drawn,) = axes.plot([row.predicted_j for _, row in own], [_took(row) for _, row in own], **look)
            style.mark_rows(drawn, [at for at, _ in own])
            handles.append(Line2D([], [], label=phase, **look))
        style.log_axis(axes, "x", low, high, "J")
        style.log_axis(axes, "y", low, high, "J")
        axes.set_xlabel("Joules of a step, projected")
        axes.set_ylabel(f"Joules of a step, {took}")
        style.place_legend(axes, handles=handles)

    return style.draw(
        "step-energy",
        f"Joules of a step, projected and {took}",
        _describe(predictions, took),
        paint,
        wide=(7.2, 4.4),
        narrow=(4.2, 4.4),
    )


def _took(row: PredictedRegime) -> float:
    assert row.measured_j.value is not None  # noqa: S101  # a regime stands here for its windows
    return row.measured_j.value


def _describe(predictions: Sequence[Prediction], took: str) -> str:
    told = [
        f"{p.phase}: {len(p.regimes)} regimes of {p.candidate_arm}, {took} over projected "
        f"{format_digits(min(row.ratio.value or 0.0 for row in p.regimes))} to "
        f"{format_digits(max(row.ratio.value or 0.0 for row in p.regimes))}"
        for p in predictions
        if p.regimes
    ]
    return f"{'; '.join(told)}."
