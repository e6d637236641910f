"""The recipe: one rate and batch a size, sparse-only settings fixed, and every starting weight paid for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from harness.analysis.fairness.recipe import check_optimiser, check_parents, check_sparse_settings
from harness.analysis.match import match_study
from harness.core.provenance import BatchInfo
from harness.core.readings import Finding
from harness.core.records import RunRecord, Work
from tests.unit.analysis.factory import make_record, make_records, make_study, swap_path, window

RECORDS = make_records(2.0)


def configured(record: RunRecord, section: str, **changes: Any) -> RunRecord:
    return dataclasses.replace(record, config=record.config | {section: record.config[section] | changes})


def first_of(arm: str, change: Callable[[RunRecord], RunRecord]) -> tuple[str, list[RunRecord]]:
    place = next(i for i, record in enumerate(RECORDS) if record.arm == arm)
    return RECORDS[place].run_id, [*RECORDS[:place], change(RECORDS[place]), *RECORDS[place + 1 :]]


def batched(record: RunRecord, precision: str = "bf16", micro: int = 8) -> RunRecord:
    info = BatchInfo(precision=precision, micro_batch_size=micro, micro_batch_source="toy")
    return dataclasses.replace(record, batches=info)


def test_one_rate_and_batch_a_size_pass_and_are_named() -> None:
    check = check_optimiser(RECORDS, make_study(RECORDS))
    assert check.outcome == "pass"
    assert "dense s: 0.008 x batch 8" in check.text
    assert check.blocking


@pytest.mark.parametrize("changes", [{"learning_rate": 0.004}, {"batch_size": 16}])
def test_runs_of_one_size_at_several_rates_or_batches_fail_by_name(changes: dict[str, Any]) -> None:
    run_id, records = first_of("moe", lambda r: configured(r, "train", **changes))
    check = check_optimiser(records, None)
    assert check.outcome == "fail"
    assert run_id in check.text


def test_rates_may_differ_between_sizes() -> None:
    other = [configured(make_record(size="m", seed=s), "train", learning_rate=0.004) for s in range(3)]
    assert check_optimiser([*RECORDS, *other], None).outcome == "pass"


def test_a_batch_that_the_search_did_not_choose_fails() -> None:
    study = make_study(RECORDS)
    notes = tuple(dataclasses.replace(note, batch_sizes=(8, 16), chosen_batch=16) for note in study.tuning)
    check = check_optimiser(RECORDS, dataclasses.replace(study, tuning=notes))
    assert check.outcome == "fail"
    assert "the search chose 16" in check.text


def test_batches_that_were_searched_for_each_family_may_differ_between_them() -> None:
    records = [configured(r, "train", batch_size=16) if r.arm == "moe" else r for r in RECORDS]
    study = make_study(records)
    notes = tuple(
        dataclasses.replace(note, batch_sizes=(4, 8, 16), chosen_batch=16 if note.arm == "moe" else 8)
        for note in study.tuning
    )
    unsearched = tuple(dataclasses.replace(note, batch_sizes=()) for note in notes)
    for tuning, outcome in ((notes, "pass"), (study.tuning, "fail"), (notes[:1], "fail"), (unsearched, "fail")):
        checks = match_study(records, dataclasses.replace(study, tuning=tuning)).checks
        assert next(c for c in checks if c.code == "same_training").outcome == outcome


def test_a_run_that_another_budget_ended_fails_by_name() -> None:
    stop = Finding(code="stopped_by_budget", severity="info", text="training stopped before its tokens")
    run_id, records = first_of("dense", lambda r: dataclasses.replace(r, findings=(stop,)))
    check = check_optimiser(records, None)
    assert check.outcome == "fail"
    assert run_id in check.text


def test_precision_as_it_ran_and_code_must_agree() -> None:
    same = [batched(record) for record in RECORDS]
    assert check_optimiser(same, None).outcome == "pass"
    assert check_optimiser([batched(RECORDS[0], "tf32"), *same[1:]], None).outcome == "fail"
    environment = RECORDS[0].environment
    assert environment is not None
    other = dataclasses.replace(same[0], environment=dataclasses.replace(environment, isojoule_version="9"))
    assert check_optimiser([other, *same[1:]], None).outcome == "fail"


def test_steps_in_other_parts_are_disclosed() -> None:
    check = check_optimiser([batched(RECORDS[0], micro=4), *(batched(record) for record in RECORDS[1:])], None)
    assert check.outcome == "pass"
    assert "parts of 4, 8" in check.text


def test_a_record_without_a_rate_leaves_the_optimiser_unknown() -> None:
    _, records = first_of("dense", lambda r: dataclasses.replace(r, config={**r.config, "train": {}}))
    alone = [record for record in records if record.config["train"] == {}]
    assert check_optimiser(alone, None).outcome == "unknown"


def test_sparse_settings_that_agree_pass_and_those_that_scale_with_size_are_named() -> None:
    check = check_sparse_settings(RECORDS)
    assert check.outcome == "pass"
    assert "num_experts, top_k" in check.text
    larger = [configured(make_record("moe", size="m", seed=s), "model", top_k=4) for s in range(3)]
    check = check_sparse_settings([*RECORDS, *larger])
    assert check.outcome == "pass"
    assert "moe sizes differ in top_k" in check.text


@pytest.mark.parametrize(
    "changes", [{"top_k": 4}, {"num_experts": 32}, {"router": "switch"}, {"bias_update_rate": 0.1}, {"dispatch": "bmm"}]
)
def test_sparse_settings_that_vary_within_a_size_fail(changes: dict[str, Any]) -> None:
    key = next(iter(changes))
    base = {"router": "mixtral", "bias_update_rate": 0.01}
    records = [configured(r, "model", **base) if r.arm == "moe" else r for r in RECORDS]
    place = next(i for i, record in enumerate(records) if record.arm == "moe")
    records[place] = configured(records[place], "model", **changes)
    check = check_sparse_settings(records)
    assert check.outcome == "fail"
    assert f"moe s has model.{key}" in check.text


def test_sparse_settings_that_some_runs_do_not_say_are_unknown() -> None:
    _, records = first_of("moe", lambda r: configured(r, "model", bias_update_rate=0.1))
    assert check_sparse_settings(records).outcome == "unknown"
    _, records = first_of("moe", lambda r: dataclasses.replace(r, config={}))
    assert check_sparse_settings(records).outcome == "unknown"


def test_without_experts_there_is_no_setting_to_vary() -> None:
    assert check_sparse_settings([record for record in RECORDS if record.arm == "dense"]).outcome == "pass"


def test_a_branch_whose_trunk_is_in_its_path_passes() -> None:
    check = check_parents(RECORDS)
    assert check.outcome == "pass"
    assert f"{len(RECORDS)} paths hold" in check.text


def test_a_single_run_that_saw_every_token_itself_passes() -> None:
    record = swap_path(make_record(role="single"), trunk_run_id=None, fork_tokens=None)
    assert record.path is not None
    own = window("pretrain", (), Work(unit="token", amount=record.path.tokens))
    assert check_parents([dataclasses.replace(record, windows=(own,))]).outcome == "pass"
    assert check_parents([record]).outcome == "fail", "four fifths of its tokens are nobody's"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trunk_run_id": None}, "no trunk is in its path"),
        ({"fork_tokens": None}, "no trunk is in its path"),
        ({"fork_tokens": 1000}, "its trunk and windows hold"),
        ({"flops": 0.2e12}, "books"),
    ],
)
def test_weights_that_nobody_paid_for_fail_by_name(changes: dict[str, Any], words: str) -> None:
    record = swap_path(make_record(), **changes)
    check = check_parents([record])
    assert check.outcome == "fail"
    assert words in check.text
    assert record.run_id in check.text


@pytest.mark.parametrize("changes", [{"windows": ()}, {"path": None}, {"flops": None}])
def test_a_record_that_does_not_say_what_it_did_leaves_its_start_unknown(changes: dict[str, Any]) -> None:
    assert check_parents([dataclasses.replace(make_record(), **changes)]).outcome == "unknown"
