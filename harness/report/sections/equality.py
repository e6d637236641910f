"""The sections that turn the question around: equal budgets, equivalence, accuracy, and the slices of the frontier."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.results import Axis, BudgetGap, Equivalence, Interval, MatchResult, Resource, Slice
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Section, Table, columns_of
from harness.report.sections.ratio_tables import RESOURCES, multiplier_table, ratio_table

_UNITS: dict[Resource, str] = {
    "flops": "FLOP",
    "energy": "J",
    "net_energy": "J",
    "seconds": "s",
    "tokens": "tokens",
    "peak_memory": "B",
}
_BUDGET_AXES: dict[str, Resource] = {"flops": "flops", "step_time": "seconds", "energy": "energy"}
_PLACES = {
    "interior": "inside the ladder",
    "lower edge": "at the smallest size: a smaller one might be better",
    "upper edge": "at the largest size: a larger one might be better",
    "too few sizes": "fewer than three sizes: no minimum can be told",
    "unknown order": "the parameters of some size are unknown: no minimum can be told",
}


def budgets_section(match: MatchResult) -> Section:
    """Return the dual of the multipliers: at an equal budget, who reaches the better loss."""
    lead = (
        "A multiplier says what a loss costs; this says what a budget buys, for those whose processors are limited. "
        f"Loss of the {match.baseline_arm} models less loss of the {match.candidate_arm} models, in bits per byte: "
        f"above 0 the {match.candidate_arm} models are better. Read off the frontiers at exactly that budget, never "
        "beyond."
    )
    names = ("Equal", "Budget", "Gap", "95% interval", "n", "Better", "Sizes", "Grade")
    rows = tuple(_budget_row(gap) for gap in match.budget_gaps)
    tables = [_table("budgets", "Loss at equal budgets", names, rows, 1)] if rows else []
    axis_rows = tuple(
        (
            axis.title,
            _show_at(axis, match.budget_gaps),
            n.num(axis.gap, _signed(axis.gap), n.runs(axis.run_ids), axis.reason),
            _ends(axis.interval, n.runs(axis.run_ids)),
            n.count(axis.n, n.runs(axis.run_ids)),
        )
        for axis in match.axes
    )
    if axis_rows:
        titles = ("What is equal", "At", "Gap", "95% interval", "n")
        tables.append(_table("axes", "The ways in which two families can be called equal", titles, axis_rows, 2))
    intervals = [*(gap.interval for gap in match.budget_gaps), *(axis.interval for axis in match.axes)]
    methods = dict.fromkeys(interval.method for interval in intervals if interval is not None)
    notes: tuple[Cell, ...] = (
        *((f"Intervals: {', '.join(methods)}.",) if methods else ()),
        (
            "Equal active parameters and tokens favour the sparse family, equal total parameters the dense one; equal "
            "FLOPs ignore how fast the operations run. Memory is not spent: at a memory each family has its best run "
            "that fits, among those within the FLOPs that both spent."
        ),
    )
    return Section(
        id="budgets-section",
        title="What an equal budget buys",
        lead=lead if rows else "The families have no budget in common in every seed.",
        tables=tuple(tables),
        notes=notes if rows else (),
    )


def equivalence_section(match: MatchResult) -> Section:
    """Return the tests of equivalence, and the comparison matched by accuracy."""
    rows = tuple(_equivalence_row(test) for test in match.equivalence)
    names = ("What", "Outcome", "Difference", "90% interval", "Margin", "p", "Power", "n")
    tables = [_table("equivalence", "Two one-sided tests", names, rows, 2)] if rows else []
    facts: list[tuple[str, Cell]] = []
    accuracy = match.accuracy
    if accuracy is not None and accuracy.error_rate is not None:
        source = "1 - error rate that both arms reached in every seed"
        facts.append(("matched accuracy", n.percent(1 - accuracy.error_rate, source)))
        tables.append(
            multiplier_table(
                "accuracy-multipliers", "At equal accuracy", accuracy.headline, per_seed=True, at="Error rate"
            )
        )
        tables.append(
            ratio_table(
                "accuracy-ratios",
                "Task ratios at equal accuracy",
                accuracy.task_ratios,
                simulated=any(task.simulated for task in accuracy.arm_tasks),
            )
        )
    elif accuracy is not None:
        facts.append(("matched by accuracy", n.unknown(accuracy.reason)))
    return Section(
        id="equivalence-section",
        title="Quality beyond the loss",
        lead=(
            "No significant difference is not equality. Two arms are called equivalent only where the interval of "
            "their difference lies wholly inside a margin that the study declared before its first run (TOST)."
        ),
        tables=tuple(tables),
        facts=tuple(facts),
    )


def slices_section(match: MatchResult) -> Section:
    """Return, budget by budget, whether a family's best size lies inside its ladder."""
    rows = tuple(_slice_row(piece) for piece in match.slices)
    names = ("Family", "Training FLOPs", "Best size", "Where it stands", "Optimum, parameters", "Loss by size")
    edges = sum(piece.place != "interior" for piece in match.slices)
    lead = (
        f"{edges} of {len(rows)} slices have no minimum inside the ladder, so the multipliers are size-matched there."
        if rows
        else "No budget was trained at more than one size, so every multiplier is size-matched."
    )
    return Section(
        id="slices-section",
        title="Is it the frontier?",
        lead=lead,
        tables=(_table("slices", "Slices of equal training FLOPs", names, rows, 1),) if rows else (),
    )


def _budget_row(gap: BudgetGap) -> tuple[Cell, ...]:
    source = n.runs(gap.run_ids)
    listed = [f"{arm}: {', '.join(dict.fromkeys(sizes))}" for arm, sizes in sorted(gap.sizes.items()) if sizes]
    grade: Cell = ""
    if "energy" in gap.resource:
        grade = n.grade_badge(gap.grade, gap.simulated)
    return (
        RESOURCES[gap.resource],
        n.si(gap.budget, _UNITS[gap.resource], "a budget that both families spent in every seed"),
        n.num(gap.gap, _signed(gap.gap), source, gap.reason),
        _ends(gap.interval, source),
        n.count(gap.n, source),
        gap.better or "not told apart",
        "; ".join(listed) or "none",
        grade,
    )


def _equivalence_row(test: Equivalence) -> tuple[Cell, ...]:
    source = n.runs(test.run_ids)
    why: Cell = Markup(' <small class="why">{}</small>').format(test.reason) if test.reason else ""
    return (
        Markup('{} <small class="why">{}</small>').format(test.what, test.unit),
        Markup("{}{}").format(test.outcome, why),
        n.num(test.difference, _signed(test.difference), source, test.reason),
        signed_interval(test.interval, source),
        n.digits(test.margin, "the study's promise", "none declared"),
        n.digits(test.p_value, source, "not tested", 2),
        n.percent(test.power, f"at the spread seen; {source}", "not tested"),
        n.count(test.n, source),
    )


def _slice_row(piece: Slice) -> tuple[Cell, ...]:
    source = n.runs(piece.run_ids)
    losses = n.join(
        (Markup("{} {}").format(size, n.fixed(loss, 3, f"mean over seeds; {source}")) for size, _, loss in piece.sizes),
        ", ",
    )
    return (
        piece.arm,
        n.si(piece.budget_flops, "FLOP", source),
        piece.best_size,
        _PLACES[piece.place],
        n.si(piece.optimum_params, "", f"parabola in log parameters; {source}", "no minimum inside"),
        losses,
    )


def _show_at(axis: Axis, gaps: Sequence[BudgetGap]) -> Cell:
    """Return where the families are equal; a budget is the largest that both spent, with its unit."""
    resource = _BUDGET_AXES.get(axis.code)
    gap = next((gap for gap in reversed(gaps) if gap.resource == resource), None)
    if gap is None:
        return axis.at or "none"
    return n.si(gap.budget, _UNITS[gap.resource], "the largest budget that both families spent in every seed")


def _ends(interval: Interval | None, source: str) -> Cell:
    """Return the ends of an interval whose level and method the table says for all of its rows."""
    if interval is None:
        return Markup('<span class="why">no interval</span>')
    return Markup("{} to {}").format(
        n.num(interval.low, _signed(interval.low), source), n.num(interval.high, _signed(interval.high), source)
    )


def signed_interval(interval: Interval | None, source: str) -> Markup:
    """Return the ends of an interval of a difference, with their signs, and how it was made."""
    if interval is None:
        return Markup('<span class="why">no interval</span>')
    return Markup('{} to {} <small class="why how">{:.0f}%, {}</small>').format(
        n.num(interval.low, _signed(interval.low), source),
        n.num(interval.high, _signed(interval.high), source),
        100 * interval.level,
        interval.method,
    )


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.4f}"


def _table(
    table_id: str, caption: str, names: Sequence[str], rows: tuple[tuple[Cell, ...], ...], first_numeric: int
) -> Table:
    words = ("Better", "Sizes", "Grade", "Best size", "Where it stands", "Outcome", "Loss by size")
    columns = columns_of(names, words, first_numeric=first_numeric)
    return Table(id=table_id, caption=caption, columns=columns, rows=rows)
