"""The sections on the runs of a study in which nothing was trained, and on the models that answered."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.boundary import sum_boundary
from harness.analysis.task_costs import ACCURACY_METRIC
from harness.core.records import RunRecord
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Column, Section, Table, columns_of

_PHASES = ("prefill", "decode", "serve")


def inference_runs_section(records: Sequence[RunRecord]) -> Section:
    """Return the table of all runs, failed ones included."""
    names = ("Run", "Arm", "Model", "Repeat", "Windows", "Measured", "Joules", "Right answers", "Status")
    words = {"Run", "Arm", "Model", "Status"}
    rows = tuple(_run_row(record) for record in records)
    columns = columns_of(names, words)
    table = Table(id="runs", caption="All runs", columns=columns, rows=rows, sortable=True, filterable=True)
    return Section(
        id="runs-section",
        title="Every run",
        lead="Seconds and joules are those of windows in which prompts were read or answers written.",
        tables=(table,) if rows else (),
        notes=() if rows else ("There is no readable record.",),
    )


def models_section(records: Sequence[RunRecord]) -> Section:
    """Return where each arm's model comes from, and what was pinned when it was loaded."""
    rows: dict[tuple[Cell, ...], None] = {}
    for record in records:
        source, params = record.model_source, record.params
        if source is None and record.serving is None:
            continue
        why = "a server does not say" if record.serving is not None else "not recorded"
        rows[
            record.arm,
            source.name if source is not None else record.serving.server_model if record.serving else "",
            f"{source.architecture} ({source.model_type})" if source is not None else why,
            source.precision if source is not None else why,
            n.si(params.total if params else None, "", record.run_id, why),
            n.si(params.active if params else None, "", record.run_id, why),
            f"{source.library} {source.library_version}" if source is not None else why,
            (source.experts_implementation or "not said") if source is not None else why,
            (source.attention_implementation or "not said") if source is not None else why,
            ("yes" if source.chat_template else "no") if source is not None else why,
            (source.weights_sha256 or "unknown")[:12] if source is not None else why,
        ] = None
    unique = {tuple(str(cell) for cell in (*row[:4], *row[6:])): row for row in rows}
    names = (
        *("Arm", "Model", "Architecture", "Precision", "Parameters", "of them active", "Library"),
        *("Experts by", "Attention by", "Chat template", "SHA-256 of the weights"),
    )
    columns = tuple(Column(name, name in ("Parameters", "of them active")) for name in names)
    table = Table(id="models", caption="What answered", columns=columns, rows=tuple(unique.values()))
    return Section(
        id="models-section",
        title="The models",
        tables=(table,) if unique else (),
        notes=() if unique else ("No record says where its model comes from.",),
    )


def _run_row(record: RunRecord) -> tuple[Cell, ...]:
    run = record.run_id
    why = "the run failed" if record.status == "failed" else "not recorded for this run"
    windows = record.windows_of(*_PHASES)
    sums = [sum_boundary(window.energy) for window in windows]
    known = [energy.energy_j for energy in sums if energy.energy_j is not None]
    joules = sum(known) if windows and len(known) == len(windows) else None
    grade = max((energy.grade for energy in sums if energy.grade is not None), default=None)
    judged = [q for q in record.quality if q.higher_is_better and q.value is not None]
    readings = [q for q in judged if q.metric == ACCURACY_METRIC] or judged
    right = ", ".join(f"{q.task} {100 * q.value:.1f}%" for q in readings if q.value is not None)
    mean = sum(q.value for q in readings if q.value is not None) / len(readings) if readings else None
    source = record.model_source
    outcome = "pass" if record.status == "finished" else "fail"
    energy = n.si(joules, "J", run, why)
    return (
        run,
        record.arm,
        source.name if source is not None else record.serving.server_model if record.serving else record.size,
        n.count(record.seed, run),
        n.count(len(windows), run),
        n.seconds(sum(window.duration_s for window in windows) if windows else None, run, why),
        Markup("{} {}").format(energy, n.grade_badge(grade, any(e.simulated for e in sums))) if windows else energy,
        Markup('{} <small class="why">{}</small>').format(n.percent(mean, run, why), right),
        Markup('<span class="outcome {}">{}</span>').format(outcome, record.status),
    )
