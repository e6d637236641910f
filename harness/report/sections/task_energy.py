"""What a task and a correct answer cost each family."""

from __future__ import annotations

from markupsafe import Markup

from harness.analysis.device_joules import TaskJoules
from harness.analysis.results import ArmTask, MatchResult
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Section, Table, columns_of
from harness.report.sections.device_energy import device_figure
from harness.report.sections.estimates import estimate_cell
from harness.report.sections.ratio_tables import ratio_table


def tasks_section(match: MatchResult) -> Section:
    """Return what a task and a correct answer cost each family."""
    joules = {arm.arm: arm.total for arm in match.task_devices}
    rows = tuple(_task_row(arm, joules.get(arm.arm)) for arm in match.arm_tasks)
    columns = (
        "Family",
        "Size",
        "Energy per task",
        "Energy per correct answer",
        "Seconds per task",
        "FLOPs per task",
        "Accuracy",
        "Correct",
        "Grade",
    )
    tables: tuple[Table, ...] = (
        (
            Table(
                id="tasks",
                caption="Cost of one task at the matched loss",
                columns=columns_of(columns, ("Grade",), first_numeric=2),
                rows=rows,
            ),
        )
        if rows
        else ()
    )
    if match.task_ratios:
        simulated = any(arm.simulated for arm in match.arm_tasks)
        caption = "Ratios, below 1: the candidate needs less"
        tables += (ratio_table("task-ratios", caption, match.task_ratios, simulated=simulated),)
    return Section(
        id="tasks-section",
        title="Energy per task and per correct answer",
        figures=(device_figure("f-task", match.task_devices, match.baseline_arm),),
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


def _task_row(arm: ArmTask, joules: TaskJoules | None) -> tuple[Cell, ...]:
    source = n.runs(arm.run_ids)
    energy: Cell = n.si(arm.energy_per_task_j, "J", source, "no energy reading")
    correct: Cell = n.si(arm.energy_per_correct_j, "J", source, arm.energy_per_correct_reason)
    if joules is not None:
        energy, correct = (estimate_cell(found, "J", source) for found in (joules.gross, joules.gross_per_correct))
    stderr = "" if arm.accuracy_stderr is None else Markup(" ± {}").format(n.percent(arm.accuracy_stderr, source))
    return (
        arm.arm,
        arm.size,
        energy,
        correct,
        n.seconds(arm.seconds_per_task, source),
        n.si(arm.flops_per_task, "FLOP", source),
        n.percent(arm.accuracy, source) + stderr,
        Markup("{} of {}").format(n.count(arm.num_correct, source), n.count(arm.num_tasks, source)),
        n.grade_badge(arm.energy_grade, arm.simulated),
    )
