"""The tuning section: joules and batches are shown where they are known, and never as 0 where they are not."""

from __future__ import annotations

import dataclasses

from harness.report.sections.tuning import tuning_section
from tests.unit.report.factory import make_records, make_study


def _table(**changes):
    study = make_study(make_records())
    notes = tuple(dataclasses.replace(note, **changes) for note in study.tuning)
    (table,) = tuning_section(dataclasses.replace(study, tuning=notes)).tables
    return [column.title for column in table.columns], [str(cell) for cell in table.rows[0]]


def test_what_is_not_known_has_no_column():
    names, row = _table()
    assert "Joules" not in names
    assert "Batch" not in names
    assert len(names) == len(row)


def test_energy_stands_with_its_grade():
    names, row = _table(total_energy_j=1234.0, energy_grade="C")
    cell = row[names.index("Joules")]
    assert "1.23" in cell
    assert "modelled" in cell


def test_a_batch_that_was_searched_is_shown_with_what_was_tried():
    names, row = _table(batch_sizes=(4, 8), chosen_batch=8)
    assert row[names.index("Batches tried")] == "4, 8"
    assert "8" in row[names.index("Batch")]
    assert len(names) == len(row)


def test_an_unknown_energy_beside_known_ones_says_why():
    study = make_study(make_records())
    known = dataclasses.replace(study.tuning[0], total_energy_j=1.0, energy_grade="A")
    (table,) = tuning_section(dataclasses.replace(study, tuning=(known, study.tuning[0]))).tables
    names = [column.title for column in table.columns]
    assert "not measured during the search" in str(table.rows[1][names.index("Joules")])
