"""The set of runs: none diverged, none twice, the reach of the dense ladder and the memory are said."""

from __future__ import annotations

import dataclasses

from harness.analysis.fairness.runs import check_divergence, check_duplicates, check_extent, check_peak_memory
from harness.analysis.match import match_study
from harness.analysis.multipliers import Pair, build_pair
from harness.analysis.points import build_points
from harness.core.records import RunRecord
from tests.unit.analysis.factory import BUDGETS, make_records, make_study, swap_path

RECORDS = make_records(2.0)
POINTS = build_points(RECORDS)[0]
PAIR: Pair = build_pair(POINTS, "dense", "moe")


def rising(record: RunRecord) -> RunRecord:
    return dataclasses.replace(record, loss_curve=tuple((i, 2.0 if i < 20 else 4.0) for i in range(1, 41)))


def test_healthy_curves_pass() -> None:
    assert check_divergence(RECORDS).outcome == "pass"


def test_a_diverged_run_fails_by_name() -> None:
    check = check_divergence([rising(RECORDS[0]), *RECORDS[1:]])
    assert (check.outcome, check.blocking) == ("fail", True)
    assert RECORDS[0].run_id in check.text


def test_many_diverged_runs_are_counted() -> None:
    assert "and 21 more" in check_divergence([rising(record) for record in RECORDS]).text


def test_a_failed_run_counts_as_diverged_only_where_its_loss_was_the_reason() -> None:
    failed = dataclasses.replace(RECORDS[0], status="failed", path=None, quality=(), loss_curve=())
    nan = dataclasses.replace(failed, error="the training loss is nan at step 10; lower train.learning_rate.")
    assert check_divergence([nan, *RECORDS[1:]]).outcome == "fail"
    assert check_divergence([dataclasses.replace(failed, error="killed"), *RECORDS[1:]]).outcome == "pass"


def test_a_diverged_trunk_and_a_failed_run_reach_the_check_though_no_point_is_theirs() -> None:
    trunk = dataclasses.replace(rising(RECORDS[0]), role="trunk", run_id="toy-trunk")
    records = [*RECORDS, trunk]
    checks = match_study(records, make_study(records)).checks
    assert next(check for check in checks if check.code == "diverged").outcome == "fail"


def test_a_run_without_a_curve_leaves_divergence_unknown() -> None:
    assert check_divergence([dataclasses.replace(RECORDS[0], loss_curve=()), *RECORDS[1:]]).outcome == "unknown"
    assert check_divergence([]).outcome == "unknown"


def test_one_run_a_cell_passes_and_two_fail_by_name() -> None:
    assert check_duplicates(POINTS).outcome == "pass"
    twin = dataclasses.replace(POINTS[0], run_id="twin", loss=POINTS[0].loss - 0.01)
    check = check_duplicates([*POINTS, twin])
    assert (check.outcome, check.blocking) == ("fail", True)
    assert "'twin'" in check.text
    assert f"'{POINTS[0].run_id}'" in check.text
    assert check_duplicates([*POINTS, dataclasses.replace(twin, seed=9)]).outcome == "pass"
    assert check_duplicates([]).outcome == "unknown"


def test_the_reach_of_the_dense_ladder_is_disclosed_with_what_it_can_test() -> None:
    check = check_extent(POINTS, PAIR)
    assert (check.outcome, check.blocking) == ("pass", False)
    assert "2 times that of moe" in check.text
    assert "one tenth would take 10 times" in check.text
    far = build_points(make_records(budgets={"dense": BUDGETS, "moe": [5e11]}))[0]
    assert "one tenth" not in check_extent(far, PAIR).text


def test_a_dense_ladder_that_ends_before_the_sparse_one_fails_without_blocking() -> None:
    short = build_points(make_records(budgets={"dense": BUDGETS[:2], "moe": BUDGETS}))[0]
    check = check_extent(short, PAIR)
    assert (check.outcome, check.blocking) == ("fail", False)


def test_a_ladder_without_runs_is_unknown() -> None:
    assert check_extent([point for point in POINTS if point.arm == "dense"], PAIR).outcome == "unknown"


def test_peak_memory_of_both_arms_is_disclosed_or_unknown() -> None:
    check = check_peak_memory(RECORDS, PAIR)
    assert (check.outcome, check.blocking) == ("pass", False)
    assert "dense 0.9537" in check.text
    assert "whole process" not in check.text
    assert check_peak_memory([swap_path(RECORDS[0], peak_memory_bytes=None), *RECORDS[1:]], PAIR).outcome == "unknown"
    assert check_peak_memory([record for record in RECORDS if record.arm == "moe"], PAIR).outcome == "unknown"


def test_on_a_cpu_the_memory_is_said_to_be_that_of_the_process() -> None:
    environment = RECORDS[0].environment
    assert environment is not None
    records = [dataclasses.replace(r, environment=dataclasses.replace(environment, device="cpu")) for r in RECORDS]
    assert "whole process" in check_peak_memory(records, PAIR).text
