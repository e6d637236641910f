"""Energy of prefill and of decode over batch in a sweep: two panels, one line for each family, context and answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from harness.analysis.inference.figures import Metric
from harness.analysis.inference.results import ArmRegime
from harness.analysis.stats import Estimate
from harness.analysis.task_costs import SWEEP
from harness.core.units import format_si
from harness.report.page.numbers import energy_word, warning_word
from harness.report.plots import style

PREFILL: Metric = "prefill_j_per_input_token"
DECODE: Metric = "decode_j_per_output_token"
# more lines than this are told apart by colour, marker and dash in the legend, not one by one
MAX_NAMED = 6
# One line: arm, size, tokens in, tokens out, fixed or free; prefill knows no answer.
Line = tuple[str, str, int, int, str]


@dataclass(frozen=True, slots=True)
class _Panel:
    metric: Metric
    title: str
    unit: str
    lines: dict[Line, list[tuple[int, ArmRegime]]]

    @property
    def contexts(self) -> list[tuple[int, int]]:
        """Tokens in and out of the lines; each has a marker of its own."""
        return sorted({(line[2], line[3]) for line in self.lines})


def list_marks(rows: Sequence[ArmRegime]) -> list[ArmRegime]:
    """Return the regimes of the sweep whose energy is known, in the order of the figure's table."""
    return [
        row
        for row in rows
        if row.regime.kind == SWEEP and any((row.figures[name].value or 0.0) > 0 for name in (PREFILL, DECODE))
    ]


def regime_energy(rows: Sequence[ArmRegime], baseline: str, candidate: str) -> Markup | None:
    """Return joules per token of prefill and of decode over batch, ``None`` where a sweep has no energy."""
    marks = list_marks(rows)
    panels = [
        panel
        for panel in (
            _Panel(PREFILL, "Prefill", "per input token", _group(marks, PREFILL)),
            _Panel(DECODE, "Decode", "per output token", _group(marks, DECODE)),
        )
        if panel.lines
    ]
    if not panels:
        return None
    word = warning_word(energy_word(row.grade, row.simulated) for row in marks)
    what = f"{word} energy of prefill and decode" if word else "Energy of prefill and decode"
    batches = sorted({row.regime.batch_size for row in marks})
    described = " ".join(_describe(panel, batches) for panel in panels) + (
        f" {word.capitalize()}, not measured." if word else ""
    )

    def paint(figure: Figure) -> None:
        narrow = figure.get_figwidth() < style.NARROW_INCHES
        shape = (len(panels), 1) if narrow else (1, len(panels))
        found = figure.subplots(*shape, squeeze=False)
        for axes, panel in zip(found.flat, panels, strict=True):
            for line in sorted(panel.lines):
                _paint_line(axes, panel, line, (baseline, candidate), modelled=bool(word))
            values = [row.figures[panel.metric].value or 0.0 for own in panel.lines.values() for _, row in own]
            style.log_axis(axes, "y", min(values) / 1.6, max(values) * 1.6, "J")
            axes.set_xscale("log", base=2)
            axes.set_xticks(batches, [str(batch) for batch in batches])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.margins(x=0.08)
            axes.set_title(f"{word} {panel.title.lower()}" if word else panel.title)
            axes.set_xlabel("Batch (sequences at once)")
            axes.set_ylabel(f"Joules {panel.unit}")
            axes.legend(
                handles=_list_handles(panel, (baseline, candidate), modelled=bool(word)),
                loc="upper left",
                bbox_to_anchor=(-0.28, 0.0),
                borderaxespad=4.6,  # in font sizes: below the axis label, however tall the panel
                ncols=1,
                handlelength=3,
            )

    rest = [0.22 * len(_list_handles(panel, (baseline, candidate), modelled=bool(word))) for panel in panels]
    return style.draw(
        "regimes",
        what,
        described,
        paint,
        wide=(8.4, 3.6 + max(rest)),
        narrow=(4.2, 3.4 * len(panels) + sum(rest)),
    )


def _group(marks: Sequence[ArmRegime], metric: Metric) -> dict[Line, list[tuple[int, ArmRegime]]]:
    """Return the marks of each line with their row of the table; a prefill that several answers share counts once."""
    lines: dict[Line, list[tuple[int, ArmRegime]]] = {}
    for place, row in enumerate(marks):
        if (row.figures[metric].value or 0.0) <= 0:
            continue
        regime = row.regime
        answer = (0, "") if metric == PREFILL else (regime.num_output_tokens or 0, regime.answer_length)
        line = lines.setdefault((row.arm, row.size, regime.num_input_tokens or 0, *answer), [])
        if metric == DECODE or regime.batch_size not in {other.regime.batch_size for _, other in line}:
            line.append((place, row))
    return {line: sorted(own, key=lambda mark: mark[1].regime.batch_size) for line, own in lines.items()}


def _paint_line(
    axes: Axes,
    panel: _Panel,
    line: Line,
    arms: tuple[str, str],
    *,
    modelled: bool,
) -> None:
    marks = panel.lines[line]
    estimates = [row.figures[panel.metric] for _, row in marks]
    drawn = axes.errorbar(
        [row.regime.batch_size for _, row in marks],
        [estimate.value or 0.0 for estimate in estimates],
        yerr=_whiskers(estimates),
        capsize=2.5,
        **_look(panel, line, arms, modelled=modelled),
    )
    if drawn.lines[0] is not None:
        style.mark_rows(drawn.lines[0], [place for place, _ in marks])


def _look(panel: _Panel, line: Line, arms: tuple[str, str], *, modelled: bool) -> dict[str, Any]:
    """Return colour by family, marker by context and answer, dashes by how answers end and whether it is modelled."""
    arm, _, tokens_in, tokens_out, length = line
    free = length == "free"
    return {
        "color": {arms[0]: style.BASELINE, arms[1]: style.CANDIDATE}.get(arm, style.THIRD),
        "linestyle": style.DASHES[(1 if free else 0) + 2 * modelled],
        "marker": style.MARKERS[panel.contexts.index((tokens_in, tokens_out)) % len(style.MARKERS)],
        "markersize": 6,
        "alpha": 0.75 if free else 1.0,
    }


def _list_handles(panel: _Panel, arms: tuple[str, str], *, modelled: bool) -> list[Line2D]:
    """Return the legend: an entry a line, or with many lines one for each colour, marker and dash."""
    lines = sorted(panel.lines)
    if len(lines) <= MAX_NAMED:
        return [
            Line2D([], [], label=_name(panel, line), **_look(panel, line, arms, modelled=modelled)) for line in lines
        ]
    handles = []
    for arm in dict.fromkeys(line[0] for line in lines):
        sizes = ", ".join(dict.fromkeys(style.clip(line[1], 8) for line in lines if line[0] == arm))
        first = next(line for line in lines if line[0] == arm)
        look = _look(panel, first, arms, modelled=modelled) | {"marker": "", "alpha": 1.0, "linestyle": "-"}
        handles.append(Line2D([], [], label=f"{style.clip(arm, 10)} {sizes}", **look))
    for tokens_in, tokens_out in dict.fromkeys((line[2], line[3]) for line in lines):
        told = f"{tokens_in} in" + (f", {tokens_out} out" if panel.metric == DECODE else "")
        marker = style.MARKERS[panel.contexts.index((tokens_in, tokens_out)) % len(style.MARKERS)]
        handles.append(Line2D([], [], color=style.MUTED, marker=marker, markersize=6, linestyle="none", label=told))
    for length, told in (("fixed", "answers of fixed length"), ("free", "answers end by themselves")):
        found = next((line for line in lines if line[4] == length), None)
        if found is not None:
            dash = _look(panel, found, arms, modelled=modelled)["linestyle"]
            handles.append(Line2D([], [], color=style.MUTED, linestyle=dash, label=told))
    return handles


def _name(panel: _Panel, line: Line) -> str:
    arm, size, tokens_in, tokens_out, length = line
    name = f"{style.clip(arm, 10)} {style.clip(size, 8)}, {tokens_in} in"
    return name + (f", {'≤' if length == 'free' else ''}{tokens_out} out" if panel.metric == DECODE else "")


def _describe(panel: _Panel, batches: Sequence[int]) -> str:
    """Return one panel in words and numbers: each line from its smallest to its largest batch."""
    told = []
    for (arm, size, tokens_in, tokens_out, length), marks in sorted(panel.lines.items()):
        first, last = (marks[end][1] for end in (0, -1))
        answer = f", {'at most ' if length == 'free' else ''}{tokens_out} out" if panel.metric == DECODE else ""
        values = f"{format_si(first.figures[panel.metric].value, 'J')} at batch {first.regime.batch_size}"
        if last is not first:
            values += f", {format_si(last.figures[panel.metric].value, 'J')} at batch {last.regime.batch_size}"
        told.append(f"{arm} {size}, {tokens_in} in{answer}: {values}")
    batch_words = ", ".join(map(str, batches))
    return f"{panel.title}, joules {panel.unit} over batches {batch_words}: {'; '.join(told)}."


def _whiskers(estimates: Sequence[Estimate]) -> tuple[list[float], list[float]]:
    """Return how far each interval reaches below and above; nothing where there is none, never below a tenth."""
    below, above = [], []
    for estimate in estimates:
        height, interval = estimate.value or 0.0, estimate.interval
        below.append(max(0.0, min(height - interval.low, 0.9 * height)) if interval is not None else 0.0)
        above.append(max(0.0, interval.high - height) if interval is not None else 0.0)
    return below, above
