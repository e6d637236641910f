"""What is faster with thousands of runs says the same as the slow way."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.axes import SAME_PARAMS, SAME_TOKENS, compare_axes, is_near, list_cells
from harness.analysis.inference.costs import measure_regimes
from harness.analysis.inference.detail import describe_matched
from harness.analysis.laws.fit import NUM_RESAMPLES
from harness.analysis.laws.matched import MIN_RESAMPLES, choose_resamples
from harness.analysis.match import match_study
from harness.analysis.multipliers import build_pair
from harness.analysis.points import build_points
from harness.analysis.stats import estimate_stdev
from harness.analysis.task_costs import average_accuracy, list_kinds, measure_task, read_accuracy
from tests.unit.analysis.factory import make_record, make_records, make_study
from tests.unit.analysis.inference.factory import with_suite

JOULES = {"arithmetic": 1.0, "sorting": 3.0}
ACCURACIES = {"arithmetic": 0.9, "sorting": 0.5}
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e150, max_value=1e150)


@given(st.lists(NUMBERS, min_size=2, max_size=8))
def test_the_standard_deviation_is_that_of_the_library_to_the_last_bit(values: list[float]) -> None:
    assert estimate_stdev(values) == statistics.stdev(values)


@given(st.floats(min_value=0.1, max_value=10), st.lists(st.integers(-4, 4), min_size=2, max_size=6))
def test_and_for_values_that_lie_next_to_each_other(centre: float, steps: list[int]) -> None:
    values = [centre * (1 + step * 2.0**-52) for step in steps]
    assert estimate_stdev(values) == statistics.stdev(values)


def test_one_value_has_no_standard_deviation() -> None:
    with pytest.raises(ValueError, match="two values"):
        estimate_stdev([1.0])


def test_an_accuracy_read_alone_is_that_of_the_whole_task() -> None:
    for record in (with_suite(make_record("dense"), JOULES, ACCURACIES), make_record("moe")):
        task = measure_task(record)
        assert read_accuracy(record) == task.accuracy
        if kinds := list_kinds(record):
            found = average_accuracy(record, kinds)
            assert (found.value, found.stderr) == (task.accuracy, task.accuracy_stderr)
            assert (found.num_tasks, found.num_correct) == (task.num_tasks, task.num_correct)


def test_regimes_that_were_measured_once_are_those_of_each_run() -> None:
    records = [with_suite(record, JOULES, ACCURACIES) for record in make_records(2.0)]
    study = make_study(records)
    detail = describe_matched(records, match_study(records, study), study)
    by_id = {record.run_id: record for record in records}
    assert detail.regimes
    for run_id in {cost.run_id for cost in detail.regimes}:
        own = tuple(cost for cost in detail.regimes if cost.run_id == run_id)
        assert own == measure_regimes(by_id[run_id])
        for cost in own:  # a mean without its interval is the mean that has one
            assert {name: cost.figures.value(name) for name in cost.figures} == {
                name: estimate.value for name, estimate in cost.figures.items()
            }


def test_equal_sizes_are_the_first_largest_pair_of_all() -> None:
    pair = build_pair(build_points(make_records())[0], "dense", "moe")
    best = None
    for ours in list_cells(pair, "dense"):
        for theirs in list_cells(pair, "moe"):
            params = ours[0].total_params, theirs[0].total_params
            if params[0] is None or params[1] is None or not is_near(params[0], params[1], SAME_PARAMS):
                continue
            if not is_near(ours[0].tokens, theirs[0].tokens, SAME_TOKENS):
                continue
            if best is None or ours[0].tokens * params[0] > best[0]:
                best = (ours[0].tokens * params[0], ours, theirs)
    axis = next(axis for axis in compare_axes(pair, ()) if axis.code == "total_params")
    expected = tuple(sorted(point.run_id for point in (*best[1], *best[2]))) if best is not None else ()
    assert axis.run_ids == expected


def test_laws_of_few_points_keep_all_resamples_and_those_of_many_some() -> None:
    assert choose_resamples(0) == choose_resamples(1000) == NUM_RESAMPLES
    assert choose_resamples(2000) == NUM_RESAMPLES // 2
    assert choose_resamples(10_000) == choose_resamples(10**9) == MIN_RESAMPLES
