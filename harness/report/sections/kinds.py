"""The sections on kinds of tasks: cost and accuracy of each kind, and the pairs of models that can be called equal."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.device_joules import TaskJoules
from harness.analysis.inference.results import InferenceDetail
from harness.analysis.results import ArmTask, Interval, KindTasks, MatchResult, TaskPair, TaskRatio
from harness.analysis.stats import ONE_VALUE, Estimate
from harness.analysis.tasks import METRICS
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section, Table, columns_of
from harness.report.plots.registry import draw_plot
from harness.report.sections.estimates import estimate_cell
from harness.report.sections.ratio_tables import RATIO_WORDS


def kinds_section(match: MatchResult, detail: InferenceDetail) -> Section:
    """Return what each kind of task costs each family at the matched loss, its accuracy beside chance, and ratios."""
    rows = tuple(
        _task_row(kind.kind, task, joules)
        for kind in match.kinds
        for task, joules in itertools.zip_longest(kind.arm_tasks, kind.task_joules)
    )
    names = (
        *("Kind", "Family", "Size", "Energy per task", "net of idle", "Energy per correct answer"),
        *("Seconds per task", "FLOPs per task", "Correct", "Grade"),
    )
    tables = [
        _table("kinds", "Each kind of task at the matched loss", names, rows, {"Kind", "Family", "Size", "Grade"})
    ]
    ratios = tuple(_ratio_row(kind) for kind in match.kinds)
    titles = ("Kind", *(RATIO_WORDS[metric] for metric in METRICS), "n", "Grade of the energies")
    caption = "Candidate over baseline by kind, below 1: the candidate needs less"
    tables.append(_table("kind-ratios", caption, titles, ratios, {"Kind", "Grade of the energies"}))
    lead = (
        "The task above is the mean over these kinds, each weighing the same. Accuracy stands under the figure; chance "
        "is what blind answers would reach: the commonest answer to all, or one of the choices."
    )
    return Section(
        id="kinds-section",
        title="Each kind of task",
        lead=lead if match.kinds else "The families are not compared; this is what single runs answered.",
        figures=(accuracy_figure(detail, match.baseline_arm, match.candidate_arm),),
        tables=tuple(tables) if match.kinds else (),
    )


def accuracy_figure(detail: InferenceDetail, baseline: str, candidate: str) -> Figure:
    """Return accuracy beside chance, kind by kind, with the numbers as a table."""
    scores = detail.scores
    where = "At the matched loss" if detail.matched_loss is not None else "Means over runs"
    rows = tuple(
        (
            score.kind,
            score.arm,
            score.size,
            n.percent(score.accuracy, n.runs(score.run_ids), score.reason),
            n.percent(score.accuracy_stderr, n.runs(score.run_ids), "no error is recorded"),
            n.percent(score.chance, n.runs(score.run_ids), "no chance can be told for these answers"),
            n.count(score.num_asked, n.runs(score.run_ids)),
            n.count(score.num_runs, n.runs(score.run_ids)),
        )
        for score in scores
    )
    names = ("Kind", "Family", "Size", "Accuracy", "Standard error", "Chance", "Questions", "Runs")
    return Figure(
        id="f-kinds",
        caption=f"{where}. Bars: 95% of the binomial error over the questions. Dashed: chance.",
        svg=draw_plot("kind_accuracy", scores, baseline, candidate),
        table=_table("kind-scores", "Accuracy of each kind", names, rows, {"Kind", "Family", "Size"}),
        missing="No accuracy is known.",
    )


def pairs_section(match: MatchResult) -> Section:
    """Return the pairs of models that can be called equal, and what is unequal about each."""
    rows = tuple(_pair_row(pair) for pair in match.task_pairs)
    names = (
        *("Pair", "Models", "Loss, baseline less candidate", "Accuracy, baseline less candidate"),
        *("Energy per task", "Energy per correct answer", "Seconds per task", "FLOPs per task", "Grade"),
    )
    words = {"Pair", "Models", "Grade"}
    return Section(
        id="pairs-section",
        title="Which two models are compared",
        lead=(
            "Many models share a loss, and the ratio depends on which are picked. The first pair is the verdict's; the "
            "others are equal in something else and come as near to that loss as the runs allow. Ratios are candidate "
            "over baseline."
        ),
        tables=(_table("pairs", "Pairs matched in quality, and what is unequal", names, rows, words),),
    )


def _pair_row(pair: TaskPair) -> tuple[Cell, ...]:
    source = n.runs(pair.run_ids)
    by_metric: dict[str, TaskRatio] = {ratio.metric: ratio for ratio in pair.task_ratios}
    gaps = tuple(
        _gap_cell(value, interval, source, pair.reason or (ONE_VALUE if pair.n == 1 else None))
        for value, interval in ((pair.loss_gap, pair.loss_interval), (pair.accuracy_gap, pair.accuracy_interval))
    )
    metrics = ("energy_per_task", "energy_per_correct", "seconds_per_task", "flops_per_task")
    cells = tuple(_ratio_cell(by_metric.get(metric), pair.reason) for metric in metrics)
    grades = [task.energy_grade for task in pair.arm_tasks if task.energy_grade is not None]
    simulated = any(task.simulated for task in pair.arm_tasks)
    return (pair.title, pair.at or "none", *gaps, *cells, n.grade_badge(max(grades, default=None), simulated))


def _ratio_cell(ratio: TaskRatio | None, reason: str | None) -> Cell:
    if ratio is None:
        return n.unknown(reason or "not compared")
    found = Estimate(value=ratio.estimate, interval=ratio.interval, n=ratio.n, reason=ratio.reason)
    return estimate_cell(found, "", n.runs(ratio.run_ids))


def _gap_cell(value: float | None, interval: Interval | None, source: str, reason: str | None) -> Cell:
    shown = n.num(value, "" if value is None else f"{value:+.4f}", source, reason or "unknown in some run")
    if value is None or interval is None:
        return shown
    ends = (n.num(end, f"{end:+.4f}", source) for end in (interval.low, interval.high))
    return Markup('{} <small class="why">{} to {}</small> <small class="why how">{:.0f}%, {}</small>').format(
        shown, *ends, 100 * interval.level, interval.method
    )


def _task_row(kind: str, task: ArmTask, joules: TaskJoules | None) -> tuple[Cell, ...]:
    source = n.runs(task.run_ids)
    if joules is None:
        net: Cell = n.unknown("net energy of this kind is unknown", source)
        energy: Cell = n.si(task.energy_per_task_j, "J", source, "no energy reading")
        correct: Cell = n.si(task.energy_per_correct_j, "J", source, task.energy_per_correct_reason)
    else:
        energies = (joules.gross, joules.net, joules.gross_per_correct)
        energy, net, correct = (estimate_cell(found, "J", source) for found in energies)
    return (
        kind,
        task.arm,
        task.size,
        energy,
        net,
        correct,
        n.si(task.seconds_per_task, "s", source),
        n.si(task.flops_per_task, "FLOP", source),
        Markup("{} of {}").format(n.count(task.num_correct, source), n.count(task.num_tasks, source)),
        n.grade_badge(task.energy_grade, task.simulated),
    )


def _ratio_row(kind: KindTasks) -> tuple[Cell, ...]:
    by_metric: dict[str, TaskRatio] = {ratio.metric: ratio for ratio in kind.task_ratios}
    grades = [ratio.grade for ratio in kind.task_ratios if ratio.grade is not None]
    source = n.runs(run_id for ratio in kind.task_ratios for run_id in ratio.run_ids)
    return (
        kind.kind,
        *(_ratio_cell(by_metric.get(metric), None) for metric in METRICS),
        n.count(max((ratio.n for ratio in kind.task_ratios), default=0), source),
        n.grade_badge(max(grades, default=None), any(task.simulated for task in kind.arm_tasks)),
    )


def _table(
    table_id: str, caption: str, names: Sequence[str], rows: tuple[tuple[Cell, ...], ...], words: set[str]
) -> Table:
    columns = columns_of(names, words)
    return Table(id=table_id, caption=caption, columns=columns, rows=rows, sortable=True)
