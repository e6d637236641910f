"""Headline ratios under every alternative that was tried, one lane a kind of alternative."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analysis.sensitivity.results import Sensitivity, SensitivityRow
from harness.analysis.verdicts import ClaimVerdict
from harness.core.units import format_digits
from harness.report.page.numbers import energy_word, warning_word
from harness.report.plots import style

NAMES = {
    "training_flops": "Training FLOPs",
    "training_energy": "Training energy",
    "energy_per_task": "Energy per task",
    "energy_per_token": "Energy per token",
    "energy_per_byte": "Energy per byte",
    "energy_per_correct": "Energy per correct answer",
}
_LOOKS = {
    "FLOP convention": (style.BASELINE, "o"),
    "idle power": (style.CANDIDATE, "s"),
    "energy boundary": (style.THIRD, "D"),
    "matched loss": (style.FOURTH, "^"),
    "one seed less": (style.MUTED, "v"),
    "one repeat less": (style.MUTED, "v"),
}


def sensitivity(found: Sensitivity, verdicts: Sequence[ClaimVerdict]) -> Markup | None:
    """Return the ratios on a log axis, or ``None`` without any; marks are the known rows of `found` in order."""
    known = known_rows(found)
    if not known:
        return None
    metrics = list(dict.fromkeys(row.metric for row in known))
    limits = {
        m: sorted({v.claim.limit for v in verdicts if v.claim.metric == m and v.claim.limit > 0}) for m in metrics
    }
    values = [row.ratio or 1.0 for row in known] + [limit for each in limits.values() for limit in each]
    described = "; ".join(_describe([row for row in known if row.metric == metric]) for metric in metrics) + "."
    claims = [v for v in verdicts if v.claim.metric in metrics and v.claim.limit > 0]
    if claims:
        described += " Claimed: " + ", ".join(format_digits(v.claim.limit, 2) for v in claims) + "."
    lanes = {metric: list(dict.fromkeys(r.group for r in known if r.metric == metric)) for metric in metrics}

    def paint(figure: Figure) -> None:
        heights = [len(lanes[metric]) + 0.6 for metric in metrics]
        grid = figure.subplots(len(metrics), 1, sharex=True, squeeze=False, height_ratios=heights)
        for axes, metric in zip(grid[:, 0], metrics, strict=True):
            rows = [(i, row) for i, row in enumerate(known) if row.metric == metric]
            _paint_lanes(axes, rows, lanes[metric])
            for limit in limits[metric]:
                axes.axvline(limit, color=style.INK, linewidth=1.3, linestyle=(0, (6, 3)))
                axes.annotate(
                    f" claim {format_digits(limit, 2)}",
                    (limit, 1),
                    xycoords=("data", "axes fraction"),
                    va="top",
                    weight="bold",
                    fontsize=8.5,
                )
            title = _title(metric, [row for _, row in rows])
            axes.set_title(title.replace(" answer", "") if style.is_narrow(axes) else title)
        low, high = min(*values, 1.0) / 1.2, max(*values, 1.0) * 1.2
        style.log_axis(grid[-1, 0], "x", low, high, "")
        less = "" if style.is_narrow(grid[-1, 0]) else " (below 1 the candidate needs less)"
        grid[-1, 0].set_xlabel(f"Candidate over baseline{less}")

    total = sum(len(each) for each in lanes.values())
    height = 0.9 + 0.26 * total + 0.42 * len(metrics)
    return style.draw(
        "sensitivity",
        "Ratios under every alternative",
        described,
        paint,
        wide=(8.4, height),
        narrow=(4.2, height + 0.2),
    )


def known_rows(found: Sensitivity) -> list[SensitivityRow]:
    """Return the rows that have a ratio, as figure and table show them."""
    return [row for row in found.rows if row.ratio is not None and row.ratio > 0]


def _paint_lanes(axes: Axes, rows: Sequence[tuple[int, SensitivityRow]], lanes: Sequence[str]) -> None:
    own = next((row.headline for _, row in rows if row.headline is not None), None)
    axes.axvline(1, color=style.MUTED, linewidth=1)
    if own is not None:
        axes.axvline(own, color=style.INK, linewidth=1, alpha=0.6)
    for lane, group in enumerate(lanes):
        members = sorted(((i, row) for i, row in rows if row.group == group), key=lambda entry: entry[1].ratio or 0.0)
        ratios = [row.ratio or 1.0 for _, row in members]
        colour, marker = _LOOKS[group]
        axes.plot([ratios[0], ratios[-1]], [lane, lane], color=colour, linewidth=2.2, alpha=0.5)
        (dots,) = axes.plot(ratios, [lane] * len(ratios), color=colour, marker=marker, markersize=6.5, linestyle="none")
        style.mark_rows(dots, [i for i, _ in members])
    axes.set_yticks(range(len(lanes)), list(lanes))
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _title(metric: str, rows: Sequence[SensitivityRow]) -> str:
    word = _word(metric, rows)
    return f"{NAMES[metric]} ({word})" if word else NAMES[metric]


def _word(metric: str, rows: Sequence[SensitivityRow]) -> str:
    if "energy" not in metric:
        return ""
    return warning_word(energy_word(row.grade, row.simulated) for row in rows).lower()


def _describe(rows: Sequence[SensitivityRow]) -> str:
    ratios = [row.ratio for row in rows if row.ratio is not None]
    word = _word(rows[0].metric, rows)
    name = NAMES[rows[0].metric] + (f" ({word}, not measured)" if word else "")
    own = rows[0].headline
    study = f"{format_digits(own)} in the study, " if own is not None else ""
    span = f"{format_digits(min(ratios))} to {format_digits(max(ratios))}"
    return f"{name}: {study}{span} under {len(ratios)} alternatives"
