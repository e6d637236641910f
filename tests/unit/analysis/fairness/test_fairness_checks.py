"""Fairness checks: a fair study passes all, and each unfairness fails its own check."""

from __future__ import annotations

import dataclasses

import pytest

from harness.analysis.match import match_study
from harness.core.routing import TaskRouting
from tests.unit.analysis.factory import make_records, make_study, reading, window


def outcomes(records, study=None, **changes):
    match = match_study(records, study or make_study(records, **changes))
    return {check.code: check.outcome for check in match.checks}


def configured(record, section, **changes):
    return dataclasses.replace(record, config=record.config | {section: record.config[section] | changes})


def test_loads_of_training_are_told_where_they_were_counted():
    counted = only_moe(
        lambda r: dataclasses.replace(r, training_routing=dataclasses.replace(r.routing, max_violation=0.5))
    )
    for records, words in ((make_records(2.0), "entropy at least 1.00"), (counted, "over training 1.50 times in the")):
        check = next(c for c in match_study(records, make_study(records)).checks if c.code == "no_dead_experts")
        assert check.outcome == "pass"
        assert words in check.text


@pytest.mark.parametrize(("share_in_task", "outcome"), [(0.3, "pass"), (0.004, "fail")])
def test_an_expert_that_works_in_some_kind_of_task_is_not_dead(share_in_task, outcome):
    def idle_on_text(record):
        kind = TaskRouting(
            kind="sorting",
            load=((share_in_task, 1 - share_in_task),),
            mean_entropy=0.5,
            num_tokens=9,
            active_params_per_token=1.0,
            total_params=2,
        )
        routing = dataclasses.replace(record.routing, load=((0.002, 0.998),), num_dead_experts=1)
        return dataclasses.replace(record, routing=routing, task_routing=(kind,))

    assert outcomes(only_moe(idle_on_text))["no_dead_experts"] == outcome


def dropping(record, share, **model):
    flops = dataclasses.replace(record.flops, dropped_share=share)
    return configured(dataclasses.replace(record, flops=flops), "model", **model)


@pytest.mark.parametrize("dispatch", ["auto", "blocked", "grouped_mm", "bmm", "loop"])
def test_no_dispatch_drops_tokens_by_itself(dispatch):
    assert outcomes(only_moe(lambda r: configured(r, "model", dispatch=dispatch)))["dropless"] == "pass"
    kept = only_moe(lambda r: dropping(r, 0.0, dispatch=dispatch, capacity_factor=4.0))
    assert outcomes(kept)["dropless"] == "pass", "a capacity that nothing exceeded"


def only_moe(change):
    return [change(r) if r.arm == "moe" else r for r in make_records(2.0)]


def test_a_fair_study_passes_every_check():
    assert set(outcomes(make_records(2.0)).values()) == {"pass"}


def test_every_check_says_something():
    records = make_records(2.0)
    for check in match_study(records, make_study(records)).checks:
        assert check.text
        assert check.title


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("same_training", lambda r: configured(r, "train", batch_size=16)),
        ("same_training", lambda r: configured(r, "train", context_length=64)),
        ("same_recipe", lambda r: configured(r, "model", tie_embeddings=False)),
        (
            "same_device",
            lambda r: dataclasses.replace(r, environment=dataclasses.replace(r.environment, gpu_uuid="card-1")),
        ),
        ("epochs", lambda r: dataclasses.replace(r, epochs=4.5)),
        (
            "flops_traced",
            lambda r: dataclasses.replace(r, flops=dataclasses.replace(r.flops, relative_gap=-0.02)),
        ),
        (
            "no_dead_experts",
            lambda r: dataclasses.replace(r, routing=dataclasses.replace(r.routing, num_dead_experts=1)),
        ),
        (
            "no_dead_experts",
            lambda r: dataclasses.replace(r, training_routing=dataclasses.replace(r.routing, num_dead_experts=1)),
        ),
        ("dropless", lambda r: configured(r, "model", dispatch="capacity")),
        ("dropless", lambda r: dropping(r, 0.03, router="switch")),
        ("dropless", lambda r: dropping(r, 0.03)),
        ("tuned_equally", lambda r: configured(r, "train", learning_rate=0.016)),
        (
            "interleaved",
            lambda r: dataclasses.replace(
                r, plan_position=dataclasses.replace(r.plan_position, block=r.plan_position.block + 10)
            ),
        ),
    ],
)
def test_each_unfairness_fails_its_own_check(code, change):
    assert outcomes(only_moe(change))[code] == "fail"


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("no_dead_experts", lambda r: dataclasses.replace(r, routing=None)),
        ("epochs", lambda r: dataclasses.replace(r, epochs=None)),
        ("flops_traced", lambda r: dataclasses.replace(r, flops=dataclasses.replace(r.flops, relative_gap=None))),
        ("dropless", lambda r: configured(r, "model", dispatch=None)),
        ("dropless", lambda r: dropping(r, None, router="switch")),
        ("dropless", lambda r: dropping(r, None, capacity_factor=2.0)),
        ("interleaved", lambda r: dataclasses.replace(r, plan_position=None)),
        ("flop_rates", lambda r: dataclasses.replace(r, train_flops_per_s=None)),
        ("same_device", lambda r: dataclasses.replace(r, environment=None)),
    ],
)
def test_what_the_records_do_not_say_is_unknown_not_passed(code, change):
    assert outcomes(only_moe(change))[code] == "unknown"


def test_a_record_from_before_a_setting_did_what_its_default_says():
    """A study that is gone on with after an update holds records with and without a key that came later."""
    for value, outcome in ((0, "pass"), (4, "fail")):
        assert (
            outcomes(only_moe(lambda r, v=value: configured(r, "train", micro_batch_size=v)))["same_training"]
            == outcome
        )


def test_fewer_than_three_seeds_fail():
    assert outcomes(make_records(2.0, seeds=(0, 1)))["seeds"] == "fail"


def test_idle_power_that_drifts_fails_and_modelled_idle_power_tells_nothing():
    drifting = [
        dataclasses.replace(
            r, windows=(*r.windows_of("idle_resident", "prefill", "decode"), window("idle_after", [reading(30.0)]))
        )
        for r in make_records(2.0)
    ]
    assert outcomes(drifting)["idle_drift"] == "fail"
    assert outcomes(make_records(2.0, grade="C"))["idle_drift"] == "unknown"


def test_modelled_energy_fails_the_sensor_check_without_blocking():
    records = make_records(2.0, grade="C")
    check = next(c for c in match_study(records, make_study(records)).checks if c.code == "sensor_grade")
    assert (check.outcome, check.blocking) == ("fail", False)


def test_a_planned_run_that_did_not_finish_fails():
    records = make_records(2.0)
    study = make_study(records)
    assert outcomes(records[1:], study)["plan_finished"] == "fail"


def test_no_search_is_unknown_a_search_of_one_family_or_with_unequal_trials_fails():
    records = make_records(2.0)
    notes = make_study(records).tuning
    assert outcomes(records, tuning=())["tuned_equally"] == "unknown"
    assert outcomes(records, tuning=notes[:1])["tuned_equally"] == "fail"
    fewer = dataclasses.replace(notes[1], learning_rates=(0.004, 0.008))
    assert outcomes(records, tuning=(notes[0], fewer))["tuned_equally"] == "fail"
    shorter = dataclasses.replace(notes[1], tokens_per_trial=500_000, total_flops=5e11)
    assert outcomes(records, tuning=(notes[0], shorter))["tuned_equally"] == "fail"


def test_a_rate_at_the_end_of_its_grid_fails():
    records = make_records(2.0)
    notes = make_study(records).tuning
    edge = dataclasses.replace(notes[1], learning_rates=(0.002, 0.004, 0.008))
    assert outcomes(records, tuning=(notes[0], edge))["rate_interior"] == "fail"


def test_without_a_study_the_plan_and_the_search_are_unknown():
    match = match_study(make_records(2.0), None)
    found = {check.code: check.outcome for check in match.checks}
    assert (found["plan_finished"], found["tuned_equally"]) == ("unknown", "unknown")
