"""Published claims on the page: beside this study's ratios, with tags and arithmetic, and without a verdict."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import pytest

from harness.analysis.claims import load_published
from harness.report.matched_page import render_report
from harness.report.page.blocks import Section
from harness.report.sections.published import published_section

ROWS = {row.id: row for row in load_published()}


def make_section(factory: ModuleType, **options: Any) -> Section:
    return published_section(tuple(ROWS.values()), factory.make_match(factory.make_records(), **options))


def cells(section: Section, claim: str) -> list[str]:
    index = list(ROWS).index(claim)
    return [re.sub(r"<[^>]+>", "", str(cell)) for cell in section.tables[0].rows[index]]


def test_every_row_shows_value_tags_and_arithmetic(factory: ModuleType) -> None:
    section = make_section(factory)
    assert len(section.tables[0].rows) == len(ROWS)
    names = [column.title for column in section.tables[0].columns]
    shown = dict(zip(names, cells(section, "published_v3_gpu_hours_over_llama_405b"), strict=True))
    assert "2.788M H800 GPU hours" in shown["What was published"]
    assert "Two kinds of GPU" in shown["What was published"]
    assert shown["About"] == "training compute (training claim)"
    assert shown["Computed"] == "0.0904 ratio"
    assert shown["Arithmetic"] == "2.788e6 / 3.084e7"
    assert (shown["Tags"], shown["Isolates"]) == ("D of P", "no")
    computed = cells(section, "published_v2_gpu_hours_saved")[2]
    assert computed == "0.425 share saved published: 0.425 (agrees)"


def test_a_number_carries_its_exact_value_and_the_claim_it_is_from(factory: ModuleType) -> None:
    section = make_section(factory)
    index = list(ROWS).index("published_v3_gpu_hours_over_llama_405b")
    cell = str(section.tables[0].rows[index][2])
    assert f'data-value="{ROWS["published_v3_gpu_hours_over_llama_405b"].value!r}"' in cell
    assert "claim published_v3_gpu_hours_over_llama_405b" in cell


def test_the_studys_own_ratio_is_candidate_over_baseline_like_the_published_one(factory: ModuleType) -> None:
    match = factory.make_match(factory.make_records())
    flops = next(row for row in match.headline if row.resource == "flops")
    own = str(make_section(factory).tables[0].rows[list(ROWS).index("published_artetxe_compute")][3])
    assert f'data-value="{1 / flops.estimate!r}"' in own
    assert f'data-value="{1 / flops.interval.high!r}"' in own
    assert own.startswith("training FLOPs ")


def test_modelled_energy_is_named_and_never_a_number_beside_a_published_one(factory: ModuleType) -> None:
    claim = "published_mlenergy_30b_a3b_over_14b_reasoning_response"
    assert cells(make_section(factory, grade="C"), claim)[3] == "energy per task not measured: it is C modelled"
    assert cells(make_section(factory, grade="A"), claim)[3].startswith("energy per task 1.30 (")


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ("published_v3_gpu_tdp_energy", "no ratio to compare"),
        ("published_v3_kv_cache_over_llama_405b", "not measured by this study"),
        ("published_gpt_oss_energy_over_qwen3_32b", "not measured by this study"),
    ],
)
def test_what_has_no_counterpart_says_so(factory: ModuleType, claim: str, words: str) -> None:
    assert cells(make_section(factory), claim)[3] == words


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
    assert published_section((), nothing).tables == ()
