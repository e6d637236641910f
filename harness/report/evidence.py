"""The sections that carry the result: multipliers, the two frontiers, tasks, the power trace and the routing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from harness.analysis.results import ClaimVerdict, FrontierPoint, MatchResult, Multiplier
from harness.core.records import EnergyReading, RunRecord
from harness.core.units import format_si
from harness.report import numbers as n
from harness.report.blocks import Cell, Column, Figure, Section, Table
from harness.report.plots import frontier, multiplier_curve, power_trace, routing_load, task_energy

RESOURCES = {
    "flops": "Training FLOPs",
    "energy": "Training energy (gross)",
    "net_energy": "Training energy (net of idle)",
    "seconds": "Training seconds",
    "tokens": "Training tokens",
    "peak_memory": "Peak memory",
}
_RATIOS = {
    "energy_per_task": "Energy per task",
    "net_energy_per_task": "Energy per task (net of idle)",
    "energy_per_correct": "Energy per correct answer",
    "flops_per_task": "FLOPs per task",
    "seconds_per_task": "Seconds per task",
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
            f"Size-limited: the cheapest size of {', '.join(edges)} stands at an edge of its ladder, so the numbers are size-matched, not a frontier's.",
        )
        if edges
        else ()
    )
    table = _multiplier_table("headline", "Multipliers at the matched loss", match.headline, per_seed=True)
    return Section(
        id="multipliers", title="The multipliers", lead=lead, tables=(table,) if match.headline else (), notes=notes
    )


def flops_section(match: MatchResult) -> Section:
    """Return loss against counted training FLOPs."""
    table = _points_table("points-flops", match.points, ("Training FLOPs", lambda p: n.si(p.flops, "FLOP", p.run_id)))
    return Section(
        id="loss-flops-section", title="Loss against compute",
        lead="Each mark is one finished run; lines join the budgets of one seed and size. FLOPs are counted by formula and checked by a trace.",
        figures=(Figure(id="f-flops", caption="Lower and further left is better.", svg=frontier.loss_against_flops(match), table=table, missing=_NO_POINTS),),
    )  # fmt: skip


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
            "<strong>Modelled, not measured:</strong> these joules come from a power model, so they mostly restate running time."
        )
    elif word:
        lead += Markup("<strong>Simulated:</strong> these joules are made up to exercise the program.")
    table = _points_table("points-joules", match.points, ("Training energy", cell))
    title = f"Loss against energy ({word})" if word else "Loss against energy"
    return Section(
        id="loss-joules-section", title=title, lead=lead,
        figures=(Figure(id="f-joules", caption="The same runs against joules.", svg=frontier.loss_against_joules(match), table=table, missing=_NO_POINTS),),
    )  # fmt: skip


def curve_section(match: MatchResult, verdicts: Sequence[ClaimVerdict]) -> Section:
    """Return the multiplier over all losses that both families reached."""
    table = _multiplier_table("curve", "Multipliers over matched losses", match.curve, per_seed=False)
    lead: Cell = "One matched loss is a choice; this is the multiplier at all of them. The band is the pointwise interval of the FLOP multiplier."
    figure = Figure(
        id="f-curve", caption="Interpolated inside what both families reached, never beyond.",
        svg=multiplier_curve.multiplier_over_loss(match, verdicts), table=table, missing="The families have no loss in common, so there is no curve.",
    )  # fmt: skip
    return Section(id="curve-section", title="The multiplier over quality", lead=lead, figures=(figure,))


def tasks_section(match: MatchResult) -> Section:
    """Return what a task and a correct answer cost each family."""
    rows = tuple(_task_row(arm, n.runs(arm.run_ids)) for arm in match.arm_tasks)
    columns = ("Family", "Size", "Energy per task", "of it prefill", "of it decode", "Energy per correct answer", "Seconds per task",
               "FLOPs per task", "Accuracy", "Correct", "Grade")  # fmt: skip
    tables: tuple[Table, ...] = (
        (Table(id="tasks", caption="Cost of one task at the matched loss", columns=_columns(columns, 2), rows=rows),)
        if rows
        else ()
    )
    ratios = tuple(
        (_RATIOS[r.metric], n.digits(r.estimate, n.runs(r.run_ids), r.reason), n.interval(r.interval, n.runs(r.run_ids), ""), n.count(r.n, n.runs(r.run_ids)),
         n.grade_badge(r.grade, any(a.simulated for a in match.arm_tasks)) if "energy" in r.metric else _COUNTED)
        for r in match.task_ratios
    )  # fmt: skip
    if ratios:
        names = ("Candidate over baseline", "Ratio", "Interval", "n", "Grade")
        tables += (
            Table(
                id="task-ratios",
                caption="Ratios, below 1: the candidate needs less",
                columns=_columns(names, 1),
                rows=ratios,
            ),
        )
    figure = Figure(
        id="f-task", caption="Prefill reads the prompt, decode writes the answer.", svg=task_energy.energy_per_task(match), table=None,
        missing="No family has an energy per task at a matched loss.",
    )  # fmt: skip
    return Section(id="tasks-section", title="Energy per task and per correct answer", figures=(figure,), tables=tables,
                   lead="A task is one line of held-out source code to complete, answered by the models of each family at the matched loss.")  # fmt: skip


def trace_section(records: Sequence[RunRecord], traces: Mapping[str, Mapping[str, Any]], candidate: str) -> Section:
    """Return the power trace of one run: a candidate's with the most windows, ties by run id."""
    by_id = {record.run_id: record for record in records}
    usable = [run for run in traces if run in by_id and power_trace.clean_series(dict(traces[run]))]
    missing = "No power trace was recorded, or none can be read."
    if not usable:
        return Section(
            id="power-section",
            title="Power over one run",
            figures=(Figure(id="f-power", caption="", svg=None, table=None, missing=missing),),
        )
    run_id = min(usable, key=lambda run: (by_id[run].arm != candidate, -len(by_id[run].windows), run))
    record, trace = by_id[run_id], dict(traces[run_id])
    word = n.warning_word(n.energy_word(sensor.grade, sensor.simulated) for sensor in record.sensors)
    columns = ("Window", "Begin", "Length", "Energy", "Grade")
    rows = []
    for window in record.windows:
        sums = _gross(window.energy)
        name = f"{window.phase.replace('_', ' ')} {window.repetition}"
        rows.append(
            (name, n.seconds(window.begin_s, run_id), n.seconds(window.duration_s, run_id), sums, _worst(window.energy))
        )
    table = Table(id="trace-windows", caption=f"Windows of {run_id}", columns=_columns(columns, 1), rows=tuple(rows))
    lead: Cell = Markup("Run {}. Shaded: the windows whose energy is summed.").format(
        Markup("<code>{}</code>").format(run_id)
    )
    if word:
        lead += Markup(" <strong>{}, not measured.</strong>").format(word.capitalize())
    svg = power_trace.power_trace(trace, run_id, word=word)
    title = f"Power over one run ({word.lower()})" if word else "Power over one run"
    figure = Figure(id="f-power", caption="Mean power between readings.", svg=svg, table=table, missing=missing)
    return Section(id="power-section", title=title, lead=lead, figures=(figure,))


def routing_section(records: Sequence[RunRecord]) -> Section:
    """Return the expert load of the finished run with routing that saw the most tokens, ties by run id."""
    routed = [r for r in records if r.routing is not None and r.status == "finished"]
    shown = min(
        routed,
        key=lambda r: (-(r.path.tokens if r.path else 0), -(r.params.total if r.params else 0), r.run_id),
        default=None,
    )
    svg = (
        routing_load.routing_load(shown.routing, shown.run_id)
        if shown is not None and shown.routing is not None
        else None
    )
    names = ("Run", "Experts", "Layers", "Max violation", "Mean entropy", "Dead experts")
    rows = tuple(
        (r.run_id, n.count(len(r.routing.load[0]) if r.routing.load else 0, r.run_id), n.count(len(r.routing.load), r.run_id),
         n.digits(r.routing.max_violation, r.run_id), n.digits(r.routing.mean_entropy, r.run_id), n.count(r.routing.num_dead_experts, r.run_id))
        for r in routed
        if r.routing is not None
    )  # fmt: skip
    table = Table(
        id="routing", caption="Routing of every run with experts", columns=_columns(names, 1), rows=rows, sortable=True
    )
    lead: Cell = "Sparse experts save compute only while the load is spread; a collapsed router would be a small dense model in disguise."
    if shown is not None:
        lead = Markup("{} Shown: <code>{}</code>.").format(lead, shown.run_id)
    figure = Figure(
        id="f-routing",
        caption="On held-out text.",
        svg=svg,
        table=table if rows else None,
        missing="No finished run has routing statistics.",
    )
    return Section(id="routing-section", title="Load of the experts", lead=lead, figures=(figure,))


def _multiplier_table(table_id: str, caption: str, rows: Sequence[Multiplier], *, per_seed: bool) -> Table:
    names = ("What", "Loss", "Multiplier", "Interval", "n", "Grade", "Cheapest sizes") + (
        ("Seed by seed",) if per_seed else ()
    )
    body = []
    for row in rows:
        source = n.runs(row.run_ids)
        grade = n.grade_badge(row.grade, row.simulated) if "energy" in row.resource else Markup('<span class="badge measured">{}</span>').format(
            "counted" if row.resource in ("flops", "tokens") else "measured"
        )  # fmt: skip
        sizes = (
            "; ".join(f"{arm}: {', '.join(dict.fromkeys(found))}" for arm, found in sorted(row.sizes.items())) or "none"
        )
        cells: list[Cell] = [RESOURCES[row.resource], n.fixed(row.loss, 3, f"rule of the study; {source}"), n.multiplier(row),
                             n.interval(row.interval, source), n.count(row.n, source), grade, sizes]  # fmt: skip
        if per_seed:
            cells.append(
                n.join((Markup("{}: {}").format(seed, n.digits(value, source)) for seed, value in row.per_seed), ", ")
                or "none"
            )
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
        arm.arm, arm.size, n.si(arm.energy_per_task_j, "J", source, none), n.si(arm.prefill_energy_per_task_j, "J", source, none),
        n.si(arm.decode_energy_per_task_j, "J", source, none), n.si(arm.energy_per_correct_j, "J", source, arm.energy_per_correct_reason),
        n.seconds(arm.seconds_per_task, source), n.si(arm.flops_per_task, "FLOP", source), n.percent(arm.accuracy, source) + stderr,
        Markup("{} of {}").format(n.count(arm.num_correct, source), n.count(arm.num_tasks, source)), n.grade_badge(arm.energy_grade, arm.simulated),
    )  # fmt: skip


def _gross(readings: Sequence[EnergyReading]) -> Cell:
    parts = [
        Markup("{} {}").format(r.domain, n.num(r.energy_j, format_si(r.energy_j, "J"), r.sensor, r.reason))
        for r in readings
    ]
    return n.join(parts, ", ") if parts else n.unknown("no sensor was open")


def _worst(readings: Sequence[EnergyReading]) -> Markup:
    return n.grade_badge(max((r.grade for r in readings), default=None), any(r.simulated for r in readings))


def _columns(names: Sequence[str], first_numeric: int) -> tuple[Column, ...]:
    return tuple(Column(name, i >= first_numeric and name != "Grade") for i, name in enumerate(names))
