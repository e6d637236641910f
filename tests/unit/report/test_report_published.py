"""Published claims on the page: beside this study's ratios, with tags and arithmetic, and without a verdict."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import pytest

from harness.analysis.claims import load_published
from harness.analysis.claims.projected import projected_rows
from harness.report.matched_page import render_report
from harness.report.page.blocks import Cell, Section
from harness.report.plots.published_ratios import RatioMark
from harness.report.sections import published
from harness.report.sections.published import published_section

ROWS = {row.id: row for row in load_published()}
WHAT, PUBLISHED, OWN, PROJECTED = 1, 2, 3, 4


def make_section(factory: ModuleType, **options: Any) -> Section:
    return published_section(tuple(ROWS.values()), factory.make_match(factory.make_records(), **options))


def rows_of(section: Section) -> tuple[tuple[Cell, ...], ...]:
    table = section.figures[0].table
    assert table is not None
    return table.rows


def row_of(section: Section, claim: str) -> tuple[Cell, ...]:
    (row,) = [row for row in rows_of(section) if f"claim {claim}:" in str(row[PUBLISHED])]
    return row


def cells(section: Section, claim: str) -> list[str]:
    return [re.sub(r"<[^>]+>", "", str(cell)) for cell in row_of(section, claim)]


def test_every_row_shows_value_tags_and_arithmetic(factory: ModuleType) -> None:
    section = make_section(factory)
    assert len(rows_of(section)) == len(ROWS)
    table = section.figures[0].table
    assert table is not None
    names = [column.title for column in table.columns]
    shown = dict(zip(names, cells(section, "published_v3_gpu_hours_over_llama_405b"), strict=True))
    assert "2.788M H800 GPU hours" in shown["What"]
    assert "Two kinds of GPU" in shown["What"]
    assert shown["About"] == "training compute (training claim)"
    assert shown["Published"] == "0.0904 ratio"
    assert "Value: 2.788e6 / 3.084e7 with" in shown["What"]
    assert ("Tags: D of P." in shown["What"], shown["Isolates"]) == (True, "no")
    computed = cells(section, "published_v2_gpu_hours_saved")[PUBLISHED]
    assert computed == "0.425 share saved published: 0.425 (agrees)"


def test_a_number_carries_its_exact_value_and_the_claim_it_is_from(factory: ModuleType) -> None:
    section = make_section(factory)
    cell = str(row_of(section, "published_v3_gpu_hours_over_llama_405b")[PUBLISHED])
    assert f'data-value="{ROWS["published_v3_gpu_hours_over_llama_405b"].value!r}"' in cell
    assert "claim published_v3_gpu_hours_over_llama_405b" in cell


def test_the_studys_own_ratio_is_candidate_over_baseline_like_the_published_one(factory: ModuleType) -> None:
    match = factory.make_match(factory.make_records())
    flops = next(row for row in match.headline if row.resource == "flops")
    own = str(row_of(make_section(factory), "published_artetxe_compute")[OWN])
    assert f'data-value="{1 / flops.estimate!r}"' in own
    assert f'data-value="{1 / flops.interval.high!r}"' in own
    assert own.startswith("training FLOPs ")


def test_modelled_energy_is_named_and_never_a_number_beside_a_published_one(factory: ModuleType) -> None:
    claim = "published_mlenergy_30b_a3b_over_14b_reasoning_response"
    assert cells(make_section(factory, grade="C"), claim)[OWN] == "energy per task not measured: it is C modelled"
    assert cells(make_section(factory, grade="A"), claim)[OWN].startswith("energy per task 1.30 (")


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ("published_v3_gpu_tdp_energy", "no ratio to compare"),
        ("published_v3_kv_cache_over_llama_405b", "not measured by this study"),
        ("published_gpt_oss_energy_over_qwen3_32b", "not measured by this study"),
    ],
)
def test_what_has_no_counterpart_says_so(factory: ModuleType, claim: str, words: str) -> None:
    assert cells(make_section(factory), claim)[OWN] == words


def test_the_section_says_that_it_holds_other_peoples_figures_and_no_verdict(factory: ModuleType) -> None:
    section = make_section(factory)
    assert "other people's figures, and no verdict" in str(section.lead)
    text = " ".join(cell for claim in ROWS for cell in cells(section, claim))
    for word in ("not supported at the tested scale", "inconclusive", "Supported"):
        assert word not in text


def test_the_page_holds_it_after_the_tasks_and_also_without_any_run(factory: ModuleType) -> None:
    records = factory.make_records()
    match = factory.make_match(records)
    page = render_report(records, factory.make_study(records), match, factory.make_verdicts(match), (), {})
    assert page.index('<section id="tasks-section"') < page.index('<section id="published-section"')
    assert page.count('id="t-published"') == 1
    nothing = factory.make_match([])
    assert "t-published" in render_report([], None, nothing, factory.make_verdicts(nothing), (), {})
    assert published_section((), nothing).figures == ()


def test_a_projection_has_a_column_of_its_own_and_is_named_projected(factory: ModuleType) -> None:
    match = factory.make_match(factory.make_records())
    projected = projected_rows()
    section = published_section(tuple(ROWS.values()), match, projected)
    rows = rows_of(section)
    assert len(rows) == len(ROWS) + len(projected)
    for row in rows[: len(ROWS)]:
        assert row[PROJECTED] == ""
    for row, projection in zip(rows[len(ROWS) :], projected, strict=True):
        assert (row[PUBLISHED], row[OWN]) == ("", "")
        assert ">projected</span>" in str(row[PROJECTED])
        value = projection.values.get("flops_ratio_causal", projection.values.get("ratio_at_batch_1"))
        assert f'data-value="{value!r}"' in str(row[PROJECTED])


def test_marks_name_the_rows_that_hold_their_numbers_and_modelled_energy_makes_none(factory: ModuleType) -> None:
    drawn: dict[str, list[RatioMark]] = {}
    for grade in ("A", "C"):
        section = make_section(factory, grade=grade)
        drawn[grade] = published.list_marks(tuple(ROWS.values()), factory.make_match(factory.make_records(), grade))
        for mark in drawn[grade]:
            column = PUBLISHED if mark.kind == "published" else OWN
            assert f'data-value="{mark.value!r}"' in str(rows_of(section)[mark.row][column])
    own = {grade: {mark.axis for mark in marks if mark.kind == "this study"} for grade, marks in drawn.items()}
    assert own["A"] - own["C"] == {"training energy", "energy per task"}
    described = str(make_section(factory).figures[0].svg)
    assert "training compute: published 0.0591 to 0.714" in described
    assert "this study 0.417" in described
