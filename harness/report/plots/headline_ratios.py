"""All headline ratios in one forest plot: candidate over baseline, with intervals and what was claimed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.analysis.results import Interval, MatchResult, Multiplier, TaskRatio
from harness.analysis.verdicts import ClaimVerdict
from harness.core.readings import Grade
from harness.core.units import format_digits
from harness.report.page.numbers import energy_word
from harness.report.plots import style

TRAINING = {
    "flops": ("Training FLOPs", "training_flops"),
    "energy": ("Training energy, gross", "training_energy"),
    "net_energy": ("Training energy, net", "training_net_energy"),
    "seconds": ("Training seconds", "training_seconds"),
    "tokens": ("Training tokens", "training_tokens"),
    "peak_memory": ("Peak memory", "peak_memory"),
}
TASKS = {
    "energy_per_task": "Energy per task, gross",
    "net_energy_per_task": "Energy per task, net",
    "energy_per_correct": "Energy per correct answer",
    "seconds_per_task": "Seconds per task",
    "flops_per_task": "FLOPs per task",
}
_LOUD = ("modelled", "simulated")


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioRow:
    """One ratio, candidate over baseline (below 1: the candidate needs less), and where it is from.

    `at_most` says that `estimate` is only an upper bound: the baseline never reached the loss. `word` is the kind of
    energy, or counted or measured. `claimed` holds the factors of the claims about this ratio.
    """

    name: str
    estimate: float | None
    interval: Interval | None
    at_most: bool
    word: str
    grade: Grade | None
    simulated: bool
    n: int
    claimed: tuple[float, ...]
    run_ids: tuple[str, ...]
    reason: str | None

    @property
    def is_loud(self) -> bool:
        """Whether the ratio is of energy that nobody measured."""
        return self.word in _LOUD


def gather_ratios(match: MatchResult, verdicts: Sequence[ClaimVerdict]) -> list[RatioRow]:
    """Return the ratios in the order of the page: training, then tasks; only those that the study asked about."""
    claimed: dict[str, set[float]] = {}
    for verdict in verdicts:
        if verdict.claim.factor > 0:
            claimed.setdefault(verdict.claim.metric, set()).add(verdict.claim.factor)
    rows = [_of_multiplier(row, claimed) for row in match.headline if row.resource in TRAINING]
    simulated = any(arm.simulated for arm in match.arm_tasks)
    tasks = {ratio.metric: ratio for ratio in match.task_ratios}
    return rows + [_of_task(tasks[metric], claimed, simulated) for metric in TASKS if metric in tasks]


def headline_ratios(match: MatchResult, verdicts: Sequence[ClaimVerdict]) -> Markup | None:
    """Return the forest plot, or ``None`` where no ratio is known."""
    rows = gather_ratios(match, verdicts)
    known = [value for row in rows for value in _extent(row)]
    if not known:
        return None
    described = f"{match.candidate_arm} over {match.baseline_arm}, below 1 the {match.candidate_arm} models need less. "
    described += "; ".join(_words(row) for row in rows) + "."

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        narrow = style.is_narrow(axes)
        axes.grid(axis="y", visible=False)
        low = min([*known, 1.0, *(factor for row in rows for factor in row.claimed)])
        high = max([*known, 1.0, *(factor for row in rows for factor in row.claimed)])
        style.log_axis(axes, "x", low / (1.9 if any(row.at_most for row in rows) else 1.3), high * 1.3, "")
        axes.axvline(1, color=style.INK, linewidth=1)
        for place, row in enumerate(rows):
            _paint_row(axes, place, row)
        axes.set_ylim(len(rows) - 0.4, -1.35)
        axes.set_yticks(range(len(rows)), [_label(row, narrow=narrow) for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        for side, words, where in (("right", "← needs less", -5), ("left", "more →", 5)):
            axes.annotate(
                words,
                (1, 1),
                xycoords=("data", "axes fraction"),
                xytext=(where, -2),
                textcoords="offset points",
                ha=side,
                va="top",
                color=style.MUTED,
                fontsize=8.5,
                bbox={"facecolor": style.PAPER, "edgecolor": "none", "pad": 1},
            )
        told = "Cost at equal quality, candidate over baseline" if narrow else _title(match)
        figure.suptitle(told, x=0.012, ha="left", fontsize=10.5, weight="bold")
        axes.set_xlabel("Ratio (1 is equal)" if narrow else "Ratio, candidate over baseline (1 is equal)")
        _legend(axes, rows)

    height = 1.3 + 0.34 * len(rows)
    return style.draw(
        "ratios", _title(match), described, paint, wide=(8.4, height), narrow=(4.2, 1.9 + 0.46 * len(rows))
    )


def _title(match: MatchResult) -> str:
    candidate, baseline = style.clip(match.candidate_arm, 14), style.clip(match.baseline_arm, 14)
    return f"What {candidate} costs for each unit that {baseline} costs, at equal quality"


def _paint_row(axes: Axes, place: int, row: RatioRow) -> None:
    for factor in row.claimed:
        axes.plot([factor] * 2, [place - 0.36, place + 0.36], color=style.THIRD, linestyle=(0, (3, 1.5)), linewidth=1.8)
    if row.estimate is None or row.estimate <= 0:
        axes.annotate("unknown", (1, place), xytext=(8, 0), textcoords="offset points", va="center", color=style.MUTED)
        return
    if row.interval is not None and row.interval.low > 0:
        (line,) = axes.plot(
            [row.interval.low, row.interval.high],
            [place, place],
            color=style.CANDIDATE,
            linewidth=2.6,
            linestyle=(0, (2, 1)) if row.is_loud else "-",
        )
        style.mark_rows(line, [place])
    if row.at_most:
        axes.annotate(
            "",
            (row.estimate / 1.55, place),
            xytext=(row.estimate, place),
            arrowprops={"arrowstyle": "->", "color": style.CANDIDATE, "linewidth": 2, "shrinkA": 0, "shrinkB": 0},
        )
    (dot,) = axes.plot(
        [row.estimate],
        [place],
        marker="D" if row.is_loud else "|" if row.at_most else "o",
        markersize=11 if row.at_most else 7,
        markerfacecolor=style.PAPER if row.is_loud else style.CANDIDATE,
        markeredgecolor=style.CANDIDATE,
        markeredgewidth=1.8,
        linestyle="none",
        zorder=3,
    )
    style.mark_rows(dot, [place])
    words = f"≤ {format_digits(row.estimate)}" if row.at_most else format_digits(row.estimate)
    axes.annotate(
        words,
        (row.estimate, place),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        weight="bold",
        fontsize=8.5,
        bbox={"facecolor": style.PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 0.5},
    )


def _label(row: RatioRow, *, narrow: bool) -> str:
    if not row.is_loud:
        return row.name
    return f"{row.name}\n({row.word})" if narrow else f"{row.name} ({row.word})"


def _legend(axes: Axes, rows: Sequence[RatioRow]) -> None:
    colour = style.CANDIDATE
    handles = [
        Line2D(
            [], [], color=colour, marker="o", markersize=7, linewidth=2.6, label="measured or counted, with interval"
        )
    ]
    if any(row.is_loud for row in rows):
        word = next(row.word for row in rows if row.is_loud)
        handles.append(
            Line2D(
                [],
                [],
                color=colour,
                marker="D",
                markersize=7,
                markerfacecolor=style.PAPER,
                markeredgecolor=colour,
                markeredgewidth=1.8,
                linewidth=2.6,
                linestyle=(0, (2, 1)),
                label=f"{word}, not measured",
            )
        )
    if any(row.at_most for row in rows):
        handles.append(
            Line2D(
                [],
                [],
                color=colour,
                marker="|",
                markeredgecolor=colour,
                markersize=9,
                linestyle="none",
                label="at most: baseline never got there",
            )
        )
    if any(row.claimed for row in rows):
        handles.append(Line2D([], [], color=style.THIRD, linestyle=(0, (3, 1.5)), linewidth=1.8, label="claimed"))
    figure = axes.get_figure(root=True)
    if figure is not None:
        columns = 1 if style.is_narrow(axes) else len(handles)
        figure.legend(handles=handles, loc="outside lower left", ncols=columns)


def _words(row: RatioRow) -> str:
    if row.estimate is None:
        return f"{row.name} unknown"
    text = f"{row.name} {'at most ' if row.at_most else ''}{format_digits(row.estimate)}"
    if row.interval is not None:
        text += f" ({format_digits(row.interval.low)} to {format_digits(row.interval.high)})"
    return f"{text}, {row.word}" if row.is_loud else text


def _extent(row: RatioRow) -> list[float]:
    ends = [row.interval.low, row.interval.high] if row.interval is not None else []
    return [value for value in (row.estimate, *ends) if value is not None and value > 0 and math.isfinite(value)]


def _of_multiplier(row: Multiplier, claimed: Mapping[str, set[float]]) -> RatioRow:
    name, metric = TRAINING[row.resource]
    value = row.estimate if row.estimate is not None else row.lower_bound
    counted = "counted" if row.resource in {"flops", "tokens"} else "measured"
    return RatioRow(
        name=name,
        estimate=1 / value if value is not None and value > 0 else None,
        interval=_inverse(row.interval) if row.estimate is not None else None,
        at_most=row.estimate is None and row.lower_bound is not None,
        word=energy_word(row.grade, row.simulated) if "energy" in row.resource else counted,
        grade=row.grade,
        simulated=row.simulated,
        n=row.n,
        claimed=tuple(sorted(claimed.get(metric, ()))),
        run_ids=row.run_ids,
        reason=row.reason,
    )


def _of_task(row: TaskRatio, claimed: Mapping[str, set[float]], simulated: bool) -> RatioRow:
    energetic = "energy" in row.metric
    return RatioRow(
        name=TASKS[row.metric],
        estimate=row.estimate,
        interval=row.interval,
        at_most=False,
        word=energy_word(row.grade, simulated) if energetic else "counted" if "flops" in row.metric else "measured",
        grade=row.grade,
        simulated=simulated and energetic,
        n=row.n,
        claimed=tuple(sorted(claimed.get(row.metric, ()))),
        run_ids=row.run_ids,
        reason=row.reason,
    )


def _inverse(interval: Interval | None) -> Interval | None:
    """Return the interval of the ratio the other way round, ``None`` where an end is not positive."""
    if interval is None or interval.low <= 0:
        return None
    return Interval(low=1 / interval.high, high=1 / interval.low, level=interval.level, method=interval.method)
