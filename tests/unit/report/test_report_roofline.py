"""The energy of a step on the page: constants, the candidate beside its projection, words for what is no meter."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.roofline.study import build_roofline
from harness.core.records import RunRecord
from harness.report.build import build_report
from harness.report.plots.step_energy import list_predicted, step_energy
from tests.unit.analysis.factory import make_records, make_study
from tests.unit.analysis.inference.factory import fill_store, make_inference_study
from tests.unit.analysis.roofline.factory import SWEEP, TRUTH, make_pair, make_run
from tests.unit.report.pages import Page


def build(root: Path, records: Sequence[RunRecord]) -> str:
    fill_store(root, records, None, make_inference_study(records))
    return build_report(root, root / "report.html").read_text()


def section(page: str) -> str:
    start = page.index('id="roofline-section"')
    return page[start : page.index("</section>", start)]


def test_constants_and_overhead_stand_on_the_page_with_their_sources(tmp_path: Path) -> None:
    page = build(tmp_path, make_pair(1.3))
    rows = Page(page).rows
    decode = rows["t-step-constants"][3]
    assert decode[0].value == pytest.approx(TRUTH[0])
    values = [number.value for number in decode]
    assert any(value == pytest.approx(TRUTH[1]) for value in values)
    assert any(value == pytest.approx(TRUTH[2]) for value in values)
    assert "pair-dense-hf-s0" in decode[0].source
    assert "moe" not in decode[0].source
    summary = [number.value for number in rows["t-step-summary"][2]]
    assert any(value == pytest.approx(1.3) for value in summary)
    assert len(rows["t-step-predicted"]) - 1 == 2 * len(SWEEP)
    assert "projected" in section(page)
    assert "odelled" not in section(page).replace('class="badge modelled">projected', "")
    assert build_report(tmp_path, tmp_path / "again.html").read_text() == page


def test_modelled_and_simulated_energy_are_called_so(tmp_path: Path) -> None:
    modelled = section(build(tmp_path / "c", make_pair(1.3, grade="C")))
    assert "Energy of a step: fitted and predicted (modelled)" in modelled
    assert "The joules are modelled, not measured" in modelled
    assert "A measured" not in modelled
    runs = [
        dataclasses.replace(
            r,
            windows=tuple(
                dataclasses.replace(w, energy=tuple(dataclasses.replace(e, simulated=True) for e in w.energy))
                for w in r.windows
            ),
        )
        for r in make_pair(1.3)
    ]
    simulated = section(build(tmp_path / "s", runs))
    assert "fitted and predicted (simulated)" in simulated
    assert "A measured" not in simulated


def test_too_few_regimes_show_reasons_and_no_number(tmp_path: Path) -> None:
    page = build(tmp_path, make_pair(1.3, sweep=SWEEP[:3]))
    shown = section(page)
    assert "3 regimes that differ in bytes or FLOPs" in shown
    assert "Nothing is predicted" in shown
    assert "t-step-predicted" not in Page(page).rows
    assert all(number.value is None for number in Page(page).rows["t-step-constants"][1][:3])


def test_without_a_sweep_there_is_no_section(tmp_path: Path) -> None:
    plain = make_records(2.0)
    fill_store(tmp_path, plain, None, make_study(plain))
    assert "roofline-section" not in build_report(tmp_path, tmp_path / "report.html").read_text()
    kinds = [
        dataclasses.replace(
            r,
            windows=tuple(dataclasses.replace(w, regime=_of_kind(w.regime)) for w in r.windows),
        )
        for r in make_pair(1.3)
    ]
    assert "roofline-section" not in build(tmp_path / "kinds", kinds)


def _of_kind(regime: Any) -> Any:
    return dataclasses.replace(regime, kind="sorting")


def test_each_mark_of_the_figure_names_its_row() -> None:
    found = build_roofline(make_pair(1.3), ("dense", "moe"))
    drawn = step_energy(found.predictions)
    assert drawn is not None
    wide = drawn[: drawn.index("</svg>")]
    marks = [int(row) for row in re.findall(r'data-row="(\d+)"', wide)]
    assert sorted(marks) == list(range(len(list_predicted(found.predictions)))) == list(range(16))
    assert "measured over projected" in wide
    assert step_energy(build_roofline([make_run("dense")], ("dense", "moe")).predictions) is None
