"""What a task costs two models or servers, the ratios, and whether their answers are equally good: three sections."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.inference.answered import SUITE
from harness.analysis.inference.results import ArmCost, InferenceDetail, InferenceResult, KindCost
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Section, Table, columns_of
from harness.report.sections.device_energy import device_figure
from harness.report.sections.equality import signed_interval
from harness.report.sections.estimates import estimate_cell
from harness.report.sections.kinds import accuracy_figure
from harness.report.sections.ratio_tables import RATIO_WORDS


def costs_section(result: InferenceResult, suite: KindCost) -> Section:
    """Return what a task costs each arm: all kinds together, then one by one."""
    rows = tuple(_cost_row(name, kind, arm) for name, kind in _list_kinds(result, suite) for arm in kind.arms)
    names = (
        *("Kind", "Arm", "Energy per task", "per token of the answer", "per byte of the answer"),
        *("per correct answer", "net of idle, per task", "Seconds per task", "FLOPs per task", "Tokens of an answer"),
        *("Bytes of an answer", "Accuracy", "Chance", "Grade"),
    )
    word = n.warning_word(n.energy_word(arm.grade, arm.simulated) for arm in suite.arms).lower()
    return Section(
        id="costs-section",
        title=f"What a task costs (energy {word})" if word else "What a task costs",
        lead="Means over repeats with their 95% interval. All kinds together: each weighs the same.",
        figures=(device_figure("f-costs", result.task_devices, result.baseline_arm),),
        tables=(_table("costs", "Cost of a task by kind and arm", names, rows, {"Kind", "Arm", "Grade"}),),
    )


def _list_kinds(result: InferenceResult, suite: KindCost) -> list[tuple[str, KindCost]]:
    """Return all kinds together, each kind, then the same where answers ended where they ended."""
    named = [(_name_kind(kind), kind) for kind in (suite, *result.kinds)]
    return named + [(f"{_name_kind(kind)}, free answers", kind) for kind in result.free]


def _cost_row(name: str, kind: KindCost, arm: ArmCost) -> tuple[Cell, ...]:
    source = n.runs(arm.run_ids)
    metrics = ("energy_per_task", "energy_per_token", "energy_per_byte", "energy_per_correct", "net_energy_per_task")
    stderr: Cell = ""
    if arm.accuracy_stderr is not None:
        stderr = Markup(" ± {}").format(n.percent(arm.accuracy_stderr, source))
    blind = "chance is told kind by kind" if kind.kind == SUITE else "no chance can be told for these answers"
    return (
        name,
        arm.arm,
        *(estimate_cell(arm.figures[metric], "J", source) for metric in metrics),
        estimate_cell(arm.figures["seconds_per_task"], "s", source),
        estimate_cell(arm.figures["flops_per_task"], "FLOP", source),
        n.digits(arm.tokens_per_task, source, "not counted"),
        n.digits(arm.bytes_per_answer, source, "no answers were kept"),
        n.percent(arm.accuracy, source, "unknown in some repeat") + stderr,
        n.percent(kind.chance, source, blind),
        n.grade_badge(arm.grade, arm.simulated),
    )


def ratios_section(result: InferenceResult, suite: KindCost) -> Section:
    """Return candidate over baseline in every unit."""
    rows = tuple(
        (
            name,
            RATIO_WORDS[ratio.metric],
            n.digits(ratio.estimate, n.runs(ratio.run_ids), ratio.reason),
            n.interval(ratio.interval, n.runs(ratio.run_ids), ""),
            n.count(ratio.n, n.runs(ratio.run_ids)),
            n.grade_badge(ratio.grade, any(arm.simulated for arm in kind.arms)) if "energy" in ratio.metric else "",
        )
        for name, kind in _list_kinds(result, suite)
        for ratio in kind.ratios
    )
    names = ("Kind", "Candidate over baseline", "Ratio", "Interval", "n", "Grade")
    table = _table("inference-ratios", "Ratios", names, rows, {"Kind", "Candidate over baseline", "Grade"})
    return Section(
        id="ratios-section",
        title="Candidate over baseline",
        lead=Markup(
            "{} over {}; below 1 the candidate needs less. The unit can turn the sign: see all of them."
        ).format(result.candidate_arm, result.baseline_arm),
        tables=(table,),
    )


def accuracy_section(result: InferenceResult, detail: InferenceDetail) -> Section:
    """Return whether the arms answer equally well, kind by kind and over all."""
    tests = [kind.accuracy for kind in (*((result.suite,) if result.suite else ()), *result.kinds) if kind.accuracy]
    rows = tuple(
        (
            test.what,
            Markup("{}{}").format(
                test.outcome, Markup(' <small class="why">{}</small>').format(test.reason) if test.reason else ""
            ),
            n.num(test.difference, _points(test.difference), n.runs(test.run_ids), test.reason),
            signed_interval(test.interval, n.runs(test.run_ids)),
            n.digits(test.margin, "the study's promise", "none declared"),
            _yes(test.non_inferior),
            _yes(test.not_superior),
            n.digits(test.p_value, n.runs(test.run_ids), "not tested", 2),
            n.percent(test.power, f"at the spread seen; {n.runs(test.run_ids)}", "not tested"),
            n.count(test.num_examples, n.runs(test.run_ids)),
            n.count(test.num_examples_needed, "normal approximation at the spread seen", "not tested"),
            n.count(test.num_failed, n.runs(test.run_ids)),
        )
        for test in tests
    )
    names = (
        *("What", "Outcome", "Candidate less baseline", "Interval", "Margin", "Not inferior", "Not superior"),
        *("p", "Power", "Examples", "Examples for 80% power", "Failed, counted wrong"),
    )
    words = {"What", "Outcome", "Not inferior", "Not superior"}
    return Section(
        id="equivalence-section",
        title="Equally good answers?",
        lead=(
            "No significant difference is not equality. Arms are called equivalent only where the 90% interval of "
            "their difference, paired by example, lies wholly inside a margin that was declared before the first run "
            "(TOST)."
        ),
        figures=(accuracy_figure(detail, result.baseline_arm, result.candidate_arm),),
        tables=(_table("accuracy-tests", "Two one-sided tests on accuracy", names, rows, words),) if rows else (),
    )


def _name_kind(kind: KindCost) -> str:
    return "all kinds" if kind.kind == SUITE else kind.kind


def _points(value: float | None) -> str:
    return "" if value is None else f"{value:+.4f}"


def _yes(value: bool | None) -> str:
    return "unknown" if value is None else "yes" if value else "not shown"


def _table(
    table_id: str, caption: str, names: Sequence[str], rows: tuple[tuple[Cell, ...], ...], words: set[str]
) -> Table:
    columns = columns_of(names, words)
    return Table(id=table_id, caption=caption, columns=columns, rows=rows, sortable=True)
