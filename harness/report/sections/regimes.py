"""The sections on regimes of inference: energy and speed by batch, context and answer, their sums, and three views."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.inference.results import Additivity, ArmRegime, InferenceDetail, Metric, ViewRow, Views
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section, Table, columns_of
from harness.report.plots.registry import draw_plot

ENERGY: tuple[tuple[Metric, str, str], ...] = (
    ("j_per_task", "J per task", "J"),
    ("net_j_per_task", "J per task, net of idle", "J"),
    ("j_per_correct", "J per correct answer", "J"),
    ("j_per_output_token", "J per output token", "J"),
    ("j_per_token", "J per token, in and out", "J"),
    ("prefill_j_per_input_token", "Prefill, J per input token", "J"),
    ("decode_j_per_output_token", "Decode, J per output token", "J"),
)
SPEED: tuple[tuple[Metric, str, str], ...] = (
    ("s_per_task", "Seconds per task", "s"),
    ("ttft_s", "TTFT", "s"),
    ("itl_s", "ITL", "s"),
    ("output_tokens_per_s", "Output tokens per second", "/s"),
    ("flops_per_task", "FLOPs per task", "FLOP"),
    ("prefill_mfu", "MFU of prefill", "%"),
    ("decode_mfu", "MFU of decode", "%"),
    ("prefill_mbu", "MBU of prefill", "%"),
    ("decode_mbu", "MBU of decode", "%"),
    ("peak_memory_bytes", "Peak memory", "B"),
)
_WORDS = {name: title for name, title, _ in (*ENERGY, *SPEED)}
_VIEWS: tuple[tuple[str, str, str], ...] = (
    ("equal_batch", "view-batch", "Equal batch"),
    ("equal_latency", "view-latency", "Equal latency: each at its cheapest batch within the limits"),
    ("own_best", "view-best", "Each at its own best batch"),
)
_OUTCOMES = {"pass": "✓ pass", "fail": "✗ fail", "unknown": "? unknown"}
_NAMES = ("Family", "Size", "Kind", "Batch", "Tokens in", "Tokens out", "Answers")


def regimes_section(detail: InferenceDetail, baseline: str, candidate: str) -> Section:
    """Return energy and speed in every regime, a figure of them, and whether prefill and decode add up."""
    rows = detail.arm_regimes
    word = n.warning_word(n.energy_word(row.grade, row.simulated) for row in rows).lower()
    energy, no_energy = _figures_table("regime-energy", "Energy by regime", rows, ENERGY, grade=True)
    speed, no_speed = _figures_table("regime-speed", "Speed and use of the device by regime", rows, SPEED, grade=False)
    sums = _sums_table(detail.additivity)
    lead: Cell = (
        "Prefill reads the prompt, decode writes the answer, each measured in windows of its own. A kind of task is "
        "asked in one regime; in a sweep batch, context and answer length vary, and nothing is judged."
    )
    if word:
        lead = Markup("{} <strong>{}, not measured.</strong>").format(lead, f"The joules are {word}")
    notes: list[Cell] = [*no_energy, *no_speed]
    if detail.additivity:
        counts = {key: sum(check.outcome == key for check in detail.additivity) for key in _OUTCOMES}
        told = ", ".join(f"{count} {key}" for key, count in counts.items() if count)
        notes.append(f"Prefill and decode against the whole generation in one window: {told}.")
    figure = Figure(
        id="f-regimes",
        caption="One line for each family, context and answer length of the sweep; bars are 95% intervals.",
        svg=draw_plot("regime_energy", rows, baseline, candidate),
        table=None,
        missing="No sweep over batch and context was measured with a known energy.",
    )
    return Section(
        id="regimes-section",
        title=f"Energy by batch, context and answer ({word})" if word else "Energy by batch, context and answer",
        lead=lead,
        figures=(figure,),
        tables=tuple(table for table in (energy, speed, sums) if table is not None),
        notes=tuple(notes),
    )


def views_section(views: Views) -> Section:
    """Return the three views over the sweep."""
    limits = [
        Markup("{} at most {}").format(name, n.si(limit, "s", "the study's configuration"))
        for name, limit in (("TTFT", views.max_ttft_s), ("ITL", views.max_itl_s))
        if limit is not None
    ]
    tables: list[Table] = []
    notes: list[Cell] = []
    for view, key, title in _VIEWS:
        rows = [row for row in views.rows if row.view == view]
        if rows:
            tables.append(_view_table(key, title, rows, views))
        elif view == "equal_latency":
            notes.append("Equal latency: no limit is declared (task.regimes.max_ttft_s, task.regimes.max_itl_s).")
    lead: Cell = Markup(
        "Candidate over baseline ({} over {}, below 1: the candidate needs less) for the same prompts and the same "
        "limit on the answer. Which is better may turn with the batch, so there are three answers."
    ).format(views.candidate_arm, views.baseline_arm)
    if limits:
        lead += Markup(" Latency limits: {}.").format(n.join(limits, ", "))
    return Section(
        id="views-section",
        title="Equal batch, equal latency, each at its best",
        lead=lead,
        tables=tuple(tables),
        notes=tuple(notes),
    )


def _figures_table(
    table_id: str, caption: str, rows: Sequence[ArmRegime], metrics: Sequence[tuple[Metric, str, str]], *, grade: bool
) -> tuple[Table | None, list[str]]:
    """Return the figures that some row knows, and for the others one line that says why."""
    known = [entry for entry in metrics if any(row.figures[entry[0]].value is not None for row in rows)]
    missing = []
    for name, title, _ in metrics:
        reasons = sorted({row.figures[name].reason or "not recorded" for row in rows})
        if rows and all(row.figures[name].value is None for row in rows):
            missing.append(f"{title}: unknown ({'; '.join(reasons)}).")
    if not known:
        return None, missing
    body = tuple(
        (
            *_regime_cells(row),
            *(n.estimate(row.figures[name], unit, n.runs(row.run_ids)) for name, _, unit in known),
            *((n.grade_badge(row.grade, row.simulated),) if grade else ()),
        )
        for row in rows
    )
    names = (*_NAMES, *(title for _, title, _ in known), *(("Grade",) if grade else ()))
    words = {"Family", "Size", "Kind", "Answers", "Grade"}
    columns = columns_of(names, words)
    return Table(id=table_id, caption=caption, columns=columns, rows=body, sortable=True, filterable=True), missing


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
            check.regime.kind,
            n.count(check.regime.batch_size, check.run_id),
            n.count(check.regime.num_input_tokens, check.run_id, "prompts differ"),
            n.count(check.regime.num_output_tokens, check.run_id, "answers differ"),
            check.regime.answer_length,
            _with_half(check.parts_j, check.parts_half_j, check.run_id),
            _with_half(check.whole_j, check.whole_half_j, check.run_id),
            n.percent(check.relative_gap, check.run_id, "a part or the whole is unknown"),
            n.grade_badge(check.grade, check.simulated),
        )
        for check in sorted(checks, key=lambda check: check.outcome != "fail")
    )
    names = (
        *("Outcome", "Run", "Kind", "Batch", "Tokens in", "Tokens out", "Answers"),
        *("Prefill + decode, J per task", "In one window, J per task", "Gap", "Grade"),
    )
    words = {"Outcome", "Run", "Kind", "Answers", "Grade"}
    columns = columns_of(names, words)
    caption = "Do prefill and decode add up to the whole?"
    return Table(id="sums", caption=caption, columns=columns, rows=rows, sortable=True) if rows else None


def _with_half(value: float | None, half: float | None, source: str) -> Cell:
    shown = n.si(value, "J", source, "unknown in some window")
    if value is None or half is None:
        return shown
    return Markup('{} <small class="why">± {}</small>').format(shown, n.si(half, "J", source))


def _view_table(table_id: str, caption: str, rows: Sequence[ViewRow], views: Views) -> Table:
    arms = (views.baseline_arm, views.candidate_arm)
    body = tuple(
        (
            row.answer_length,
            _workload_cell(row),
            _WORDS.get(row.metric, row.metric),
            *(n.count(row.batches[arm], n.runs(row.run_ids), _why(row, arm)) for arm in arms),
            *(_value_cell(row, arm) for arm in arms),
            n.estimate(row.ratio, "", n.runs(row.run_ids)),
            n.count(row.ratio.n, n.runs(row.run_ids)),
            n.grade_badge(row.grade, row.simulated) if "j_per" in row.metric else "",
        )
        for row in rows
    )
    names = ("Answers", "Tokens", "What", *(f"Batch, {arm}" for arm in arms), *arms, "Ratio", "n", "Grade")
    words = {"Answers", "Tokens", "What", "Grade"}
    columns = columns_of(names, words)
    return Table(id=table_id, caption=caption, columns=columns, rows=body, sortable=True)


def _workload_cell(row: ViewRow) -> Cell:
    source = n.runs(row.run_ids)
    at_most = "at most " if row.answer_length == "free" else ""
    return Markup("{} in, {}{} out").format(
        n.count(row.num_input_tokens, source, "prompts differ"),
        at_most,
        n.count(row.num_output_tokens, source, "answers differ"),
    )


def _value_cell(row: ViewRow, arm: str) -> Cell:
    unit = "s" if row.metric == "s_per_task" else "J"
    return n.si(row.values[arm], unit, n.runs(row.run_ids), _why(row, arm))


def _why(row: ViewRow, arm: str) -> str:
    """Return why an arm has no batch or value in this row."""
    parts = [part for part in (row.reason or "").split("; ") if part.startswith(f"{arm}: ")]
    return parts[0].removeprefix(f"{arm}: ") if parts else row.reason or "unknown"
