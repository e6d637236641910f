"""The ratios of studies beside each other, how far they lie apart, and what may be pooled."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.comparison.results import Difference, Group, Pooled, Side, SideRatio, StudyComparison
from harness.analysis.results import Interval
from harness.core.readings import Grade
from harness.core.units import format_digits
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section, Table, columns_of, text_columns
from harness.report.plots.forest import ForestRow
from harness.report.plots.registry import draw_plot
from harness.report.sections.ratio_tables import RATIO_WORDS, RESOURCES

_WORDS = {**RESOURCES, **RATIO_WORDS}
_COUNTED = ("flops", "tokens", "flops_per_task")
_AXES: dict[Group, tuple[str, str, str]] = {
    "training": (
        "Multipliers, each at its study's matched loss",
        "Baseline over candidate (right of 1: the candidate needs less)",
        "No study has a multiplier: what is missing stands in the table.",
    ),
    "task": (
        "What a task costs",
        "Candidate over baseline (left of 1: the candidate needs less)",
        "No study has a ratio of tasks: what is missing stands in the table.",
    ),
}


def ratios_section(comparison: StudyComparison) -> Section:
    """Return the ratios that each study gives, drawn under one another and in tables."""
    figures = []
    for group in ("training", "task"):
        rows = sorted(
            (row for row in comparison.ratios if row.group == group),
            key=lambda row: (list(_WORDS).index(row.code), row.letter),
        )
        if rows:
            figures.append(_forest(group, rows, comparison.sides))
    lead = (
        "Only ratios inside one study stand beside each other, since what a sensor or a machine adds to both arms "
        "cancels there. Every study is read at its own matched loss; where these differ, see below."
    )
    return Section(
        id="ratios-section",
        title="The ratios beside each other",
        lead=lead,
        figures=tuple(figures),
        notes=() if figures else ("No study has a ratio to show.",),
    )


def _forest(group: Group, rows: Sequence[SideRatio], sides: Sequence[Side]) -> Figure:
    by_letter = {side.letter: position for position, side in enumerate(sides)}
    title, axis, missing = _AXES[group]
    drawn = [
        ForestRow(
            quantity=_WORDS[row.code],
            study=sides[by_letter[row.letter]].label,
            position=by_letter[row.letter],
            estimate=row.estimate,
            low=row.interval.low if row.interval is not None else None,
            high=row.interval.high if row.interval is not None else None,
            lower_bound=row.lower_bound,
            hollow=_is_hollow(row),
            row=number,
        )
        for number, row in enumerate(rows)
    ]
    names = ("What", "Study", "Matched loss", "Ratio", "Interval", "n", "Grade")
    table = Table(
        id=f"ratios-{group}",
        caption=title,
        columns=columns_of(names, ("Grade",), first_numeric=2),
        rows=tuple(_ratio_row(row, sides[by_letter[row.letter]]) for row in rows),
        sortable=True,
    )
    svg = draw_plot("ratio_forest", f"forest-{group}", title, axis, drawn, [side.label for side in sides])
    caption = f"{axis}. Lines: 95% intervals over seeds or repeats; one that leaves the drawing is cut there."
    return Figure(id=f"f-ratios-{group}", caption=caption, svg=svg, table=table, missing=missing)


def _ratio_row(row: SideRatio, side: Side) -> tuple[Cell, ...]:
    source = _source(side.letter, row.run_ids)
    if row.estimate is None and row.lower_bound is not None:
        shown: Cell = Markup("at least {}").format(
            n.num(row.lower_bound, f"{format_digits(row.lower_bound)}{n.TIMES}", source)
        )
    else:
        shown = n.num(row.estimate, f"{format_digits(row.estimate)}{n.TIMES}", source, row.reason)
    loss = "answers" if row.loss is None else n.fixed(row.loss, 3, f"study {side.letter}; rule of the study")
    return (
        _WORDS[row.code],
        side.label,
        loss,
        shown,
        n.interval(row.interval, source),
        n.count(row.n, source),
        _badge(row.code, row.grade, simulated=row.simulated),
    )


def differences_section(comparison: StudyComparison) -> Section:
    """Return how far the ratios lie apart at one loss, where it may be said, and why not elsewhere."""
    rows = []
    for row in comparison.differences:
        source = _source(" and ".join(row.letters), row.run_ids)
        rows.append(
            (
                _WORDS[row.code],
                f"{row.letters[1]} over {row.letters[0]}",
                _place(row, source),
                _plain(row.first, source),
                _plain(row.second, source),
                n.num(row.ratio.value, f"{format_digits(row.ratio.value)}{n.TIMES}", source, row.reason),
                _ends(row.ratio.interval, source),
                _apart(row),
                _badge(row.code, row.grade, simulated=row.simulated),
            )
        )
    names = ("What", "Studies", "At loss", "First", "Second", "Second over first", "Interval", "Apart?", "Grade")
    table = Table(
        id="differences",
        caption="Ratio of the studies' ratios at one loss",
        columns=columns_of(names, ("Studies", "Apart?", "Grade"), first_numeric=2),
        rows=tuple(rows),
        sortable=True,
    )
    lead = (
        "A multiplier moves with the loss at which it is read, so both studies are read off once more at the lowest "
        "loss that all their arms reached in every seed. No study promised that loss beforehand: these rows say how "
        "the studies differ and judge no claim."
    )
    how = (
        "Intervals: 95%, Welch's t on the logarithms of the ratios seed by seed, the studies taken as independent. "
        "Where they share seeds and settings their runs move alike, and the interval is then wider than it need be. "
        "Many rows without a correction: one in twenty would leave out 1 by chance."
    )
    return Section(
        id="differences-section",
        title="How far the studies lie apart",
        lead=lead,
        tables=(table,) if rows else (),
        notes=(how,) if rows else ("There is no ratio to hold against another.",),
    )


def _ends(interval: Interval | None, source: str) -> Markup:
    """Return the ends of an interval without its method, which the section tells once."""
    if interval is None:
        return n.interval(None, source)
    ends = (n.num(end, f"{format_digits(end)}{n.TIMES}", source) for end in (interval.low, interval.high))
    return Markup('<span title="{}">{} to {}</span>').format(interval.method, *ends)


def _plain(value: float | None, source: str) -> Cell:
    return n.digits(value, source, "see the reason")


def _place(row: Difference, source: str) -> Cell:
    """Return the loss at which both are read off; answers are compared at none."""
    if row.loss is None and row.ratio.value is not None:
        return "by answers"
    return n.fixed(row.loss, 3, f"lowest that both reached; {source}", "not compared")


def is_apart(row: Difference) -> bool:
    """Return whether the interval of the ratio of ratios leaves out 1."""
    interval = row.ratio.interval
    return interval is not None and not interval.low <= 1 <= interval.high


def has_spread(row: Difference) -> bool:
    """Return whether seeds moved the ratio at all; what is counted from shapes is the same in every seed."""
    interval = row.ratio.interval
    return interval is not None and interval.low < interval.high


def _apart(row: Difference) -> str:
    if row.ratio.interval is None:
        return "cannot be told"
    if not is_apart(row):
        return "not shown"
    return "yes" if has_spread(row) else "yes, a count without spread"


def pooling_section(comparison: StudyComparison) -> Section:
    """Return one line for each quantity: may it be compared, may it be pooled, and why not."""
    rows = tuple(
        (
            line.title,
            " and ".join(line.letters),
            _yes_no(line.may_compare, "may be compared", "not compared"),
            "; ".join(line.against_comparing) or "nothing stands against it",
            _yes_no(line.may_pool, "may be pooled", "not pooled"),
            _why_not_pooled(line.may_compare, line.against_pooling, line.note),
        )
        for line in comparison.pooling
    )
    table = Table(
        id="pooling",
        caption="What may be compared and what may be pooled",
        columns=text_columns("Quantity", "Studies", "Beside each other", "Why not", "As one study", "Why not so"),
        rows=rows,
        filterable=True,
    )
    lead = (
        "Counted operations and losses carry from machine to machine where data, tokenizer and formula are the same. "
        "Energy is pooled on one device only, known by its UUID, and joules of two devices are not compared at all."
    )
    allowed = {(line.letters, line.code) for line in comparison.pooling if line.may_pool}
    notes = tuple(_pooled_note(row) for row in comparison.pooled if (row.letters, row.code) in allowed)
    return Section(
        id="pooling-section",
        title="What may be pooled, and why the rest may not",
        lead=lead,
        tables=(table,),
        notes=notes,
    )


def _why_not_pooled(may_compare: bool, against: Sequence[str], note: str) -> str:
    reasons = list(against) if may_compare else ["it does not even compare", *against]
    return "; ".join(reasons) or note or "nothing stands against it"


def _pooled_note(row: Pooled) -> Cell:
    head = f"{_WORDS[row.code]}, {' and '.join(row.letters)} as one study: "
    if row.multiplier is None or row.multiplier.estimate is None:
        return f"{head}not done ({row.reason or 'no multiplier at a common loss'})."
    source = _source(" and ".join(row.letters), row.multiplier.run_ids)
    return Markup("{}{} ({}) at {} bits per byte, n = {}.").format(
        head,
        n.multiplier(row.multiplier),
        n.interval(row.multiplier.interval, source),
        n.fixed(row.multiplier.loss, 3, source),
        n.count(row.multiplier.n, source),
    )


def _yes_no(value: bool, yes: str, no: str) -> Markup:
    word, text = ("pass", f"✓ {yes}") if value else ("unknown", f"✗ {no}")
    return Markup('<span class="outcome {}">{}</span>').format(word, text)


def _is_hollow(row: SideRatio) -> bool:
    return "energy" in row.code and (row.simulated or row.grade is None or n.is_modelled(row.grade))


def _badge(code: str, grade: Grade | None, *, simulated: bool) -> Markup:
    if "energy" in code:
        return n.grade_badge(grade, simulated)
    return Markup('<span class="badge measured">{}</span>').format("counted" if code in _COUNTED else "measured")


def _source(letters: str, run_ids: Sequence[str]) -> str:
    return f"study {letters}; {n.runs(run_ids)}"
