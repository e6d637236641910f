"""Overlap of kinds, the experts that carry 90%, and coverage, on loads whose answer is known."""

from __future__ import annotations

import dataclasses

import pytest

from harness.analysis.inference.routing import (
    compare_kinds_used,
    measure_overlap,
    measure_share_carrying,
    summarise_coverage,
    summarise_routing,
)
from tests.unit.analysis.inference.factory import coverage, make_model_record, routing

EVEN = [[0.25] * 4, [0.25] * 4]
ONE = [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
OTHER = [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]


def test_overlap_is_one_less_total_variation() -> None:
    assert measure_overlap(ONE, ONE) == pytest.approx(1.0)
    assert measure_overlap(ONE, OTHER) == pytest.approx(0.0)
    assert measure_overlap(ONE, EVEN) == pytest.approx(0.25)
    assert measure_overlap(ONE, EVEN[:1]) is None


def test_an_even_load_needs_nine_tenths_of_its_experts() -> None:
    assert measure_share_carrying([[0.1] * 10]) == pytest.approx(0.9)
    assert measure_share_carrying(ONE) == pytest.approx(0.25)
    assert measure_share_carrying([[0.5, 0.4, 0.05, 0.05]]) == pytest.approx(0.5)


def test_runs_are_averaged_inside_an_arm_with_an_interval() -> None:
    records = [
        dataclasses.replace(
            make_model_record("moe", seed),
            task_routing=(routing("sorting", ONE), routing("arithmetic", EVEN if seed else ONE, active=2e6)),
        )
        for seed in (0, 1)
    ]
    (pair,) = compare_kinds_used(records)
    assert pair.kinds == ("arithmetic", "sorting")
    assert pair.overlap.value == pytest.approx((1.0 + 0.25) / 2)
    assert pair.overlap.interval is not None
    arithmetic, sorting = summarise_routing(records)
    assert arithmetic.active_share == pytest.approx(0.5)
    assert sorting.share_for_90 == pytest.approx(0.25)
    assert sorting.num_tokens == 2000
    (alone,) = compare_kinds_used(records[:1])
    assert (alone.overlap.interval, alone.overlap.reason) == (None, "one run gives no interval")


def test_coverage_stands_beside_both_expectations() -> None:
    record = dataclasses.replace(
        make_model_record("moe"), expert_coverage=(coverage("mixed", 8, 5.0), coverage("mixed", 1, 2.0))
    )
    one, eight = summarise_coverage([record])
    assert (one.batch_size, eight.batch_size) == (1, 8)
    assert eight.measured.value == pytest.approx(5.0)
    assert eight.expected_even == pytest.approx(6.0)
    assert eight.expected_load == pytest.approx(5.25)


def test_dense_models_have_no_experts_to_tell() -> None:
    records = [make_model_record("dense")]
    assert summarise_routing(records) == compare_kinds_used(records) == summarise_coverage(records) == ()


def test_budgets_of_a_seed_are_one_sample_and_sizes_stay_apart() -> None:
    records = [
        dataclasses.replace(
            make_model_record("moe", seed, run_id=f"{size}-s{seed}-{load is EVEN}", size=size),
            task_routing=(routing("sorting", ONE), routing("arithmetic", load)),
            expert_coverage=(coverage("mixed", 8, 5.0 + (load is EVEN)),),
        )
        for size in ("l", "m")
        for seed in (0, 1)
        for load in (EVEN, ONE)
    ]
    overlaps = compare_kinds_used(records)
    assert [(pair.size, pair.overlap.n) for pair in overlaps] == [("l", 2), ("m", 2)]
    assert overlaps[0].overlap.value == pytest.approx((1.0 + 0.25) / 2)
    rows = summarise_coverage(records)
    assert [(row.size, row.measured.n, row.measured.value) for row in rows] == [("l", 2, 5.5), ("m", 2, 5.5)]
    assert {(row.size, row.kind) for row in summarise_routing(records)} == {
        (size, kind) for size in ("l", "m") for kind in ("arithmetic", "sorting")
    }
