"""Energy of a task by device: parts add up to the boundary's total, and what is unknown stays unknown."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from harness.analysis.correct import MIN_CORRECT, explain_few_correct
from harness.analysis.device_joules import ArmDevices
from harness.analysis.inference.compare import compare_inference
from harness.analysis.match import match_study
from harness.analysis.summary import verdicts_to_json
from harness.analysis.task_devices import NO_IDLE, measure_devices
from harness.core.readings import EnergyReading
from harness.core.records import RunRecord, WindowRecord
from tests.unit.analysis.factory import make_record, make_records, make_study, reading
from tests.unit.analysis.inference.factory import (
    KINDS,
    make_inference_study,
    make_pair,
    make_rows,
    make_server_record,
    with_suite,
)

FIELDS = ("gross", "net", "prefill", "decode", "gross_per_correct", "net_per_correct")


def with_readings(
    record: RunRecord, read: Callable[[EnergyReading], tuple[EnergyReading, ...]], phases: tuple[str, ...] = ()
) -> RunRecord:
    """Replace each reading of the windows (of `phases`, or all) by what `read` makes of it."""

    def change(window: WindowRecord) -> WindowRecord:
        if phases and window.phase not in phases:
            return window
        return dataclasses.replace(window, energy=tuple(new for old in window.energy for new in read(old)))

    return dataclasses.replace(record, windows=tuple(change(window) for window in record.windows))


def split(old: EnergyReading) -> tuple[EnergyReading, ...]:
    """Two GPUs that share the joules three to one, and a modelled CPU beside them."""
    joules = old.energy_j or 0.0
    return (
        reading(0.75 * joules),
        reading(0.25 * joules, device_index=1),
        reading(0.1 * joules, "C", "cpu"),
    )


def assert_adds_up(arm: ArmDevices) -> None:
    inside = [part for part in arm.parts if part.inside]
    for field in FIELDS:
        total = getattr(arm.total, field).value
        if total is not None:
            assert sum(getattr(part.joules, field).value for part in inside) == pytest.approx(total, rel=1e-12), field
    assert arm.total.gross.value == pytest.approx(arm.total.prefill.value + arm.total.decode.value, rel=1e-12)


def test_parts_inside_add_up_to_the_energy_that_arms_are_compared_by() -> None:
    records = [with_readings(record, split) for record in make_records(2.0, seeds=(0, 1, 2))]
    match = match_study(records, make_study(records))
    assert [arm.arm for arm in match.task_devices] == [task.arm for task in match.arm_tasks]
    for arm, task in zip(match.task_devices, match.arm_tasks, strict=True):
        assert [(part.domain, part.device_index, part.inside, part.grade) for part in arm.parts] == [
            ("gpu", 0, True, "A"), ("gpu", 1, True, "A"), ("cpu", 0, False, "C"),
        ]  # fmt: skip
        assert_adds_up(arm)
        assert task.energy_per_task_j is not None
        assert arm.total.gross.value == pytest.approx(task.energy_per_task_j, rel=1e-12)
        assert arm.total.prefill.value == pytest.approx(task.prefill_energy_per_task_j, rel=1e-12)
        assert arm.total.gross_per_correct.value == pytest.approx(task.energy_per_correct_j, rel=1e-12)
        assert arm.parts[0].joules.gross.value == pytest.approx(0.75 * task.energy_per_task_j, rel=1e-12)
        assert arm.parts[2].joules.gross.value == pytest.approx(0.1 * task.energy_per_task_j, rel=1e-12)
        assert arm.total.net.value == pytest.approx(0.8 * task.energy_per_task_j, rel=1e-12)
        assert arm.total.gross_per_correct.interval is not None
        assert arm.grade == "A"


def test_a_suite_adds_up_over_its_kinds_each_weighing_the_same() -> None:
    records = [
        with_readings(with_suite(r, {"arithmetic": 1.0, "sorting": 3.0}, dict.fromkeys(KINDS, 0.8)), split)
        for r in make_records(2.0)
    ]
    match = match_study(records, make_study(records))
    for arm, task in zip(match.task_devices, match.arm_tasks, strict=True):
        assert_adds_up(arm)
        assert arm.total.gross.value == pytest.approx(2.0) == task.energy_per_task_j
    for kind in match.kinds:
        for joules, task in zip(kind.task_joules, kind.arm_tasks, strict=True):
            assert joules.gross.value == pytest.approx(task.energy_per_task_j, rel=1e-12)
            assert joules.gross_per_correct.value == pytest.approx(task.energy_per_correct_j, rel=1e-12)
    assert len(verdicts_to_json([], match)["task_devices"]) == 2


def test_net_energy_without_idle_power_is_unknown_with_its_reason_and_never_zero() -> None:
    def no_idle(old: EnergyReading) -> tuple[EnergyReading, ...]:
        return (dataclasses.replace(old, net_energy_j=None), reading(1.0, "B", device_index=1))

    found = measure_devices(with_readings(make_record(), no_idle))
    assert found.devices["gpu", 0]["net"] == NO_IDLE
    assert found.total["net"] == NO_IDLE
    assert isinstance(found.devices["gpu", 1]["net"], float)
    assert isinstance(found.total["gross"], float)


def test_an_unknown_device_makes_the_total_unknown_and_says_why() -> None:
    def broken(old: EnergyReading) -> tuple[EnergyReading, ...]:
        return (old, dataclasses.replace(reading(None, device_index=1), reason="the counter was reset"))

    records = [with_readings(record, broken, ("prefill", "decode")) for record in make_records(2.0)]
    match = match_study(records, make_study(records))
    for arm in match.task_devices:
        known, unknown = arm.parts
        assert known.joules.gross.value == pytest.approx(0.5)
        assert unknown.joules.gross.value is None
        assert "the counter was reset" in (unknown.joules.gross.reason or "")
        assert arm.total.gross.value is None
        assert "the counter was reset" in (arm.total.gross.reason or "")


def test_a_device_that_only_some_windows_read_is_unknown_where_it_was_not_read() -> None:
    record = with_readings(make_record(), split, ("decode",))
    found = measure_devices(record)
    assert found.devices["gpu", 1]["prefill"] == "gpu 1 was not read in every window"
    assert isinstance(found.devices["gpu", 1]["decode"], float)
    assert isinstance(found.devices["gpu", 1]["gross"], str)


def test_of_two_sensors_of_a_device_the_better_grade_counts_and_the_worst_window_names_the_part() -> None:
    def twice(old: EnergyReading) -> tuple[EnergyReading, ...]:
        return (reading(10 * (old.energy_j or 0), "C"), old)

    def modelled(old: EnergyReading) -> tuple[EnergyReading, ...]:
        return (reading(old.energy_j, "C"),)

    both = [with_readings(record, twice) for record in make_records(2.0)]
    match = match_study(both, make_study(both))
    assert [(part.grade, part.joules.gross.value) for part in match.task_devices[0].parts] == [
        ("A", pytest.approx(0.5))
    ]
    mixed = [with_readings(record, modelled, ("prefill",)) for record in make_records(2.0)]
    match = match_study(mixed, make_study(mixed))
    assert match.task_devices[0].parts[0].grade == "C"
    assert match.task_devices[0].parts[0].sensors == ("codecarbon", "nvml")


def test_one_seed_gives_a_value_without_an_interval() -> None:
    records = make_records(2.0, seeds=(0,))
    match = match_study(records, make_study(records))
    assert len(match.task_devices) == 2
    for arm in match.task_devices:
        for joules in (arm.total, arm.parts[0].joules):
            for estimate in (joules.gross, joules.gross_per_correct):
                assert estimate.value is not None
                assert estimate.interval is None
                assert estimate.reason == "one seed gives no interval"


def test_few_correct_answers_give_no_joules_per_correct_answer() -> None:
    records = make_records(2.0, num_correct=1)
    match = match_study(records, make_study(records))
    for arm, task in zip(match.task_devices, match.arm_tasks, strict=True):
        assert arm.total.gross_per_correct.value is None
        assert (
            arm.total.gross_per_correct.reason
            == task.energy_per_correct_reason
            == explain_few_correct(task.num_correct)
        )
    assert explain_few_correct(MIN_CORRECT) is None


def test_models_and_servers_are_split_by_device_as_their_costs_are() -> None:
    pair, answers = make_pair(0.5)
    records = [with_readings(record, split) for record in pair]
    result = compare_inference(records, answers, make_inference_study(records))
    assert result.suite is not None
    for arm, cost in zip(result.task_devices, result.suite.arms, strict=True):
        assert_adds_up(arm)
        assert arm.total.gross.value == pytest.approx(cost.figures["energy_per_task"].value, rel=1e-9)
        found, expected = arm.total.gross_per_correct, cost.figures["energy_per_correct"]
        assert found.value == pytest.approx(expected.value, rel=1e-9)
        assert found.interval is not None
        assert expected.interval is not None
        assert found.interval.low == pytest.approx(expected.interval.low, rel=1e-6)
        assert found.interval.high == pytest.approx(expected.interval.high, rel=1e-6)

    runs = [with_readings(make_server_record(arm, seed), split) for arm in ("dense", "moe") for seed in (0, 1, 2)]
    rows = {r.run_id: make_rows(r, dict.fromkeys(KINDS, 48), joules=100 / 128) for r in runs}
    result = compare_inference(runs, rows, make_inference_study(runs))
    assert result.suite is not None
    for arm, cost in zip(result.task_devices, result.suite.arms, strict=True):
        inside = [part.joules.gross.value for part in arm.parts if part.inside]
        assert len(inside) == 2
        assert sum(inside) == pytest.approx(cost.figures["energy_per_task"].value, rel=1e-9)
        assert "share one window" in (arm.total.prefill.reason or "")
