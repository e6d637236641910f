"""Energy per task by device on the page: bars, hatches, marks that name rows, and the table under the figure."""

from __future__ import annotations

import dataclasses
import re
from types import ModuleType

import pytest

from harness.analysis.device_joules import ArmDevices
from harness.analysis.inference.results import ArmRegime, KindRouting
from harness.analysis.results import Interval, MatchResult
from harness.analysis.stats import Estimate
from harness.core.inference import Regime
from harness.report.plots.kind_experts import kind_experts
from harness.report.plots.regime_energy import list_marks, regime_energy
from harness.report.plots.task_energy import energy_per_task, list_rows
from harness.report.sections.device_energy import device_figure
from harness.report.sections.estimates import estimate_cell


@pytest.fixture
def match(factory: ModuleType) -> MatchResult:
    made: MatchResult = factory.make_match(factory.make_records())
    return made


def marked(svg: str) -> list[int]:
    wide = svg[: svg.index("</svg>")]
    return [int(row) for row in re.findall(r'data-row="(\d+)"', wide)]


def with_beside(arm: ArmDevices) -> ArmDevices:
    beside = dataclasses.replace(arm.parts[0], domain="system", inside=False, grade="A")
    return dataclasses.replace(arm, parts=(*arm.parts, beside))


def test_each_bar_names_its_row_and_the_table_says_what_stands_beside(match: MatchResult) -> None:
    arms = tuple(with_beside(arm) for arm in match.task_devices)
    figure = device_figure("f-task", arms, "dense")
    assert figure.svg is not None
    assert figure.table is not None
    assert len(figure.table.rows) == len(list_rows(arms)) == 8
    # cpu and memory gross and net, then the system beside them, for both arms; fill and hatch are marks of one part
    assert set(marked(figure.svg)) == {0, 1, 3, 4, 5, 7}
    parts = [str(row[2]) for row in figure.table.rows]
    assert "inside the boundary, in all" in parts[2]
    assert "whole system beside the boundary" in parts[3]
    assert "A measured" in str(figure.table.rows[3][-1])
    assert "C modelled" in str(figure.table.rows[0][-1])


def test_modelled_parts_are_hatched_and_measured_ones_plain(match: MatchResult) -> None:
    modelled = energy_per_task(match.task_devices, "dense")
    assert modelled is not None
    assert "<pattern" in modelled
    assert "CPU, modelled" in modelled
    assert "Modelled, not measured." in modelled
    plain = tuple(
        dataclasses.replace(arm, grade="A", parts=tuple(dataclasses.replace(p, grade="A") for p in arm.parts))
        for arm in match.task_devices
    )
    measured = energy_per_task(plain, "dense")
    assert measured is not None
    assert "<pattern" not in measured
    assert "CPU, measured" in measured
    assert "odelled" not in measured
    simulated = tuple(
        dataclasses.replace(arm, simulated=True, parts=tuple(dataclasses.replace(p, simulated=True) for p in arm.parts))
        for arm in match.task_devices
    )
    assert "SIMULATED energy per task" in (energy_per_task(simulated, "dense") or "")


def test_alternative_text_holds_the_numbers_of_every_part(match: MatchResult) -> None:
    svg = energy_per_task(match.task_devices, "dense")
    assert svg is not None
    told = svg[svg.index("<desc") : svg.index("</desc>")]
    assert "dense size m: 1.20 J (CPU 300 mJ, memory 900 mJ) per task gross, 120 mJ net of idle" in told


def test_an_unknown_figure_is_left_out_with_its_reason(match: MatchResult) -> None:
    figure = device_figure("f-task", match.task_devices, "dense")
    assert figure.table is not None
    assert (
        "Gross, per correct answer; Net, per correct answer: unknown (fewer than 30 correct answers)." in figure.caption
    )
    assert "Gross, per correct answer" not in [column.title for column in figure.table.columns]
    assert "Joules per correct answer" not in (figure.svg or "")
    known = tuple(
        dataclasses.replace(arm, total=dataclasses.replace(arm.total, gross_per_correct=arm.total.gross))
        for arm in match.task_devices
    )
    assert "Joules per correct answer" in (energy_per_task(known, "dense") or "")
    assert energy_per_task((), "dense") is None


def make_regime(arm: str, batch: int, answer: int, joules: float) -> ArmRegime:
    nothing = Estimate(value=None, interval=None, n=0, reason="not asked")
    value = Estimate(value=joules, interval=Interval(low=0.9 * joules, high=1.1 * joules, level=0.95, method="t"), n=3)
    figures = dict.fromkeys(("j_per_task", "j_per_output_token", "j_per_token"), nothing)
    return ArmRegime(
        arm=arm, size="m", num_runs=3, grade="A", simulated=False, run_ids=("a",),
        regime=Regime(kind="sweep", batch_size=batch, num_input_tokens=96, num_output_tokens=answer),
        figures={**figures, "prefill_j_per_input_token": value, "decode_j_per_output_token": value},
    )  # fmt: skip


def test_a_prefill_that_two_answers_share_is_drawn_once_and_every_mark_names_its_row() -> None:
    rows = [make_regime(arm, b, out, 1.0 / b) for arm in ("dense", "moe") for out in (8, 32) for b in (1, 16)]
    assert list_marks(rows) == rows
    svg = regime_energy(rows, "dense", "moe")
    assert svg is not None
    # prefill: the shorter answer's two batches of each arm; decode: all of them
    assert sorted(marked(svg)) == sorted([0, 1, 4, 5, *range(8)])
    told = svg[svg.index("<desc") : svg.index("</desc>")]
    assert "Prefill, joules per input token over batches 1, 16: dense m, 96 in: 1.00 J at batch 1" in told
    assert "moe m, 96 in, 32 out: 1.00 J at batch 1, 62.5 mJ at batch 16" in told
    assert regime_energy([], "dense", "moe") is None


def test_experts_that_carry_most_stand_kind_by_kind_with_their_rows() -> None:
    rows = [
        KindRouting(
            arm="moe", size="m", kind=kind, num_runs=3, num_tokens=9, num_experts=16, mean_entropy=0.9,
            share_for_90=share, active_share=0.4, active_params_per_token=4.0, total_params=10, run_ids=("a",),
            share_for_90_interval=Interval(low=share - 0.1, high=share + 0.1, level=0.95, method="t"),
        )
        for kind, share in (("sorting", 0.5), ("recall", 0.7))
    ]  # fmt: skip
    svg = kind_experts(rows)
    assert svg is not None
    assert marked(svg) == [0, 1]
    assert "sorting, moe m: 50.0% of the experts" in svg
    assert kind_experts([]) is None


def test_a_ratio_has_no_unit_prefix_and_an_interval_of_no_width_is_words() -> None:
    ratio = Estimate(value=1.2, interval=Interval(low=0.948, high=1.5, level=0.95, method="t"), n=3)
    assert ">0.948<" in estimate_cell(ratio, "", "runs: a")
    same = Estimate(value=2.0, interval=Interval(low=2.0, high=2.0, level=0.95, method="t"), n=3)
    cell = estimate_cell(same, "J", "runs: a")
    assert cell.count("data-value") == 1
    assert "no variation" in cell
