"""What would overturn the study, on the page: exact numbers, modelled named, and reasons for what is missing."""

from __future__ import annotations

import re
from types import ModuleType

from harness.analysis.claims import judge_all, load_claims
from harness.analysis.match import match_study
from harness.analysis.sensitivity.results import Sensitivity
from harness.analysis.sensitivity.study import estimate_sensitivity
from harness.analysis.verdicts import ClaimVerdict
from harness.core.readings import Grade
from harness.report.page.blocks import Section
from harness.report.sections.sensitivity import sensitivity_section
from tests.unit.analysis.factory import make_records, make_study


def analyse(
    grade: Grade = "A", claims: tuple[str, ...] = ("training_compute_tenth", "energy_per_task_90")
) -> tuple[Sensitivity, list[ClaimVerdict]]:
    records = make_records(2.0, grade=grade)
    study = make_study(records)
    match = match_study(records, study)
    verdicts = judge_all(load_claims(claims), match)
    return estimate_sensitivity(records, study, match, verdicts), verdicts


def text_of(section: Section) -> str:
    parts = [section.lead, *section.notes, *(value for _, value in section.facts)]
    tables = [*section.tables, *(figure.table for figure in section.figures if figure.table)]
    parts += [cell for table in tables for row in table.rows for cell in row]
    return " ".join(map(str, parts))


def test_every_ratio_stands_in_the_table_in_the_order_of_its_marks() -> None:
    found, verdicts = analyse()
    (figure,) = sensitivity_section(found, verdicts).figures
    known = [row for row in found.rows if row.ratio is not None]
    assert figure.table is not None
    assert len(figure.table.rows) == len(known) > 20
    for cells, row in zip(figure.table.rows, known, strict=True):
        assert f'data-value="{row.ratio!r}"' in str(cells[2])
        assert row.alternative in str(cells[1])
    rows = re.findall(r"sensitivity-rows-([\d-]+)", str(figure.svg)) or re.findall(r'data-row="(\d+)"', str(figure.svg))
    assert {int(i) for group in rows for i in group.split("-")} == set(range(len(known)))


def test_what_cannot_be_computed_is_listed_with_its_reason() -> None:
    found, verdicts = analyse()
    text = text_of(sensitivity_section(found, verdicts))
    for row in found.rows:
        if row.ratio is None:
            assert str(row.reason) in text
    assert "cancel in every ratio" in text
    assert "Norway: 30.08 g/kWh" in text


def test_modelled_energy_is_named_in_figure_table_and_grams() -> None:
    found, verdicts = analyse("C")
    section = sensitivity_section(found, verdicts)
    assert "Training energy (modelled, not measured)" in str(section.figures[0].svg)
    table = section.figures[0].table
    assert table is not None
    for cells in table.rows:
        assert ("C modelled" in str(cells[5])) == ("nergy" in str(cells[0]))
    for cells in section.tables[0].rows:
        assert "C modelled" in str(cells[2])


def test_the_lead_says_whether_a_verdict_turns() -> None:
    found, verdicts = analyse()
    assert "None of" in str(sensitivity_section(found, verdicts).lead)
    modelled, verdicts = analyse("C", ("energy_per_task_90",))
    assert "No verdict rests on these ratios" in str(sensitivity_section(modelled, verdicts).lead)


def test_no_match_gives_the_reason_and_no_axes(factory: ModuleType) -> None:
    match = factory.make_match([])
    found = estimate_sensitivity([], None, match, [])
    section = sensitivity_section(found, [])
    assert (section.figures, section.tables) == ((), ())
    assert "No alternative can be computed" in str(section.lead)
