"""Figures of a regime follow from its windows by hand; what a window does not know stays unknown, with its reason."""

from __future__ import annotations

import dataclasses
import math

import pytest

from harness.analysis.inference.costs import measure_regimes, merge_runs
from harness.analysis.inference.figures import ONE_REPETITION
from harness.analysis.inference.results import RegimeCost
from harness.core.records import RunRecord
from tests.unit.analysis.factory import reading
from tests.unit.analysis.inference.factory import accuracy, kind_windows, make_model_record, sweep_windows


def only(record: RunRecord, **wanted: object) -> RegimeCost:
    found = [c for c in measure_regimes(record) if all(getattr(c.regime, k) == v for k, v in wanted.items())]
    assert len(found) == 1
    return found[0]


def with_windows(record: RunRecord, *windows: object) -> RunRecord:
    return dataclasses.replace(record, windows=tuple(windows))


def test_a_kinds_figures_are_its_windows_divided_by_hand() -> None:
    cost = only(make_model_record("dense", joules={"arithmetic": 2.0}, accuracies={"arithmetic": 0.75}))
    values = {name: estimate.value for name, estimate in cost.figures.items()}
    # 2 J a task: 0.5 in prefill over 32 tokens, 1.5 in decode over 8 steps; the first of 9 tokens is prefill's
    assert values["j_per_task"] == pytest.approx(2.0)
    assert values["net_j_per_task"] == pytest.approx(1.6)
    assert values["j_per_output_token"] == pytest.approx(2 / 9)
    assert values["j_per_token"] == pytest.approx(2 / 41)
    assert values["prefill_j_per_input_token"] == pytest.approx(0.5 / 32)
    assert values["decode_j_per_output_token"] == pytest.approx(1.5 / 8)
    assert values["j_per_correct"] == pytest.approx(2 / 0.75)
    assert values["s_per_task"] == pytest.approx(0.04)
    assert values["output_tokens_per_s"] == pytest.approx(9 / 0.04)
    # 8 sequences a step: 10 ms a task are 80 ms to the first token, 30 ms over 8 gaps are 30 ms each
    assert values["ttft_s"] == pytest.approx(0.08)
    assert values["itl_s"] == pytest.approx(0.03)
    assert values["flops_per_task"] == pytest.approx(2e6)
    assert values["decode_mfu"] == pytest.approx(1e6 / 0.03 / 1e9)
    assert values["decode_mbu"] == pytest.approx(1e5 / 0.03 / 1e8)
    assert values["peak_memory_bytes"] == 10**6
    assert cost.grade == "A"


def test_the_interval_is_t_over_repetitions() -> None:
    record = make_model_record("dense", joules={"sorting": 1.0}, noise=lambda arm, number: 1 + 0.1 * number)
    estimate = only(record).figures["j_per_task"]
    assert estimate.value == pytest.approx(1.1)
    assert estimate.interval is not None
    # t(2) = 4.303 at 97.5%, spread 0.1 over three
    assert estimate.interval.high - 1.1 == pytest.approx(4.303 * 0.1 / math.sqrt(3), rel=1e-3)
    assert estimate.interval.method == "t over repetitions"


def test_one_repetition_gives_a_value_and_says_why_there_is_no_interval() -> None:
    record = with_windows(make_model_record("dense"), *kind_windows("dense", {"sorting": 1.0}, repetitions=1))
    estimate = only(record).figures["j_per_task"]
    assert (estimate.value, estimate.interval, estimate.reason) == (pytest.approx(1.0), None, ONE_REPETITION)


def test_an_interval_of_a_cost_ends_at_zero() -> None:
    record = make_model_record("dense", joules={"sorting": 1.0}, noise=lambda arm, number: 1 + 3.0 * (number == 2))
    interval = only(record).figures["j_per_task"].interval
    assert interval is not None
    assert interval.low == 0.0


def test_nothing_is_judged_in_a_sweep_and_few_answers_tell_no_energy_per_correct() -> None:
    record = make_model_record("dense", sweep=sweep_windows(lambda b: (1.0, 0.1), batches=(1,)))
    assert only(record, kind="sweep").figures["j_per_correct"].reason == "nothing is judged in a sweep"
    few = make_model_record("dense", joules={"sorting": 1.0}, accuracies={"sorting": 0.25})
    assert only(few).figures["j_per_correct"].reason == "only 16 correct answers, fewer than 30"


def test_energy_per_correct_carries_the_error_of_the_accuracy() -> None:
    record = make_model_record("dense", joules={"sorting": 1.0}, accuracies={"sorting": 0.75})
    interval = only(record).figures["j_per_correct"].interval
    assert interval is not None
    # no spread of the joules: what is left is the binomial error, 0.054 of 0.75
    assert math.log(interval.high / (4 / 3)) == pytest.approx(1.96 * accuracy("x", 0.75).stderr / 0.75, rel=1e-3)  # type: ignore[operator]


def test_free_answers_count_their_own_tokens_and_may_share_a_prefill() -> None:
    windows = sweep_windows(lambda b: (1.0, 0.1), batches=(4,), answer=8, free=True)
    without = [w for w in windows if not (w.phase == "prefill" and w.regime and w.regime.answer_length == "free")]
    without = [w for w in without if w.phase != "generate"]
    record = with_windows(make_model_record("dense"), *without)
    free = only(record, answer_length="free")
    assert free.figures["j_per_task"].value == pytest.approx(1.0)  # a quarter from the fixed answers' prefill
    assert free.figures["j_per_output_token"].value == pytest.approx(1 / 4)  # half of 8 tokens were made
    assert only(record, answer_length="fixed").figures["j_per_output_token"].value == pytest.approx(1 / 8)


def test_an_unknown_energy_stays_unknown_with_the_sensors_reason() -> None:
    windows = [
        dataclasses.replace(w, energy=(reading(None, reason="the counter was reset"),))
        for w in kind_windows("dense", {"sorting": 1.0})
    ]
    figures = only(with_windows(make_model_record("dense"), *windows)).figures
    assert figures["j_per_task"].value is None
    assert figures["j_per_task"].reason == "the counter was reset"
    assert figures["s_per_task"].value == pytest.approx(0.04)


def test_unknown_peaks_of_the_device_leave_no_share_of_them() -> None:
    record = dataclasses.replace(make_model_record("dense"), peak_flops_per_s=None, peak_bytes_per_s=None)
    figures = measure_regimes(record)[0].figures
    assert figures["decode_mfu"].reason == "the peak FLOP/s of the device is unknown"
    assert figures["decode_mbu"].reason == "the memory bandwidth of the device is unknown"


def test_runs_of_one_arm_are_averaged_and_others_kept_apart() -> None:
    runs = [make_model_record(arm, seed, joules={"sorting": 1.0 + seed}) for arm in ("dense", "moe") for seed in (0, 1)]
    rows = merge_runs([cost for run in runs for cost in measure_regimes(run)])
    assert [(row.arm, row.num_runs) for row in rows] == [("dense", 2), ("moe", 2)]
    assert rows[0].figures["j_per_task"].value == pytest.approx(1.5)
    assert rows[0].figures["j_per_task"].n == 2


def test_two_budgets_of_a_seed_are_one_sample_weighed_as_the_comparison_weighs_them() -> None:
    runs = [
        make_model_record("dense", seed, joules={"sorting": joules}, run_id=f"s{seed}-{joules}")
        for seed in (0, 1)
        for joules in (1.0 + seed, 3.0 + seed)
    ]
    costs = [cost for run in runs for cost in measure_regimes(run)]
    (row,) = merge_runs(costs, {"s0-1.0": 0.25, "s0-3.0": 0.75, "s1-2.0": 0.25, "s1-4.0": 0.75})
    found = row.figures["j_per_task"]
    assert (found.value, found.n, row.num_runs) == (pytest.approx(3.0), 2, 4)
    (even,) = merge_runs(costs)
    assert even.figures["j_per_task"].value == pytest.approx(2.5)
    (alone,) = merge_runs([cost for cost in costs if cost.seed == 0])
    assert alone.figures["j_per_task"].interval is None, "one seed is no spread"
