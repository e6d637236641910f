"""The dual: at an equal budget the better family is named with the gap, and nothing is extrapolated."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from harness.analysis.match import match_study
from tests.unit.analysis.factory import BUDGETS, make_record, make_records, make_study, reading, swap_path, true_loss


def gaps_of(records, resource, **study):
    return [g for g in match_study(records, make_study(records, **study)).budget_gaps if g.resource == resource]


def test_the_gap_at_equal_flops_is_that_of_the_law_and_the_better_arm_is_named():
    budgets = {"dense": BUDGETS, "moe": BUDGETS}
    last = gaps_of(make_records(2.0, budgets=budgets), "flops")[-1]
    assert last.budget == pytest.approx(BUDGETS[-1])
    assert last.gap == pytest.approx(true_loss(BUDGETS[-1]) - true_loss(2 * BUDGETS[-1]))
    assert (last.better, last.n) == ("moe", 3)
    assert last.losses["moe"] == pytest.approx(true_loss(2 * BUDGETS[-1]))
    assert set(last.run_ids) == {f"toy-{arm}-s-{BUDGETS[-1]:.3g}-s{s}" for arm in ("dense", "moe") for s in range(3)}


def test_between_budgets_the_gap_follows_the_law():
    budgets = {"dense": BUDGETS, "moe": [0.7 * flops for flops in BUDGETS]}
    for gap in gaps_of(make_records(2.0, budgets=budgets), "flops"):
        assert gap.gap == pytest.approx(true_loss(gap.budget) - true_loss(2 * gap.budget), abs=2e-4)


def test_only_budgets_that_both_spent_in_every_seed_are_compared():
    budgets = {"dense": BUDGETS, "moe": [flops / 4 for flops in BUDGETS]}
    spent = [g.budget for g in gaps_of(make_records(2.0, budgets=budgets), "flops")]
    assert (spent[0], spent[-1]) == (pytest.approx(BUDGETS[0]), pytest.approx(BUDGETS[-1] / 4))


def test_noise_that_hides_the_gap_names_no_better_arm():
    rng = np.random.default_rng(5)
    records = make_records(1.0, budgets={"dense": BUDGETS, "moe": BUDGETS}, noise=lambda *_: rng.normal(0, 0.01))
    gap = gaps_of(records, "flops")[-1]
    assert gap.interval.low < 0 < gap.interval.high
    assert gap.better is None


def test_joules_and_seconds_have_budgets_of_their_own_and_unknown_ones_have_none():
    records = make_records(2.0, budgets={"dense": BUDGETS, "moe": BUDGETS})
    hungry = [swap_path(r, energy=(reading(r.path.flops * 4e-11),)) if r.arm == "moe" else r for r in records]
    last = gaps_of(hungry, "energy")[-1]
    # Twice as good with FLOPs, four times the joules for each: at equal joules the dense models are better.
    assert (last.better, last.grade) == ("dense", "A")
    lost = [swap_path(r, energy=(reading(None, reason="lost"),)) if r.arm == "moe" else r for r in records]
    assert gaps_of(lost, "energy") == []
    assert gaps_of(lost, "seconds")[-1].better == "moe"


def test_at_equal_memory_only_runs_that_fit_count():
    # The factory's sparse models take twice the dense ones' memory.
    records = make_records(2.0, budgets={"dense": BUDGETS, "moe": BUDGETS})
    assert [g.gap for g in gaps_of(records, "peak_memory")] == [None]
    small = [
        make_record("moe", size="t", seed=seed, flops=flops, loss=true_loss(0.5 * flops), run_id=f"t{seed}-{flops}")
        for seed in range(3)
        for flops in BUDGETS
    ]
    small = [swap_path(r, peak_memory_bytes=900_000) for r in small]
    (gap,) = gaps_of([*records, *small], "peak_memory")
    assert gap.budget == 1e6
    assert gap.better == "dense"
    assert gap.sizes["moe"] == ("t", "t", "t")
    assert gap.flops_limit == BUDGETS[-1]


def test_one_seed_gives_no_gap_and_no_better_arm_and_says_why():
    gap = gaps_of(make_records(2.0, seeds=(0,), budgets={"dense": BUDGETS, "moe": BUDGETS}), "flops")[-1]
    assert (gap.gap, gap.interval, gap.better) == (None, None, None)
    assert gap.reason
    assert len(gap.per_seed) == 1, "what the one seed gave stays on record"


def test_the_axes_stand_side_by_side_and_a_missing_one_says_why():
    records = make_records(2.0, budgets={"dense": BUDGETS, "moe": BUDGETS})
    axes = {axis.code: axis for axis in match_study(records, make_study(records)).axes}
    assert set(axes) == {"flops", "step_time", "energy", "active_params", "total_params"}
    assert all(axis.gap is not None for axis in axes.values())
    many = [dataclasses.replace(r, params=dataclasses.replace(r.params, total=9_000_000)) if r.arm == "moe" else r
            for r in records]  # fmt: skip
    total = next(a for a in match_study(many, make_study(many)).axes if a.code == "total_params")
    assert total.gap is None
    assert "10%" in total.reason


def test_memory_that_is_unknown_in_some_run_gives_no_gap_at_equal_memory():
    records = [
        swap_path(record, peak_memory_bytes=None) if record.arm == "moe" and record.seed == 1 else record
        for record in make_records()
    ]
    gaps = match_study(records, make_study(records)).budget_gaps
    assert not [gap for gap in gaps if gap.resource == "peak_memory"]
    assert [gap for gap in gaps if gap.resource == "flops"]
