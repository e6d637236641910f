"""The section on three views over a sweep: equal batch, equal latency, each at its best."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.inference.results import ViewRow, Views
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Section, Table, columns_of
from harness.report.sections.estimates import estimate_cell
from harness.report.sections.regimes import SHOWN, SPEED, TASKS

_WORDS = {name: title for name, title, _ in (*SHOWN, *TASKS, *SPEED)}
_VIEWS: tuple[tuple[str, str, str], ...] = (
    ("equal_batch", "view-batch", "Equal batch"),
    ("equal_latency", "view-latency", "Equal latency: each at its cheapest batch within the limits"),
    ("own_best", "view-best", "Each at its own best batch"),
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


def _view_table(table_id: str, caption: str, rows: Sequence[ViewRow], views: Views) -> Table:
    arms = (views.baseline_arm, views.candidate_arm)
    body = tuple(
        (
            row.answer_length,
            _workload_cell(row),
            _WORDS.get(row.metric, row.metric),
            *(n.count(row.batches[arm], n.runs(row.run_ids), _why(row, arm)) for arm in arms),
            *(_value_cell(row, arm) for arm in arms),
            estimate_cell(row.ratio, "", n.runs(row.run_ids)),
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
