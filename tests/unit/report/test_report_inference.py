"""The page of published models and servers, and what a suite adds to that of a trained study."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from harness.analysis.results import MatchResult, TaskPair
from harness.analysis.stats import ONE_VALUE
from harness.core.records import RunRecord
from harness.core.study import StudyInfo
from harness.report.build import VERDICTS_FILE, build_report
from harness.report.sections.kinds import pairs_section
from tests.unit.analysis.factory import make_records, make_study
from tests.unit.analysis.inference.factory import (
    KINDS,
    coverage,
    fill_store,
    make_inference_study,
    make_pair,
    make_rows,
    make_server_record,
    routing,
    sweep_windows,
    with_suite,
)
from tests.unit.report.pages import Page

HOSTILE = "<script>alert(1)</script>"
INFERENCE_SECTIONS = {
    "costs-section", "ratios-section", "serving-section", "regimes-section", "views-section", "kinds-section",
    "roofline-section",
    "pairs-section", "routing-by-task-section", "models-section",
}  # fmt: skip


def build(root: Path, records: Sequence[RunRecord], answers: dict | None = None, study: StudyInfo | None = None) -> str:
    fill_store(root, records, answers, study)
    return build_report(root, root / "report.html").read_text()


def with_everything(records: Sequence[RunRecord]) -> list[RunRecord]:
    return [
        dataclasses.replace(
            record,
            windows=(*record.windows, *sweep_windows(lambda batch: (1.0 / batch, 0.1), batches=(1, 4, 16), free=True)),
            task_routing=tuple(routing(kind, [[0.5, 0.3, 0.1, 0.1]]) for kind in KINDS) if record.arm == "moe" else (),
            expert_coverage=tuple(coverage(k, b, 1.0 + b) for k in ("mixed", *KINDS) for b in (1, 8))
            if record.arm == "moe"
            else (),
        )
        for record in records
    ]


@pytest.fixture(scope="module")
def pair_page(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    root = tmp_path_factory.mktemp("pair")
    records, answers = make_pair(0.5)
    records = with_everything(records)
    return build(root, records, answers, make_inference_study(records, title=f"Two {HOSTILE} models")), root


def ids(page: str) -> set[str]:
    return set(Page(page).ids)


def test_the_page_has_verdicts_costs_regimes_views_and_experts(pair_page: tuple[str, Path]) -> None:
    page, root = pair_page
    wanted = INFERENCE_SECTIONS - {"serving-section", "kinds-section", "pairs-section"}
    wanted |= {"equivalence-section", "checks-section", "findings-section", "sources-section", "reproduce"}
    wanted |= {"sensitivity-section"}
    assert wanted <= ids(page)
    assert not {"serving-section", "multipliers", "loss-flops-section"} & ids(page)
    assert page.count('class="card tone') == 2
    assert len(re.findall(r'<svg [^>]*class="plot wide"', page)) == 7
    assert "isojoule run -m experiment=pair_hf" in page
    verdicts = json.loads((root / VERDICTS_FILE).read_text())
    assert verdicts["purpose"] == "inference"
    assert [claim["verdict"] for claim in verdicts["claims"]] == ["not supported at the tested scale"] * 2


def test_numbers_carry_value_and_source_and_names_are_escaped(pair_page: tuple[str, Path]) -> None:
    page, _ = pair_page
    assert HOSTILE not in page
    found = Page(page)
    assert len(found.ids) == len(set(found.ids))
    assert all(math.isfinite(number.value) for number in found.numbers if number.value is not None)
    ratios = [row[0].value for row in found.rows["t-inference-ratios"][1:]]
    assert ratios[0] == pytest.approx(0.5, rel=0.05)
    costs = found.rows["t-costs"][1]
    assert costs[0].value == pytest.approx(1.5, rel=0.05)
    assert "pair-dense-hf-s0" in costs[0].source


def test_the_same_records_give_the_same_bytes(pair_page: tuple[str, Path]) -> None:
    page, root = pair_page
    assert build_report(root, root / "again.html").read_text() == page


def test_modelled_joules_are_called_so_everywhere(tmp_path: Path) -> None:
    records, answers = make_pair(0.5, grade="C")
    page = build(tmp_path, records, answers, make_inference_study(records))
    assert "What a task costs (energy modelled)" in page
    assert "Energy by batch, context and answer (modelled)" in page
    assert "0 measured" not in page
    assert "no measurement" in page
    assert page.count("Not measured: the energy readings are modelled") == 2


def test_servers_show_latency_failures_and_goodput(tmp_path: Path) -> None:
    runs = [make_server_record(arm, seed) for arm in ("dense", "moe") for seed in (0, 1, 2)]
    gone = dataclasses.replace(make_server_record("moe", 3, failed=90), status="failed", error=f"gone {HOSTILE}")
    answers = {r.run_id: make_rows(r, dict.fromkeys(KINDS, 48), failed=2, joules=100 / 124) for r in runs}
    page = build(tmp_path, [*runs, gone], answers, make_inference_study([*runs, gone]))
    assert "serving-section" in ids(page)
    assert "regimes-section" not in ids(page)
    assert HOSTILE not in page
    rows = Page(page).rows
    assert [row[0].value for row in rows["t-serving-latency"][1:3]] == [pytest.approx(0.055)] * 2
    assert "timeout 12" in page
    assert "moe, failed repeat 3" in page
    assert "energies of requests add up" in page


def test_runs_without_a_study_or_a_second_arm_have_a_page(tmp_path: Path) -> None:
    records, answers = make_pair(0.5)
    page = build(tmp_path, records[:1], {records[0].run_id: answers[records[0].run_id]})
    assert "There is no comparison: no finished run of &#39;moe&#39;" in page
    assert {"regimes-section", "equivalence-section"} <= ids(page)
    failed = [dataclasses.replace(record, status="failed", error="killed", windows=()) for record in records]
    page = build(tmp_path / "failed", failed, None, make_inference_study(failed))
    assert "none finished" in page


def test_a_trained_suite_adds_its_sections_and_line_completion_alone_none(tmp_path: Path) -> None:
    plain = make_records(2.0)
    page = build(tmp_path / "plain", plain, None, make_study(plain))
    assert not INFERENCE_SECTIONS & ids(page)
    suite = with_everything([with_suite(r, dict.fromkeys(KINDS, 1.0), dict.fromkeys(KINDS, 0.8)) for r in plain])
    page = build(tmp_path / "suite", suite, None, make_study(suite))
    assert INFERENCE_SECTIONS - {"costs-section", "ratios-section", "serving-section", "models-section"} <= ids(page)
    assert "A task is the mean over the kinds arithmetic, sorting" in page
    assert Page(page).rows["t-pairs"]
    assert len(Page(page).ids) == len(ids(page))


def test_a_trained_arm_alone_shows_its_kinds_without_a_comparison(tmp_path: Path) -> None:
    alone = with_everything([with_suite(make_records(2.0)[0], dict.fromkeys(KINDS, 1.0), dict.fromkeys(KINDS, 0.8))])
    page = build(tmp_path, alone)
    assert {"kinds-section", "regimes-section"} <= ids(page)
    assert "t-kinds" not in ids(page)
    assert "The families are not compared" in page


def test_a_gap_of_one_seed_says_why_it_is_unknown() -> None:
    pair = TaskPair(
        code="equal_tokens", title="Equal tokens", at="here", arm_tasks=(), task_ratios=(), loss_gap=None,
        loss_interval=None, accuracy_gap=None, accuracy_interval=None, n=1, run_ids=("a",),
    )  # fmt: skip
    cells = pairs_section(cast("MatchResult", SimpleNamespace(task_pairs=(pair,)))).tables[0].rows[0]
    assert ONE_VALUE in str(cells[2])
    assert ONE_VALUE in str(cells[3])
