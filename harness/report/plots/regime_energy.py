"""Energy of an output token against batch, one line for each family, context and answer length of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from harness.analysis.inference.results import ArmRegime
from harness.analysis.task_costs import SWEEP
from harness.core.units import format_si
from harness.report.page.numbers import energy_word, warning_word
from harness.report.plots import style

# One line: arm, size, tokens in, tokens out, fixed or free.
Line = tuple[str, str, int, int, str]


def regime_energy(rows: Sequence[ArmRegime], baseline: str, candidate: str) -> Markup | None:
    """Return joules per output token over batch on log axes, ``None`` where no regime of a sweep has an energy."""
    lines: dict[Line, list[ArmRegime]] = {}
    for row in rows:
        value = row.figures["j_per_output_token"].value
        if row.regime.kind == SWEEP and value is not None and value > 0:
            regime = row.regime
            tokens = regime.num_input_tokens or 0, regime.num_output_tokens or 0
            lines.setdefault((row.arm, row.size, *tokens, regime.answer_length), []).append(row)
    if not lines:
        return None
    used = [row for found in lines.values() for row in found]
    values = [row.figures["j_per_output_token"].value or 0.0 for row in used]
    batches = sorted({row.regime.batch_size for row in used})
    word = warning_word(energy_word(row.grade, row.simulated) for row in used)
    what = f"{word} energy per output token" if word else "Energy per output token"
    described = (
        f"{len(lines)} lines over batches {', '.join(map(str, batches))}: from {format_si(min(values), 'J')} to "
        f"{format_si(max(values), 'J')} per output token."
    ) + (f" {word.capitalize()}, not measured." if word else "")
    contexts = sorted({(line[2], line[3]) for line in lines})

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for line in sorted(lines):
            arm, size, tokens_in, tokens_out, length = line
            found = sorted(lines[line], key=lambda row: row.regime.batch_size)
            colour = {baseline: style.BASELINE, candidate: style.CANDIDATE}.get(arm, style.THIRD)
            place = contexts.index((tokens_in, tokens_out))
            heights = [row.figures["j_per_output_token"].value or 0.0 for row in found]
            at_most = "≤" if length == "free" else ""
            axes.errorbar(
                [row.regime.batch_size for row in found],
                heights,
                yerr=_whiskers(found, heights),
                color=colour,
                linestyle=style.DASHES[(1 if length == "free" else 0) + 2 * bool(word)],
                marker=style.MARKERS[place % len(style.MARKERS)],
                markersize=6,
                capsize=2.5,
                alpha=0.75 if length == "free" else 1.0,
                label=f"{style.clip(arm, 10)} {style.clip(size, 8)}, {tokens_in} in, {at_most}{tokens_out} out",
            )
        low = min(values) / 1.6
        style.log_axis(axes, "y", low, max(values) * 1.6, "J")
        axes.set_xscale("log", base=2)
        axes.set_xticks(batches, [str(batch) for batch in batches])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(x=0.06)
        axes.set_title(what)
        axes.set_xlabel("Batch (sequences at once)")
        axes.set_ylabel("Joules per output token" + (f" ({word.lower()})" if word else ""))
        style.place_legend(axes, columns=1, handlelength=3)

    rest = 0.22 * len(lines)
    return style.draw("regimes", what, described, paint, wide=(8.4, max(3.9, 1.2 + rest)), narrow=(4.2, 3.9 + rest))


def _whiskers(found: Sequence[ArmRegime], heights: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return how far each interval reaches below and above; nothing where there is none, never below a tenth."""
    intervals = [row.figures["j_per_output_token"].interval for row in found]
    below = [
        min(height - interval.low, 0.9 * height) if interval is not None else 0.0
        for height, interval in zip(heights, intervals, strict=True)
    ]
    above = [
        interval.high - height if interval is not None else 0.0
        for height, interval in zip(heights, intervals, strict=True)
    ]
    return [max(0.0, value) for value in below], [max(0.0, value) for value in above]
