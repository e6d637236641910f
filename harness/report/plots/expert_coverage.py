"""Distinct experts that one decode step touches against batch: measured, by the measured loads, and if even."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from harness.analysis.inference.results import Coverage
from harness.core.units import format_digits
from harness.report.plots import style

MIXED = "mixed"


def expert_coverage(rows: Sequence[Coverage]) -> Markup | None:
    """Return measured and expected experts over batch, lines by arm, size and kind; ``None`` without any count."""
    known = [row for row in rows if row.measured.value is not None]
    if not known:
        return None
    lines: dict[tuple[str, str, str], list[Coverage]] = {}
    for row in known:
        lines.setdefault((row.arm, row.size, row.kind), []).append(row)
    batches = sorted({row.batch_size for row in known})
    most = max(row.num_experts for row in known)
    described = "; ".join(
        f"{row.arm} {row.size}, {row.kind}, batch {row.batch_size}: {format_digits(row.measured.value)} of "
        f"{row.num_experts}"
        for row in known
    )

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        alone = "each kind alone"
        for (arm, size, kind), found in sorted(lines.items()):
            ordered = sorted(found, key=lambda row: row.batch_size)
            sizes = [row.batch_size for row in ordered]
            measured = [row.measured.value or 0.0 for row in ordered]
            if kind != MIXED and len(lines) > 1:
                (thin,) = axes.plot(sizes, measured, color=style.BASELINE, linewidth=0.9, label=alone)
                style.mark_rows(thin, [rows.index(row) for row in ordered])
                alone = "_"  # one entry of the legend stands for all
                continue
            told = "all kinds mixed" if kind == MIXED else style.clip(kind, 16)
            name = f"{style.clip(arm, 10)} {style.clip(size, 8)}, {told}"
            (line,) = axes.plot(
                sizes, measured, color=style.CANDIDATE, marker="o", markersize=6, linewidth=2, label=name
            )
            style.mark_rows(line, [rows.index(row) for row in ordered])
            loads = [row.expected_load for row in ordered]
            axes.plot(sizes, loads, color=style.CANDIDATE, linestyle=(0, (4, 2)), linewidth=1)
        longest = max(lines.values(), key=lambda found: max(row.batch_size for row in found))
        even = sorted(longest, key=lambda row: row.batch_size)
        axes.plot(
            [row.batch_size for row in even],
            [row.expected_even for row in even],
            color=style.INK,
            linestyle=(0, (1.5, 1.5)),
            linewidth=1.2,
            label="if all were even",
        )
        axes.plot([], [], color=style.MUTED, linestyle=(0, (4, 2)), linewidth=1, label="by the measured loads")
        axes.axhline(most, color=style.MUTED, linewidth=0.8)
        axes.set_ylim(0, most * 1.06)
        axes.set_xscale("log", base=2)
        axes.set_xticks(batches, [str(batch) for batch in batches])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(x=0.06)
        axes.set_title(f"Experts that a decode step reads, of {most}")
        axes.set_xlabel("Batch (sequences at once)")
        axes.set_ylabel("Distinct experts")
        style.place_legend(axes, columns=1)

    return style.draw(
        "coverage",
        "Distinct experts per decode step",
        f"{described}.",
        paint,
        wide=(8.4, 3.6),
        narrow=(4.2, 4.4),
    )
