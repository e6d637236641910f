"""Matching whole studies: the known multiplier comes back, and poor input gives findings instead of numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from harness.analysis.match import load_and_match, match_study
from harness.analysis.points import build_points
from harness.analysis.summary import match_to_json
from harness.analysis.tasks import weigh_runs
from harness.analysis.text import match_to_text
from harness.core.errors import RecordError
from harness.core.records import Work
from harness.core.store import Store
from harness.core.study import MatchRule, save_study
from tests.unit.analysis.factory import (
    BUDGETS,
    make_record,
    make_records,
    make_study,
    reading,
    swap_path,
    true_loss,
    window,
)


def match_of(records, **study):
    return match_study(records, make_study(records, **study))


def row(match, resource):
    return next(m for m in match.headline if m.resource == resource)


def codes(match):
    return {finding.code for finding in match.findings}


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.0, 10.0])
def test_the_known_multiplier_comes_back_in_every_resource_that_follows_flops(truth):
    match = match_of(make_records(truth))
    for resource in ("flops", "energy", "net_energy", "seconds"):
        assert row(match, resource).estimate == pytest.approx(truth)
    assert row(match, "flops").n == 3
    assert row(match, "peak_memory").estimate == pytest.approx(0.5)
    assert match.matched_loss == pytest.approx(true_loss(BUDGETS[-1]))


def test_the_multiplier_comes_back_between_budgets_that_do_not_line_up():
    budgets = {"dense": [1e12 * 2**k for k in range(6)], "moe": [0.7e12 * 2**k for k in range(4)]}
    match = match_of(make_records(2.0, budgets=budgets))
    assert [m.estimate for m in match.curve if m.resource == "flops"] == pytest.approx([2.0] * 9, rel=0.03)


def test_joules_are_told_apart_from_flops():
    records = make_records(2.0)
    records = [swap_path(r, energy=(reading(r.path.flops * 3e-11),)) if r.arm == "moe" else r for r in records]
    match = match_of(records)
    assert row(match, "flops").estimate == pytest.approx(2.0)
    assert row(match, "energy").estimate == pytest.approx(2.0 / 3)
    assert row(match, "energy").grade == "A"


def test_seeds_that_are_luckier_for_both_families_cancel_in_the_paired_interval():
    match = match_of(make_records(2.0, noise=lambda arm, seed, flops: 0.02 * seed))
    interval = row(match, "flops").interval
    assert interval.low == pytest.approx(2.0, rel=0.1)
    assert interval.method.startswith("paired t on log ratios over seeds")


def test_the_interval_covers_the_truth_in_a_simulation_of_whole_studies():
    rng = np.random.default_rng(11)
    hits = 0
    for _ in range(100):
        records = make_records(2.0, noise=lambda *_: 0.01 * rng.standard_normal())
        interval = row(match_of(records), "flops").interval
        hits += interval.low <= 2.0 <= interval.high
    # Three binomial standard errors of 100 studies at 95% are 6.5 points.
    assert hits / 100 == pytest.approx(0.95, abs=0.065)


def test_the_worst_seed_of_the_worse_family_picks_the_loss():
    match = match_of(make_records(2.0, noise=lambda arm, seed, flops: 0.05 if (arm, seed) == ("dense", 1) else 0.0))
    assert match.matched_loss == pytest.approx(true_loss(BUDGETS[-1]) + 0.05)


def test_the_middle_rule_takes_the_middle_of_what_both_reached():
    match = match_of(make_records(2.0), match=MatchRule(rule="middle_common"))
    low, high = match.common_losses
    assert match.matched_loss == pytest.approx((low + high) / 2)
    assert row(match, "flops").estimate == pytest.approx(2.0)
    assert match.rule.startswith("middle")


def test_a_fixed_rule_is_followed_and_beyond_the_common_losses_gives_no_number():
    records = make_records(2.0)
    loss = true_loss(3e12)
    assert match_of(records, match=MatchRule(rule="fixed", loss=loss)).matched_loss == loss
    match = match_of(records, match=MatchRule(rule="fixed", loss=1.0))
    assert match.matched_loss is None
    assert all(m.estimate is None for m in match.headline)


def test_where_only_the_candidate_went_on_the_multiplier_has_a_lower_bound():
    budgets = {"dense": [*BUDGETS, 16e12], "moe": BUDGETS}
    match = match_of(make_records(4.0, budgets=budgets))
    bound = next(m for m in match.curve if m.resource == "flops" and m.lower_bound is not None)
    assert bound.estimate is None
    # The dense models spent twice the sparse ones' budget and were still worse; the truth is 4.
    assert bound.lower_bound == pytest.approx(2.0)
    assert "baseline_never_reaches" in codes(match)


def test_losses_that_do_not_overlap_give_no_number_and_a_reason():
    records = make_records(1.0, budgets={"dense": [1e12, 2e12], "moe": [8e12, 1.6e13]})
    match = match_of(records)
    assert match.matched_loss is None
    assert match.matched_loss_reason
    assert all(m.estimate is None for m in (*match.curve, *match.headline))
    assert not match.task_ratios


def test_one_family_gives_findings_and_no_numbers():
    records = [r for r in make_records() if r.arm == "dense"]
    match = match_of(records)
    assert (match.matched_loss, match.headline, match.curve) == (None, (), ())
    assert "no_runs_of_arm" in codes(match)


def test_failed_runs_alone_give_findings_and_no_numbers():
    records = [dataclasses.replace(r, status="failed", error="boom", path=None) for r in make_records()]
    match = match_of(records)
    assert (match.points, match.headline) == ((), ())
    assert {reason for _, reason in match.excluded} == {"failed: boom"}
    assert match.findings


def test_no_records_at_all_give_findings():
    assert match_study([], None).matched_loss is None


def test_two_runs_of_one_cell_count_both_as_none_and_no_claim_is_supported():
    records = make_records(2.0, seeds=(0, 1, 2, 3))
    lucky = dataclasses.replace(records[3], run_id="second-try", quality=(
        dataclasses.replace(records[3].quality[0], value=1.0), *records[3].quality[1:]))  # fmt: skip
    match = match_study([*records, lucky], make_study([*records, lucky]))
    assert {"second-try", records[3].run_id} <= set(dict(match.excluded))
    assert "repeated_cells" in codes(match)
    assert next(check for check in match.checks if check.code == "duplicate_records").outcome == "fail"
    assert row(match, "flops").estimate == pytest.approx(2.0)


def test_a_diverged_run_stands_on_no_frontier_and_is_named():
    records = make_records(2.0)
    burst = dataclasses.replace(records[0], loss_curve=((1000, 2.0), *((2000 + i, 9.0) for i in range(20))))
    match = match_study([burst, *records[1:]], make_study(records))
    assert dict(match.excluded)[burst.run_id].startswith("diverged")
    assert "diverged_runs" in codes(match)
    assert next(check for check in match.checks if check.code == "diverged").outcome == "fail"


def test_one_seed_gives_a_finding_and_no_number():
    match = match_of(make_records(2.0, seeds=(0,)))
    rows = [*match.headline, *match.curve, *match.task_ratios, *match.accuracy.headline, *match.accuracy.task_ratios]
    assert rows
    assert all((found.estimate, found.interval) == (None, None) for found in rows)
    assert all(gap.gap is None for gap in match.budget_gaps)
    assert all(axis.gap is None for axis in match.axes)
    assert row(match, "flops").reason == "one seed or repeat: no interval, so no number"
    assert row(match, "flops").per_seed == ((0, pytest.approx(2.0)),), "what the one seed gave stays on record"
    assert "one_seed" in codes(match)


def test_seeds_of_one_family_only_are_left_out_and_said():
    records = [r for r in make_records(2.0) if (r.arm, r.seed) != ("moe", 2)]
    match = match_of(records)
    assert row(match, "flops").n == 2
    assert "unpaired_seeds" in codes(match)


def test_without_a_study_file_the_arms_are_told_from_the_models_and_a_finding_says_so():
    match = match_study(make_records(2.0), None)
    assert (match.baseline_arm, match.candidate_arm) == ("dense", "moe")
    assert row(match, "flops").estimate == pytest.approx(2.0)
    assert "no_study" in codes(match)


def test_a_run_that_was_not_promised_is_left_out():
    records = make_records(2.0)
    extra = make_record("moe", flops=1e11, loss=1.5, run_id="picked-later")
    match = match_study([*records, extra], make_study(records))
    assert row(match, "flops").estimate == pytest.approx(2.0)
    assert "picked-later" in dict(match.excluded)


def test_unknown_energy_leaves_flops_alone():
    records = make_records(2.0)
    records[0] = swap_path(records[0], energy=(reading(None, reason="lost"),))
    records[3] = swap_path(records[3], energy=(reading(None, reason="lost"),))
    match = match_of(records)
    assert row(match, "flops").estimate == pytest.approx(2.0)
    assert row(match, "energy").estimate is None
    assert row(match, "energy").reason


def test_energies_of_different_domains_are_not_compared():
    records = [
        swap_path(r, energy=(reading(1.0, "A", "cpu"),) if r.arm == "moe" else r.path.energy) for r in make_records(2.0)
    ]
    match = match_of(records)
    assert row(match, "energy").estimate is None
    assert "domains" in row(match, "energy").reason


def _changed(record, section, **changes):
    return dataclasses.replace(record, **{section: dataclasses.replace(getattr(record, section), **changes)})


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("device", lambda r: _changed(r, "environment", device="cpu")),
        ("device_name", lambda r: _changed(r, "environment", device_name="other card")),
        ("num_threads", lambda r: _changed(r, "environment", num_threads=1)),
        ("data.sha256", lambda r: _changed(r, "data", sha256="e" * 64)),
        ("tokenizer_sha256", lambda r: _changed(r, "data", tokenizer_sha256="u" * 64)),
        ("formula_version", lambda r: _changed(r, "flops", formula_version=2)),
        ("schema_version", lambda r: dataclasses.replace(r, schema_version=0)),
        (
            "precision",
            lambda r: dataclasses.replace(r, config=r.config | {"train": r.config["train"] | {"precision": "bf16"}}),
        ),
        (
            "task version",
            lambda r: dataclasses.replace(r, quality=tuple(dataclasses.replace(q, task_version=2) for q in r.quality)),
        ),
    ],
)
def test_runs_that_differ_in_what_a_number_means_are_refused_by_name(key, change):
    records = make_records(2.0)
    records[0] = change(records[0])
    with pytest.raises(RecordError, match=key):
        match_of(records)


def test_a_task_costs_what_prefill_and_decode_cost_together():
    dense, moe = make_records(2.0), make_records(2.0, task_j=0.8)
    match = match_of([r for r in dense if r.arm == "dense"] + [r for r in moe if r.arm == "moe"])
    tasks = {task.arm: task for task in match.arm_tasks}
    assert tasks["dense"].energy_per_task_j == pytest.approx(0.5)
    assert tasks["dense"].prefill_energy_per_task_j == pytest.approx(0.125)
    ratios = {ratio.metric: ratio for ratio in match.task_ratios}
    assert ratios["energy_per_task"].estimate == pytest.approx(1.6)
    assert ratios["energy_per_correct"].estimate == pytest.approx(1.6)
    assert ratios["flops_per_task"].estimate == pytest.approx(1.0)
    assert ratios["energy_per_task"].n == 3


def test_a_correct_answer_counts_once_however_often_it_was_repeated():
    repeats = Work(unit="task", amount=64_000, num_tasks=64_000, num_correct=9_000)
    records = [
        dataclasses.replace(r, windows=tuple(window(p, [reading(100.0)], repeats) for p in ("prefill", "decode")))
        for r in make_records(2.0, num_correct=5)
    ]
    match = match_of(records)
    assert all(task.energy_per_correct_j is None for task in match.arm_tasks)
    ratio = next(r for r in match.task_ratios if r.metric == "energy_per_correct")
    assert ratio.estimate is None
    assert "30" in ratio.reason
    assert {task.num_correct for task in match.arm_tasks} == {15}


def test_a_study_without_answers_still_has_its_multipliers():
    records = [
        dataclasses.replace(r, windows=(), quality=tuple(q for q in r.quality if q.metric != "exact_match"))
        for r in make_records(2.0)
    ]
    match = match_of(records)
    assert row(match, "flops").estimate == pytest.approx(2.0)
    assert all(ratio.estimate is None and ratio.reason for ratio in match.task_ratios)


def test_a_store_is_matched_as_its_records_are_and_an_empty_one_is_an_error(tmp_path):
    records = make_records(2.0)
    store = Store(tmp_path)
    for record in records:
        store.write_record(record)
    save_study(tmp_path, make_study(records))
    (tmp_path / "records" / "broken.json").write_text("{}")
    match = load_and_match(tmp_path)
    assert row(match, "flops").estimate == pytest.approx(2.0)
    assert "unreadable_record" in codes(match)
    with pytest.raises(RecordError, match="no run records"):
        load_and_match(tmp_path / "empty")


def test_the_text_and_the_json_hold_the_headline():
    match = match_of(make_records(2.0))
    assert "2.000" in match_to_text(match)
    assert match_to_json(match)["headline"][0]["estimate"] == pytest.approx(2.0)
    assert "no matched loss" in match_to_text(match_study([], None))


@pytest.mark.parametrize("arm", ["dense", "moe"])
def test_a_bound_in_joules_is_graded_by_the_runs_of_both_arms(arm):
    records = make_records(100.0, budgets={"dense": [1e12, 2e12], "moe": [1e12, 2e12]})
    worse = [swap_path(r, energy=(reading(20.0, "C"),)) if r.arm == arm else r for r in records]
    bounds = {m.resource: m for m in match_study(worse, make_study(worse)).headline}
    assert bounds["energy"].lower_bound is not None
    assert bounds["energy"].grade == "C"
    arms = {run.split("-")[1] for run in bounds["energy"].run_ids}
    assert arms == {"dense", "moe"}


def test_joules_of_different_domains_give_no_bound():
    records = make_records(100.0, budgets={"dense": [1e12, 2e12], "moe": [1e12, 2e12]})
    mixed = [swap_path(r, energy=(reading(20.0, domain="cpu"),)) if r.arm == "dense" else r for r in records]
    match = match_study(mixed, make_study(mixed))
    bounds = {m.resource: m.lower_bound for m in match.headline}
    assert bounds["flops"] is not None
    assert "energy" not in bounds


def test_one_answered_task_gives_no_match_by_accuracy():
    records = [
        dataclasses.replace(
            record,
            quality=tuple(
                dataclasses.replace(q, value=float(i % 2), num_samples=1) if q.metric == "exact_match" else q
                for q in record.quality
            ),
        )
        for i, record in enumerate(make_records())
    ]
    accuracy = match_study(records, make_study(records)).accuracy
    assert accuracy.error_rate is None
    assert "1 task" in accuracy.reason


def test_of_runs_with_one_loss_the_cheapest_is_read_whatever_their_order():
    points = [p for p in build_points(make_records())[0] if p.arm == "dense" and p.seed == 0]
    tied = [dataclasses.replace(point, loss=2.0) for point in points]
    cheapest = min(tied, key=lambda point: point.flops)
    for order in (tied, tied[::-1]):
        assert weigh_runs(order, "s", 2.0) == [(cheapest, 1.0)]
        assert weigh_runs(order, "s", 1.9) == [(cheapest, 1.0)]
