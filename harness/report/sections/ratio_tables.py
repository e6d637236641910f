"""The tables of multipliers and of ratios that several sections share."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.results import Multiplier, TaskRatio
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Column, Table, columns_of

RESOURCES = {
    "flops": "Training FLOPs",
    "energy": "Training energy (gross)",
    "net_energy": "Training energy (net of idle)",
    "seconds": "Training seconds",
    "tokens": "Training tokens",
    "peak_memory": "Peak memory",
}
RATIO_WORDS = {
    "energy_per_task": "Energy per task",
    "net_energy_per_task": "Energy per task (net of idle)",
    "energy_per_correct": "Energy per correct answer",
    "flops_per_task": "FLOPs per task",
    "seconds_per_task": "Seconds per task",
    "energy_per_token": "Energy per token of the answer",
    "energy_per_byte": "Energy per byte of the answer",
}
MAX_SEEDS = 40
_COUNTED = Markup('<span class="badge measured">measured or counted</span>')


def ratio_table(table_id: str, caption: str, ratios: Sequence[TaskRatio], *, simulated: bool = False) -> Table:
    """Return candidate over baseline for each thing that a task costs."""
    rows = tuple(
        (
            RATIO_WORDS[r.metric],
            n.digits(r.estimate, n.runs(r.run_ids), r.reason),
            n.interval(r.interval, n.runs(r.run_ids), ""),
            n.count(r.n, n.runs(r.run_ids)),
            n.grade_badge(r.grade, simulated) if "energy" in r.metric else _COUNTED,
        )
        for r in ratios
    )
    names = ("Candidate over baseline", "Ratio", "Interval", "n", "Grade")
    return Table(id=table_id, caption=caption, columns=columns_of(names, ("Grade",), first_numeric=1), rows=rows)


def _list_seeds(row: Multiplier, source: str) -> Cell:
    """Return the multiplier of each seed, or of so many the lowest and the highest."""
    shown = sorted(row.per_seed, key=lambda entry: entry[1]) if len(row.per_seed) > MAX_SEEDS else row.per_seed
    many = len(row.per_seed) > MAX_SEEDS
    ends = (shown[0], shown[-1]) if many else shown
    listed = n.join((Markup("{}: {}").format(seed, n.digits(value, source)) for seed, value in ends), ", ")
    if many:
        count = n.count(len(shown), source)
        return Markup("lowest and highest of {} seeds, {}; all are in verdicts.json").format(count, listed)
    return listed or "none"


def multiplier_table(
    table_id: str, caption: str, rows: Sequence[Multiplier], *, per_seed: bool, at: str = "Loss"
) -> Table:
    """Return multipliers row by row, with their values seed by seed or the interval that holds at all losses.

    `at` names what both families have in common, in whose units `Multiplier.loss` then is.
    """
    names = ("What", at, "Multiplier", "Interval", "n", "Grade", "Cheapest sizes") + (
        ("Seed by seed",) if per_seed else ("At all losses at once",)
    )
    body = []
    for row in rows:
        source = n.runs(row.run_ids)
        grade = (
            n.grade_badge(row.grade, row.simulated)
            if "energy" in row.resource
            else Markup('<span class="badge measured">{}</span>').format(
                "counted" if row.resource in ("flops", "tokens") else "measured"
            )
        )
        listed = [f"{arm}: {', '.join(dict.fromkeys(found))}" for arm, found in sorted(row.sizes.items()) if any(found)]
        sizes = "; ".join(listed) or "none"
        cells: list[Cell] = [
            RESOURCES[row.resource],
            n.fixed(row.loss, 3, f"rule of the study; {source}"),
            n.multiplier(row),
            n.interval(row.interval, source),
            n.count(row.n, source),
            grade,
            sizes,
        ]
        if per_seed:
            cells.append(_list_seeds(row, source))
        else:
            cells.append(n.interval(row.band, source))
        body.append(tuple(cells))
    columns = tuple(Column(name, 1 <= i <= 4) for i, name in enumerate(names))
    return Table(id=table_id, caption=caption, columns=columns, rows=tuple(body))
