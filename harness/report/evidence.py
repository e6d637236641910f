"""The sections that carry the result: multipliers, the two frontiers, tasks, the power trace and the routing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from harness.analysis.results import FrontierPoint, MatchResult, Multiplier, TaskRatio
from harness.analysis.verdicts import ClaimVerdict
from harness.report import numbers as n
from harness.report.blocks import Cell, Column, Figure, Section, Table
from harness.report.plots.registry import draw_plot

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
_COUNTED = Markup('<span class="badge measured">measured or counted</span>')
_NO_POINTS = "No finished run has both a loss and this cost."


def headline_section(match: MatchResult) -> Section:
    """Return the multipliers at the matched loss."""
    lead: Cell = Markup(
        "Baseline cost over candidate cost: above 1 the <b>{}</b> models need less than the <b>{}</b> models."
    ).format(match.candidate_arm, match.baseline_arm)
    if match.matched_loss is None:
        lead = Markup("No multiplier: {}.").format(
            match.matched_loss_reason or "there is no loss that both families reached"
        )
    else:
        lead += Markup(" All at {} bits per byte, picked by the rule “{}” before the first run.").format(
            n.fixed(match.matched_loss, 3, f"rule: {match.rule}"), match.rule
        )
    edges = sorted({arm for row in match.headline for arm in row.edge_arms})
    notes = (
        (
            (
                f"Size-limited: the cheapest size of {', '.join(edges)} stands at an edge of its "
                "ladder, so the numbers are size-matched, not a frontier's."
            ),
        )
        if edges
        else ()
    )
    table = multiplier_table("headline", "Multipliers at the matched loss", match.headline, per_seed=True)
    return Section(
        id="multipliers", title="The multipliers", lead=lead, tables=(table,) if match.headline else (), notes=notes
    )


def flops_section(match: MatchResult) -> Section:
    """Return loss against counted training FLOPs."""
    table = _points_table("points-flops", match.points, ("Training FLOPs", lambda p: n.si(p.flops, "FLOP", p.run_id)))
    return Section(
        id="loss-flops-section",
        title="Loss against compute",
        lead=(
            "Each mark is one finished run; lines join the budgets of one seed and size. FLOPs "
            "are counted by formula and checked by a trace."
        ),
        figures=(
            Figure(
                id="f-flops",
                caption="Lower and further left is better.",
                svg=draw_plot("loss_against_flops", match),
                table=table,
                missing=_NO_POINTS,
            ),
        ),
    )


def joules_section(match: MatchResult) -> Section:
    """Return loss against training energy, named modelled where it is."""
    word = n.warning_word(n.energy_word(p.energy_grade, p.simulated) for p in match.points).lower()

    def cell(point: FrontierPoint) -> Cell:
        return (
            n.si(point.energy_j, "J", point.run_id, "no energy for this run")
            + " "
            + n.grade_badge(point.energy_grade, point.simulated)
        )

    boundary = sorted({"+".join(p.energy_domains) for p in match.points if p.energy_domains})
    lead: Cell = Markup("Energy boundary: {}. ").format(", ".join(boundary) or "unknown, no energy recorded")
    if word == "modelled":
        lead += Markup(
            "<strong>Modelled, not measured:</strong> these joules come from a power model, so "
            "they mostly restate running time."
        )
    elif word:
        lead += Markup("<strong>Simulated:</strong> these joules are made up to exercise the program.")
    table = _points_table("points-joules", match.points, ("Training energy", cell))
    title = f"Loss against energy ({word})" if word else "Loss against energy"
    return Section(
        id="loss-joules-section",
        title=title,
        lead=lead,
        figures=(
            Figure(
                id="f-joules",
                caption="The same runs against joules.",
                svg=draw_plot("loss_against_joules", match),
                table=table,
                missing=_NO_POINTS,
            ),
        ),
    )


def curve_section(match: MatchResult, verdicts: Sequence[ClaimVerdict]) -> Section:
    """Return the multiplier over all losses that both families reached."""
    table = multiplier_table("curve", "Multipliers over matched losses", match.curve, per_seed=False)
    lead: Cell = (
        "One matched loss is a choice; this is the multiplier at all of them. The band is the pointwise interval of "
        "the FLOP multiplier; the table also has the wider one that holds at all losses at once (Bonferroni)."
    )
    figure = Figure(
        id="f-curve",
        caption="Interpolated inside what both families reached, never beyond.",
        svg=draw_plot("multiplier_over_loss", match, verdicts),
        table=table,
        missing="The families have no loss in common, so there is no curve.",
    )
    return Section(id="curve-section", title="The multiplier over quality", lead=lead, figures=(figure,))


def tasks_section(match: MatchResult) -> Section:
    """Return what a task and a correct answer cost each family."""
    rows = tuple(_task_row(arm, n.runs(arm.run_ids)) for arm in match.arm_tasks)
    columns = (
        "Family",
        "Size",
        "Energy per task",
        "of it prefill",
        "of it decode",
        "Energy per correct answer",
        "Seconds per task",
        "FLOPs per task",
        "Accuracy",
        "Correct",
        "Grade",
    )
    tables: tuple[Table, ...] = (
        (Table(id="tasks", caption="Cost of one task at the matched loss", columns=_columns(columns, 2), rows=rows),)
        if rows
        else ()
    )
    if match.task_ratios:
        simulated = any(arm.simulated for arm in match.arm_tasks)
        caption = "Ratios, below 1: the candidate needs less"
        tables += (ratio_table("task-ratios", caption, match.task_ratios, simulated=simulated),)
    figure = Figure(
        id="f-task",
        caption="Prefill reads the prompt, decode writes the answer.",
        svg=draw_plot("energy_per_task", match),
        table=None,
        missing="No family has an energy per task at a matched loss.",
    )
    return Section(
        id="tasks-section",
        title="Energy per task and per correct answer",
        figures=(figure,),
        tables=tables,
        lead=_describe_task(match),
    )


def _describe_task(match: MatchResult) -> str:
    """Return what a task of the study is."""
    if match.kinds:
        kinds = ", ".join(kind.kind for kind in match.kinds)
        return f"A task is the mean over the kinds {kinds}, each weighing the same, at the matched loss."
    return (
        "A task is one line of held-out source code to complete, answered by the models of each family at the matched "
        "loss."
    )


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
    return Table(id=table_id, caption=caption, columns=_columns(names, 1), rows=rows)


def multiplier_table(table_id: str, caption: str, rows: Sequence[Multiplier], *, per_seed: bool) -> Table:
    """Return multipliers row by row, with their values seed by seed or the interval that holds at all losses."""
    names = ("What", "Loss", "Multiplier", "Interval", "n", "Grade", "Cheapest sizes") + (
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
            cells.append(
                n.join((Markup("{}: {}").format(seed, n.digits(value, source)) for seed, value in row.per_seed), ", ")
                or "none"
            )
        else:
            cells.append(n.interval(row.band, source))
        body.append(tuple(cells))
    columns = tuple(Column(name, 1 <= i <= 4) for i, name in enumerate(names))
    return Table(id=table_id, caption=caption, columns=columns, rows=tuple(body))


def _points_table(
    table_id: str, points: Sequence[FrontierPoint], cost: tuple[str, Callable[[FrontierPoint], Cell]]
) -> Table | None:
    if not points:
        return None
    name, cell = cost
    rows = tuple(
        (
            p.run_id,
            p.arm,
            p.size,
            n.count(p.seed, p.run_id),
            n.count(p.tokens, p.run_id),
            n.fixed(p.loss, 4, p.run_id),
            cell(p),
        )
        for p in sorted(points, key=lambda p: p.run_id)
    )
    names = ("Run", "Family", "Size", "Seed", "Tokens", "Loss (bits per byte)", name)
    return Table(id=table_id, caption=f"{name} and loss", columns=_columns(names, 3), rows=rows, sortable=True)


def _task_row(arm: Any, source: str) -> tuple[Cell, ...]:
    none = "no energy reading"
    stderr = "" if arm.accuracy_stderr is None else Markup(" ± {}").format(n.percent(arm.accuracy_stderr, source))
    return (
        arm.arm,
        arm.size,
        n.si(arm.energy_per_task_j, "J", source, none),
        n.si(arm.prefill_energy_per_task_j, "J", source, none),
        n.si(arm.decode_energy_per_task_j, "J", source, none),
        n.si(arm.energy_per_correct_j, "J", source, arm.energy_per_correct_reason),
        n.seconds(arm.seconds_per_task, source),
        n.si(arm.flops_per_task, "FLOP", source),
        n.percent(arm.accuracy, source) + stderr,
        Markup("{} of {}").format(n.count(arm.num_correct, source), n.count(arm.num_tasks, source)),
        n.grade_badge(arm.energy_grade, arm.simulated),
    )


def _columns(names: Sequence[str], first_numeric: int) -> tuple[Column, ...]:
    return tuple(Column(name, i >= first_numeric and name != "Grade") for i, name in enumerate(names))
