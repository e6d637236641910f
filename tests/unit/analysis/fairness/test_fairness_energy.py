"""Joules are compared under one power limit, within one boundary, from windows whose edges leave little open."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from harness.analysis.claims import judge
from harness.analysis.fairness.energy import check_boundary, check_edges, check_energy, check_power_limit
from harness.analysis.match import match_study
from harness.analysis.multipliers import Pair, build_pair
from harness.analysis.points import build_points
from harness.analysis.verdicts import ClaimSpec
from harness.core.readings import Finding
from harness.core.records import RunRecord
from tests.unit.analysis.factory import make_records, make_study, reading, swap_path

RECORDS = make_records(2.0)
PAIR: Pair = build_pair(build_points(RECORDS)[0], "dense", "moe")


def limited(record: RunRecord, limit_w: float | None) -> RunRecord:
    return dataclasses.replace(
        record, sensors=tuple(dataclasses.replace(sensor, power_limit_w=limit_w) for sensor in record.sensors)
    )


def opened(record: RunRecord, share: float | None) -> RunRecord:
    assert record.path is not None
    changed = tuple(
        dataclasses.replace(r, uncertainty_j=None if share is None else share * (r.energy_j or 0.0))
        for r in record.path.energy
    )
    return swap_path(record, energy=changed)


def test_all_of_them_concern_energy_alone() -> None:
    assert all(check.energy_only for check in check_energy(RECORDS, PAIR))


def test_one_limit_passes_and_says_whose_clocks_were_held_down() -> None:
    held = Finding(code="throttled", severity="info", text="clocks were held down by sw_power_cap")
    records = [dataclasses.replace(RECORDS[0], findings=(held,)), *RECORDS[1:]]
    check = check_power_limit(records, PAIR)
    assert check.outcome == "pass"
    assert "gpu 0 300 W" in check.text
    assert "1 of 12 dense runs and 0 of 12 moe runs" in check.text


def test_another_limit_fails_by_name_and_a_rounding_does_not() -> None:
    other = limited(RECORDS[0], 250.0)
    check = check_power_limit([other, *RECORDS[1:]], PAIR)
    assert check.outcome == "fail"
    assert other.run_id in check.text
    assert check_power_limit([limited(RECORDS[0], 300.9), *RECORDS[1:]], PAIR).outcome == "pass"


def test_limits_that_no_sensor_names_are_unknown() -> None:
    assert check_power_limit([limited(record, None) for record in RECORDS], PAIR).outcome == "unknown"
    assert check_power_limit([limited(RECORDS[0], None), *RECORDS[1:]], PAIR).outcome == "unknown"
    second = dataclasses.replace(RECORDS[0].sensors[0], device_index=1)
    more = dataclasses.replace(RECORDS[0], sensors=(*RECORDS[0].sensors, second))
    assert check_power_limit([more, *RECORDS[1:]], PAIR).outcome == "unknown", "a card that others do not name"


def test_one_boundary_passes_and_is_declared() -> None:
    check = check_boundary(RECORDS)
    assert check.outcome == "pass"
    assert check.text == "accelerators alone: gpu 0 by nvml (counter)"


@pytest.mark.parametrize("changes", [{"domain": "cpu"}, {"device_index": 1}, {"sensor": "external"}])
def test_another_device_or_sensor_fails(changes: dict[str, Any]) -> None:
    check = check_boundary([swap_path(RECORDS[0], energy=(reading(1.0, **changes),)), *RECORDS[1:]])
    assert check.outcome == "fail"


def test_answers_read_by_another_device_than_training_fail() -> None:
    windows = [
        dataclasses.replace(w, energy=(reading(1.0, domain="cpu"),)) if w.phase == "decode" else w
        for w in RECORDS[0].windows
    ]
    assert check_boundary([dataclasses.replace(RECORDS[0], windows=tuple(windows)), *RECORDS[1:]]).outcome == "fail"


def test_a_run_without_energy_leaves_the_boundary_unknown() -> None:
    assert check_boundary([*RECORDS[1:], swap_path(RECORDS[0], energy=())]).outcome == "unknown"


@pytest.mark.parametrize(
    ("share", "outcome", "blocking"),
    [(0.001, "pass", False), (0.01, "pass", False), (0.03, "fail", False), (0.06, "fail", True)],
)
def test_open_edges_are_disclosed_and_block_only_where_they_are_wide(
    share: float, outcome: str, blocking: bool
) -> None:
    record = opened(RECORDS[0], share)
    check = check_edges([record, *RECORDS[1:]])
    assert (check.outcome, check.blocking) == (outcome, blocking)
    assert record.run_id in check.text


def test_edges_that_no_sensor_describes_are_unknown() -> None:
    assert check_edges([opened(record, None) for record in RECORDS]).outcome == "unknown"
    check = check_edges([opened(RECORDS[0], None), *RECORDS[1:]])
    assert check.outcome == "unknown"
    assert f"known in {len(RECORDS) - 1} of {len(RECORDS)} runs" in check.text


def test_another_power_limit_blocks_a_claim_about_energy_and_none_about_flops() -> None:
    records = [limited(RECORDS[0], 250.0), *RECORDS[1:]]
    match = match_study(records, make_study(records))
    values = {"statement": "x", "source": "x", "factor": 0.9}
    energy = judge(ClaimSpec(id="e", metric="training_energy", kind="energy", **values), match)
    counted = judge(ClaimSpec(id="c", metric="training_flops", kind="counted", **values), match)
    assert (energy.verdict, energy.blocking) == ("inconclusive", ("same_power_limit",))
    assert counted.verdict == "supported"
