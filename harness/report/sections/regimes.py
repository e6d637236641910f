"""The section on regimes of inference: energy and speed by batch, context and answer, and their sums."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.inference.figures import Metric
from harness.analysis.inference.results import Additivity, ArmRegime, InferenceDetail
from harness.analysis.task_costs import SWEEP
from harness.core.inference import name_regime
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section, Table, columns_of
from harness.report.plots.regime_energy import list_marks
from harness.report.plots.registry import draw_plot
from harness.report.sections.estimates import estimate_cell

Columns = tuple[tuple[Metric, str, str], ...]
# what the figure shows, then what stands in tables of its own
SHOWN: Columns = (
    ("prefill_j_per_input_token", "Prefill, J per input token", "J"),
    ("decode_j_per_output_token", "Decode, J per output token", "J"),
    ("j_per_output_token", "J per output token, prefill included", "J"),
)
TASKS: Columns = (
    ("j_per_task", "J per task", "J"),
    ("net_j_per_task", "J per task, net of idle", "J"),
    ("j_per_correct", "J per correct answer", "J"),
    ("j_per_token", "J per token, in and out", "J"),
)
SPEED: Columns = (
    ("s_per_task", "Seconds per task", "s"),
    ("ttft_s", "TTFT", "s"),
    ("itl_s", "ITL", "s"),
    ("output_tokens_per_s", "Output tokens per second", "/s"),
)
USE: Columns = (
    ("flops_per_task", "FLOPs per task", "FLOP"),
    ("prefill_mfu", "MFU of prefill", "%"),
    ("decode_mfu", "MFU of decode", "%"),
    ("prefill_mbu", "MBU of prefill", "%"),
    ("decode_mbu", "MBU of decode", "%"),
    ("peak_memory_bytes", "Peak memory", "B"),
)
# of a kind of task these stand in the table of what a task of each kind costs, where there is one
_COSTS = {"j_per_task", "net_j_per_task", "j_per_correct", "s_per_task", "flops_per_task"}
_OUTCOMES = {"pass": "✓ pass", "fail": "✗ fail", "unknown": "? unknown"}
_NAMES = ("Family", "Size", "Kind", "Batch", "Tokens in", "Tokens out", "Answers")


def regimes_section(detail: InferenceDetail, baseline: str, candidate: str, *, costs_shown: bool = False) -> Section:
    """Return energy and speed in every regime, a figure of them, and whether prefill and decode add up.

    `costs_shown` says that another section has what a task of each kind costs, so that it is not said twice.
    """
    rows = detail.arm_regimes
    marks = list_marks(rows)
    word = n.warning_word(n.energy_word(row.grade, row.simulated) for row in rows).lower()
    kinds = [row for row in rows if row.regime.kind != SWEEP]
    sweep = [row for row in rows if row.regime.kind == SWEEP]
    tables: list[Table | None] = []
    notes: list[Cell] = []
    energy = _figures_table("regime-energy", "Prefill and decode over batch and context", marks, SHOWN, grade=True)
    for key, caption, own, metrics, grade, short in (
        ("regime-kinds", "Energy of each kind in its regime", kinds, (*SHOWN, *TASKS), True, False),
        ("regime-tasks", "Energy over batch and context, by the task", sweep, TASKS, True, True),
        ("regime-speed", "Speed by regime", rows, SPEED, False, True),
        ("regime-use", "Use of the device by regime", rows, USE, False, True),
    ):
        left_out = _COSTS if costs_shown and own is kinds else set()
        wanted = tuple(entry for entry in metrics if entry[0] not in left_out)
        tables.append(_figures_table(key, caption, own, wanted, grade=grade, short=short))
    notes += _explain_missing(rows)
    tables.append(_sums_table(detail.additivity))
    lead: Cell = (
        "Prefill reads the prompt, decode writes the answer, each measured in windows of its own. A kind of task is "
        "asked in one regime; in a sweep batch, context and answer length vary, and nothing is judged."
    )
    if word:
        lead = Markup("{} <strong>{}, not measured.</strong>").format(lead, f"The joules are {word}")
    if detail.additivity:
        counts = {key: sum(check.outcome == key for check in detail.additivity) for key in _OUTCOMES}
        told = ", ".join(f"{count} {key}" for key, count in counts.items() if count)
        notes.append(f"Prefill and decode against the whole generation in one window: {told}.")
    figure = Figure(
        id="f-regimes",
        caption="One line for each family and context, of decode also for each answer length; bars are 95% intervals.",
        svg=draw_plot("regime_energy", rows, baseline, candidate),
        table=energy,
        missing="No sweep over batch and context was measured with a known energy.",
    )
    return Section(
        id="regimes-section",
        title=f"Energy by batch, context and answer ({word})" if word else "Energy by batch, context and answer",
        lead=lead,
        figures=(figure,),
        tables=tuple(table for table in tables if table is not None),
        notes=tuple(notes),
    )


def _figures_table(
    table_id: str, caption: str, rows: Sequence[ArmRegime], metrics: Columns, *, grade: bool, short: bool = False
) -> Table | None:
    """Return the figures that some row knows; `short` names the regime in one column, spelled out in other tables."""
    known = [entry for entry in metrics if any(row.figures[entry[0]].value is not None for row in rows)]
    if not known:
        return None
    body = tuple(
        (
            *((row.arm, row.size, name_regime(row.regime)) if short else _regime_cells(row)),
            *(estimate_cell(row.figures[name], unit, n.runs(row.run_ids)) for name, _, unit in known),
            *((n.grade_badge(row.grade, row.simulated),) if grade else ()),
        )
        for row in rows
    )
    named = ("Family", "Size", "Regime") if short else _NAMES
    names = (*named, *(title for _, title, _ in known), *(("Grade",) if grade else ()))
    words = {"Family", "Size", "Kind", "Regime", "Answers", "Grade"}
    columns = columns_of(names, words)
    return Table(id=table_id, caption=caption, columns=columns, rows=body, sortable=True, filterable=True)


def _explain_missing(rows: Sequence[ArmRegime]) -> list[Cell]:
    """Return for each figure that no regime knows one line that says why."""
    missing: list[Cell] = []
    for name, title, _ in (*SHOWN, *TASKS, *SPEED, *USE):
        if rows and all(row.figures[name].value is None for row in rows):
            reasons = sorted({row.figures[name].reason or "not recorded" for row in rows})
            missing.append(f"{title}: unknown ({'; '.join(reasons)}).")
    return missing


def _regime_cells(row: ArmRegime) -> tuple[Cell, ...]:
    regime, source = row.regime, n.runs(row.run_ids)
    at_most = "at most " if regime.answer_length == "free" else ""
    return (
        row.arm,
        row.size,
        regime.kind,
        n.count(regime.batch_size, source),
        n.count(regime.num_input_tokens, source, "prompts differ"),
        Markup("{}{}").format(at_most, n.count(regime.num_output_tokens, source, "answers differ")),
        regime.answer_length,
    )


def _sums_table(checks: Sequence[Additivity]) -> Table | None:
    rows = tuple(
        (
            Markup('<span class="outcome {}">{}</span>').format(check.outcome, _OUTCOMES[check.outcome]),
            check.run_id,
            name_regime(check.regime),
            _with_half(check.parts_j, check.parts_half_j, check.run_id),
            _with_half(check.whole_j, check.whole_half_j, check.run_id),
            n.percent(check.relative_gap, check.run_id, "a part or the whole is unknown"),
            n.grade_badge(check.grade, check.simulated),
        )
        for check in sorted(checks, key=lambda check: check.outcome != "fail")
    )
    names = (
        *("Outcome", "Run", "Regime"),
        *("Prefill + decode, J per task", "In one window, J per task", "Gap", "Grade"),
    )
    words = {"Outcome", "Run", "Regime", "Grade"}
    columns = columns_of(names, words)
    caption = "Do prefill and decode add up to the whole?"
    return Table(id="sums", caption=caption, columns=columns, rows=rows, sortable=True) if rows else None


def _with_half(value: float | None, half: float | None, source: str) -> Cell:
    shown = n.si(value, "J", source, "unknown in some window")
    if value is None or half is None:
        return shown
    return Markup('{} <small class="why">± {}</small>').format(shown, n.si(half, "J", source))
