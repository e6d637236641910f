"""The section on the search of learning rate and batch that a study rests on, with its cost."""

from __future__ import annotations

from harness.core.study import StudyInfo, TuningNote
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Section, Table, columns_of


def tuning_section(study: StudyInfo | None) -> Section:
    """Return the learning-rate search of each family, or that none is disclosed."""
    notes = study.tuning if study is not None else ()
    batches = any(note.batch_sizes for note in notes)
    joules = any(note.total_energy_j is not None for note in notes)
    names: tuple[str, ...] = ("Family", "Size", "Tried", "Chosen", "Tokens per trial", "Seeds", "FLOPs", "Time")
    names = (*names, *(("Joules",) if joules else ()), "Where")
    if batches:
        names = (*names[:4], "Batches tried", "Batch", *names[4:])
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            t.arm,
            t.size,
            n.join((n.num(rate, f"{rate:g}", t.where) for rate in t.learning_rates), ", "),
            n.num(t.chosen, f"{t.chosen:g}", t.where),
            *(_batch_cells(t) if batches else ()),
            n.count(t.tokens_per_trial, t.where),
            n.count(t.num_seeds, t.where),
            n.si(t.total_flops, "FLOP", t.where, "not counted during the search"),
            n.seconds(t.total_duration_s, t.where, "not timed during the search"),
            *((_search_joules(t),) if joules else ()),
            t.where,
        )
        for t in notes
    )
    words = {"Family", "Size", "Tried", "Batches tried", "Where"}
    columns = columns_of(names, words)
    table = Table(id="tuning", caption="Learning-rate search", columns=columns, rows=rows)
    lead = (
        "The search of learning rates is not part of the multipliers; what each family's search tried and cost is "
        "shown so that nobody has to guess whether one was tuned harder."
    )
    return Section(
        id="tuning-section",
        title="Tuning, disclosed",
        lead=lead,
        tables=(table,) if rows else (),
        notes=() if rows else ("No learning-rate search is recorded with this study.",),
    )


def _batch_cells(note: TuningNote) -> tuple[Cell, Cell]:
    tried = ", ".join(map(str, note.batch_sizes)) or "not searched"
    return tried, n.count(note.chosen_batch, note.where, "the batch was not searched")


def _search_joules(note: TuningNote) -> Cell:
    if note.total_energy_j is None:
        return n.unknown("not measured during the search", note.where)
    return n.si(note.total_energy_j, "J", note.where) + " " + n.grade_badge(note.energy_grade, simulated=False)
