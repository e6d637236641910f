"""Figures of many runs, forest plots with and without a headline, long traces, wide routers."""

from __future__ import annotations

import dataclasses
import math
import re
from types import ModuleType
from typing import Any

import pytest
from matplotlib.lines import Line2D

from harness.core.records import RunRecord
from harness.core.routing import RoutingStats
from harness.report.page.numbers import TIMES
from harness.report.plots import power_trace, style
from harness.report.plots.frontier_marks import MAX_CELLS, MAX_RUNS, gather_marks, pick_evenly
from harness.report.plots.headline_ratios import gather_ratios
from harness.report.plots.multiplier_curve import MAX_ROWS, thin_curve
from harness.report.plots.registry import draw_plot
from harness.report.plots.routing_load import pick_cells, routing_load
from harness.report.sections import expert_load, frontier, headline, power


def spread(match: Any, sizes: int, budgets: int, seeds: int) -> Any:
    """Return the match with arms x sizes x budgets x seeds runs; losses differ by 0.02 from seed to seed."""
    points = tuple(
        dataclasses.replace(
            match.points[0],
            run_id=f"{arm}-{size:02d}-{budget:02d}-{seed}",
            arm=arm,
            size=f"size{size:02d}",
            seed=seed,
            tokens=1000 * 2**budget,
            loss=3 - 0.1 * budget - 0.05 * size + 0.02 * seed,
            flops=1e12 * 2**budget * 3**size,
            energy_j=1e3 * 2**budget * 3**size * (1 + seed),
            active_params=3**size,
        )
        for arm in ("dense", "moe")
        for size in range(sizes)
        for budget in range(budgets)
        for seed in range(seeds)
    )
    return dataclasses.replace(match, points=points)


def rows_of(markup: Any) -> list[int]:
    """Return the rows that the marks of the wide drawing name."""
    text = str(markup)
    return [int(row) for row in re.findall(r' data-row="(\d+)"', text[: text.index("</svg>")])]


@pytest.fixture(scope="module")
def match(factory: ModuleType) -> Any:
    return factory.make_match(factory.make_records())


def test_up_to_120_runs_each_mark_is_a_run(match: Any) -> None:
    few = spread(match, 4, 5, 3)
    assert len(few.points) == MAX_RUNS
    marks = gather_marks(few.points, lambda point: point.flops)
    assert (marks.pooled, marks.note, len(marks.rows)) == (False, "", MAX_RUNS)
    assert sorted(rows_of(draw_plot("loss_against_flops", few))) == list(range(MAX_RUNS))


def test_more_runs_are_drawn_as_means_over_seeds_with_their_spread(match: Any) -> None:
    many = spread(match, 5, 5, 3)
    marks = gather_marks(many.points, lambda point: point.energy_j)
    assert (marks.pooled, len(marks.rows), len(marks.drawn)) == (True, 50, 50)
    first = marks.rows[0]
    assert first.loss == pytest.approx(3.02)
    assert first.losses == pytest.approx((3.0, 3.04))
    assert first.cost == pytest.approx(2e3)
    assert first.estimate.interval is not None
    section = frontier.flops_section(many)
    (figure,) = section.figures
    assert figure.svg is not None
    assert figure.table is not None
    assert "means over seeds" in str(figure.svg)
    assert "lowest to the highest seed" in figure.caption
    assert len(figure.table.rows) == 50
    assert f'data-value="{first.loss!r}"' in str(figure.table.rows[0][4])
    assert sorted(rows_of(figure.svg)) == list(range(50))


def test_a_cell_with_an_unknown_energy_is_listed_as_unknown_and_not_drawn(match: Any) -> None:
    many = spread(match, 5, 5, 3)
    points = (dataclasses.replace(many.points[0], energy_j=None), *many.points[1:])
    marks = gather_marks(points, lambda point: point.energy_j)
    assert marks.rows[0].cost is None
    assert 0 not in marks.drawn
    (figure,) = frontier.joules_section(dataclasses.replace(many, points=points)).figures
    assert figure.table is not None
    assert "unknown" in str(figure.table.rows[0][-1])


def test_more_than_150_cells_are_an_even_selection_that_says_so(match: Any) -> None:
    marks = gather_marks(spread(match, 10, 12, 2).points, lambda point: point.flops)
    assert (len(marks.rows), len(marks.drawn), marks.num_all) == (240, MAX_CELLS, 240)
    assert marks.note.startswith("150 of 240 cells drawn")
    assert marks.note.endswith("all are in the table.")
    huge = spread(match, 30, 20, 2)
    marks = gather_marks(huge.points, lambda point: point.flops)
    assert (len(marks.rows), len(marks.drawn), marks.num_all) == (150, 150, 1200)
    assert marks.note.startswith("150 of 1200 cells drawn and listed")
    arms = [row.arm for row in marks.rows]
    assert abs(arms.count("dense") - arms.count("moe")) <= 1
    (figure,) = frontier.flops_section(huge).figures
    assert "150 of 1200 cells" in figure.caption
    assert sorted(rows_of(figure.svg)) == list(range(150))
    assert len(str(figure.svg)) < 80_000


def test_an_even_selection_holds_both_ends() -> None:
    assert pick_evenly(range(900), 150)[::149] == (0, 899)
    assert len(set(pick_evenly(range(900), 150))) == 150
    assert pick_evenly([4, 5], 9) == (4, 5)


def test_the_gap_is_drawn_as_a_ratio_with_its_interval_or_as_a_bound(match: Any) -> None:
    row = match.headline[0]
    drawn = str(draw_plot("loss_against_flops", match))
    assert f">2.40{TIMES} (2.04 to 2.88)</text>" in drawn
    assert f"the multiplier is 2.40{TIMES}, 2.04 to 2.88 (95% interval)" in drawn
    bound = dataclasses.replace(row, estimate=None, interval=None, lower_bound=3.2)
    drawn = str(draw_plot("loss_against_flops", dataclasses.replace(match, headline=(bound,))))
    assert f">at least 3.20{TIMES}</text>" in drawn
    assert f"the multiplier is at least 3.20{TIMES}" in drawn


def test_ratios_are_candidate_over_baseline_in_the_figure_and_both_ways_in_its_table(
    factory: ModuleType, match: Any
) -> None:
    rows = gather_ratios(match, factory.make_verdicts(match))
    flops, memory, task = rows[0], rows[4], rows[5]
    multiplier = match.headline[0]
    assert flops.estimate == 1 / multiplier.estimate
    assert flops.interval is not None
    assert (flops.interval.low, flops.interval.high) == (1 / multiplier.interval.high, 1 / multiplier.interval.low)
    assert flops.claimed == (0.1,)
    assert (memory.at_most, memory.estimate, memory.interval) == (True, 2.5, None)
    assert task.estimate == match.task_ratios[0].estimate
    section = headline.headline_section(match, factory.make_verdicts(match))
    (figure,) = section.figures
    assert figure.table is not None
    assert len(figure.table.rows) == len(rows)
    cells = [str(cell) for cell in figure.table.rows[0]]
    assert f'data-value="{1 / multiplier.estimate!r}"' in cells[1]
    assert f'data-value="{multiplier.estimate!r}"' in cells[3]
    assert str(figure.table.rows[4][1]).startswith("at most ")
    assert str(figure.table.rows[4][3]).startswith("at least ")
    assert set(rows_of(figure.svg)) == set(range(len(rows)))


def test_modelled_ratios_are_hollow_and_named_and_measured_ones_are_not(factory: ModuleType, match: Any) -> None:
    modelled = str(draw_plot("headline_ratios", match, []))
    assert "Training energy, gross (modelled)" in modelled
    assert "modelled, not measured" in modelled
    measured = str(draw_plot("headline_ratios", factory.make_match(factory.make_records(grade="A"), grade="A"), []))
    assert "modelled" not in measured
    assert "Training energy, gross</text>" in measured
    assert 'fill="var(--paper)" stroke="var(--c-cand)"' in modelled
    assert 'fill="var(--paper)" stroke="var(--c-cand)"' not in measured


def test_without_any_ratio_there_is_no_forest_plot(match: Any) -> None:
    nothing = dataclasses.replace(match, headline=(), task_ratios=(), matched_loss=None)
    assert draw_plot("headline_ratios", nothing, []) is None
    assert headline.headline_section(nothing, []).figures == ()
    unknown = dataclasses.replace(match.task_ratios[0], estimate=None, interval=None, reason="no meter")
    only = dataclasses.replace(match, headline=(), task_ratios=(unknown,))
    (figure,) = headline.headline_section(only, []).figures
    assert figure.svg is None
    assert figure.table is not None
    assert "no meter" in str(figure.table.rows[0][1])


def test_a_long_curve_is_thinned_evenly_and_says_so(match: Any) -> None:
    row = match.headline[0]
    curve = tuple(
        dataclasses.replace(row, resource=resource, loss=2 + i / 100)
        for resource in ("flops", "energy", "seconds")
        for i in range(70)
    )
    long = dataclasses.replace(match, curve=curve)
    shown = thin_curve(curve)
    assert len(shown) == MAX_ROWS
    assert {shown[0].loss, shown[-1].loss} == {curve[0].loss, curve[-1].loss}
    assert thin_curve(match.curve) == match.curve
    (figure,) = headline.curve_section(long, []).figures
    assert figure.table is not None
    assert "60 of 210 points" in figure.caption
    assert len(figure.table.rows) == MAX_ROWS
    assert sorted(rows_of(figure.svg)) == list(range(MAX_ROWS))


def test_a_long_trace_keeps_its_peaks_and_loses_its_points() -> None:
    times = [0.01 * i for i in range(50_000)]
    watts = [100 + 5 * math.sin(i) for i in range(50_000)]
    watts[31_234], watts[8_000] = 412.5, 3.25
    points = power_trace.simplify(times, watts)
    assert len(points) <= power_trace.MAX_POINTS
    assert (times[31_234], 412.5) in points
    assert (times[8_000], 3.25) in points
    assert (points[0], points[-1]) == ((times[0], watts[0]), (times[-1], watts[-1]))
    assert points == sorted(points)
    assert set(points) <= set(zip(times, watts, strict=True))
    assert power_trace.simplify([2.0, 1.0], [5.0, 6.0]) == [(1.0, 6.0), (2.0, 5.0)]


def test_many_short_windows_are_shaded_together_and_listed_by_phase(factory: ModuleType) -> None:
    base = factory.make_record()
    pair = base.windows[2:]
    windows = (*base.windows[:2], *(dataclasses.replace(pair[i % 2], repetition=i // 2) for i in range(100)))
    record: RunRecord = dataclasses.replace(base, windows=windows)
    trace = factory.make_trace()
    trace["windows"] = [
        {"phase": ("prefill", "decode")[i % 2], "repetition": i // 2, "begin_s": i / 3, "end_s": i / 3 + 0.05}
        for i in range(100)
    ]
    merged = power_trace.merge_windows(power_trace.clean_windows(trace), 40 * 100)
    assert [name for name, *_ in merged] == [power_trace.SEVERAL]
    assert len(power_trace.merge_windows(power_trace.clean_windows(trace), 10)) == 100
    (figure,) = power.trace_section([record], {record.run_id: trace}, "dense").figures
    assert figure.table is not None
    phases = [str(row[0]) for row in figure.table.rows]
    assert phases == ["idle before", "pretrain", "prefill", "decode"]
    total = math.fsum(w.energy[0].energy_j or 0 for w in windows if w.phase == "decode")
    assert 'data-value="50"' in str(figure.table.rows[3][1])
    assert f'data-value="{total!r}"' in str(figure.table.rows[3][3])
    broken = dataclasses.replace(windows[-1], energy=(dataclasses.replace(windows[-1].energy[0], energy_j=None),))
    part = dataclasses.replace(record, windows=(*windows[:-1], broken))
    (figure,) = power.trace_section([part], {record.run_id: trace}, "dense").figures
    assert figure.table is not None
    assert "unknown" in str(figure.table.rows[3][3])


def test_few_windows_are_all_listed_and_their_shades_name_their_rows(factory: ModuleType) -> None:
    record = factory.make_record()
    trace = factory.make_trace()
    trace["windows"] = [
        {"phase": w.phase, "repetition": 0, "begin_s": w.begin_s, "end_s": w.begin_s + w.duration_s}
        for w in record.windows
    ]
    (figure,) = power.trace_section([record], {record.run_id: trace}, "dense").figures
    assert figure.table is not None
    assert len(figure.table.rows) == len(record.windows)
    assert rows_of(figure.svg) == [0, 1, 2, 3]


def test_a_wide_router_is_drawn_in_part_and_says_so(factory: ModuleType) -> None:
    load = tuple(tuple((1 + math.sin(layer * e)) / 300 for e in range(300)) for layer in range(61))
    routing = RoutingStats(load=load, max_violation=1.0, mean_entropy=0.9, num_dead_experts=0, num_tokens=9)
    layers, experts, note = pick_cells(routing)
    assert (len(layers), len(experts)) == (8, 256)
    assert (layers[0], layers[-1], experts[-1]) == (0, 60, 299)
    assert note == "Drawn: 8 of 61 layers and 256 of 300 experts, evenly chosen."
    assert len(str(routing_load(routing, "run"))) < 90_000
    record = dataclasses.replace(factory.make_record("moe"), routing=routing)
    (figure,) = expert_load.routing_section([record]).figures
    assert note in figure.caption
    (small,) = expert_load.routing_section([factory.make_record("moe")]).figures
    assert "Drawn" not in small.caption


def test_a_legend_of_hundreds_is_cut_and_says_how_many_more() -> None:
    handles = [Line2D([], [], label=str(i)) for i in range(300)]
    shown = style.cap_handles(handles)
    assert len(shown) == style.MAX_LEGEND
    assert shown[:-1] == handles[: style.MAX_LEGEND - 1]
    assert shown[-1].get_label() == f"and {300 - style.MAX_LEGEND + 1} more"
    assert style.cap_handles(handles[:5]) == handles[:5]
