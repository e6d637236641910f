"""Groups of inference windows and the cost of a task, a token and a correct answer."""

from __future__ import annotations

import dataclasses

from harness.analysis.energy_sum import sum_all
from harness.analysis.task_costs import measure_task
from harness.exports.inference import cost_per_correct, cost_per_task, cost_per_token, group_windows
from tests.unit.exports.factory import make_record, modelled, quality, reading, regime, window

PREFILL = window("prefill", (reading(100.0),), regime=regime(), tasks=10, tokens_out=10)
DECODE = window("decode", (reading(300.0),), regime=regime(), tasks=5, tokens_out=55)


def test_a_task_costs_its_share_of_prefill_and_of_decode_though_they_hold_unequal_numbers_of_tasks() -> None:
    (group,) = group_windows(make_record(windows=(PREFILL, DECODE)))
    assert cost_per_task(group, sum_all).energy_j == 100 / 10 + 300 / 5


def test_repetitions_are_pooled_over_all_their_tasks() -> None:
    more = window("decode", (reading(100.0),), regime=regime(), tasks=15, tokens_out=165, repetition=1)
    (group,) = group_windows(make_record(windows=(PREFILL, DECODE, more)))
    assert cost_per_task(group, sum_all).energy_j == 100 / 10 + 400 / 20


def test_a_token_costs_a_share_of_the_whole_answer_the_first_token_included() -> None:
    (group,) = group_windows(make_record(windows=(PREFILL, DECODE)))
    assert cost_per_token(group, sum_all).energy_j == 70.0 / 12


def test_free_answers_count_the_tokens_that_were_made() -> None:
    free = regime(length="free")
    windows = (
        window("prefill", (reading(100.0),), regime=free, tasks=10, tokens_out=10),
        window("decode", (reading(300.0),), regime=free, tasks=5, tokens_out=20),
    )
    (group,) = group_windows(make_record(windows=windows))
    assert cost_per_token(group, sum_all).energy_j == 70.0 / (1 + 4)


def test_a_generate_window_does_not_count_beside_prefill_and_decode() -> None:
    whole = window("generate", (reading(999.0),), regime=regime(), tasks=10, tokens_out=120)
    (both,) = group_windows(make_record(windows=(PREFILL, DECODE, whole)))
    (alone,) = group_windows(make_record(windows=(whole,)))
    assert cost_per_task(both, sum_all).energy_j == 70.0
    assert cost_per_task(alone, sum_all).energy_j == 99.9


def test_other_batches_and_kinds_are_groups_of_their_own() -> None:
    other = window("prefill", (reading(1.0),), regime=regime(8))
    groups = group_windows(make_record(windows=(PREFILL, DECODE, other)))
    assert [(group.kind, group.batch_size) for group in groups] == [("arithmetic", 1), ("arithmetic", 8)]
    assert cost_per_task(groups[1], sum_all).energy_j is None
    assert "whole answer" in (cost_per_task(groups[1], sum_all).reason or "")


def test_one_unknown_reading_makes_the_task_unknown_with_its_reason() -> None:
    lost = window("decode", (reading(None, reason="the counter stood still"),), regime=regime(), tasks=5, repetition=1)
    (group,) = group_windows(make_record(windows=(PREFILL, DECODE, lost)))
    cost = cost_per_task(group, sum_all)
    assert cost.energy_j is None
    assert "stood still" in (cost.reason or "")


def test_a_part_that_is_modelled_makes_the_whole_modelled() -> None:
    both = window("prefill", (reading(100.0), modelled()), regime=regime(), tasks=10)
    (group,) = group_windows(make_record(windows=(both, DECODE)))
    assert cost_per_task(group, sum_all).energy.word == "modelled"


def test_a_correct_answer_costs_a_task_over_the_accuracy_of_its_kind() -> None:
    record = make_record(windows=(PREFILL, DECODE), qualities=(quality("sorting", 0.9), quality("arithmetic", 0.5)))
    (group,) = group_windows(record)
    assert cost_per_correct(group, sum_all, record).energy_j == 140.0


def test_few_correct_answers_give_no_figure() -> None:
    record = make_record(windows=(PREFILL, DECODE), qualities=(quality("arithmetic", 0.1),))
    (group,) = group_windows(record)
    cost = cost_per_correct(group, sum_all, record)
    assert cost.energy_j is None
    assert cost.reason == "only 20 correct answers, fewer than 30"


def test_a_server_is_judged_by_its_own_answers() -> None:
    served = window("serve", (reading(1000.0),), tasks=100, tokens_out=800, num_correct=40)
    record = make_record(windows=(served,))
    (group,) = group_windows(record)
    assert (group.kind, group.batch_size) == ("serve", None)
    assert cost_per_correct(group, sum_all, record).energy_j == 25.0
    assert cost_per_token(group, sum_all).energy_j == 1.25


def test_windows_without_a_regime_are_line_completion_as_configured() -> None:
    windows = (
        window("prefill", (reading(10.0),), tasks=10),
        window("decode", (reading(20.0),), tasks=10, tokens_out=110),
    )
    (group,) = group_windows(make_record(windows=windows))
    assert group.label == "line_completion, batch 32, 96 in, 12 out, any length"
    assert cost_per_token(group, sum_all).energy_j == 0.25


def test_a_window_without_tasks_is_no_division_by_zero() -> None:
    windows = (window("prefill", (reading(10.0),), regime=regime(), tasks=0), DECODE)
    (group,) = group_windows(make_record(windows=windows))
    assert cost_per_task(group, sum_all).reason == "no task was counted in its prefill windows"


def test_a_kinds_accuracy_is_the_one_that_analyses_read() -> None:
    other = dataclasses.replace(quality("arithmetic", 0.9), metric="acc_norm")
    record = make_record(windows=(PREFILL, DECODE), qualities=(other, quality("arithmetic", 0.5)))
    (group,) = group_windows(record)
    assert cost_per_correct(group, sum_all, record).energy_j == 140.0


def test_the_task_of_an_export_costs_what_the_task_of_an_analysis_costs() -> None:
    more = window("decode", (reading(100.0),), regime=regime(), tasks=15, tokens_out=165, repetition=1)
    record = make_record(windows=(PREFILL, DECODE, more), qualities=(quality("arithmetic", 0.5),))
    (group,) = group_windows(record)
    assert cost_per_task(group, sum_all).energy_j == measure_task(record, "arithmetic").energy_j == 30.0
