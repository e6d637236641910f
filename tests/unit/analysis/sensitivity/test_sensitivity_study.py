"""Alternatives of a study whose truth is known: each ratio is what arithmetic says, and verdicts follow it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.claims import judge_all, load_claims, verdicts_to_json
from harness.analysis.energy_sum import add_sums, sum_domain
from harness.analysis.match import match_study
from harness.analysis.sensitivity.energy import BOUNDARIES, sum_domains
from harness.analysis.sensitivity.grids import GRIDS, PUES
from harness.analysis.sensitivity.results import Sensitivity, SensitivityRow
from harness.analysis.sensitivity.study import estimate_sensitivity
from harness.analysis.verdicts import ClaimSpec
from harness.core.readings import Domain, EnergyReading
from harness.core.records import RunRecord
from harness.core.store import Store
from harness.core.study import load_study
from tests.unit.analysis.factory import make_records, make_study, reading, swap_path

ROOT = Path(__file__).resolve().parents[4]
FOLDERS = sorted(path.parent for path in (ROOT / "reports").glob("*/study.json"))
ENERGY = ClaimSpec(
    id="energy_less", statement="less", source="toy", metric="training_energy", factor=0.45, kind="energy"
)
FLOPS = ClaimSpec(id="flops_less", statement="less", source="toy", metric="training_flops", factor=0.45, kind="counted")


def analyse(records: Sequence[RunRecord], claims: Sequence[ClaimSpec] = (ENERGY, FLOPS), **changes: Any) -> Sensitivity:
    study = make_study(records, **changes)
    match = match_study(records, study)
    return estimate_sensitivity(records, study, match, judge_all(claims, match))


def find(found: Sensitivity, alternative: str, metric: str = "training_energy") -> SensitivityRow:
    (row,) = [row for row in found.rows if (row.alternative, row.metric) == (alternative, metric)]
    return row


def with_readings(
    records: Sequence[RunRecord], change: Callable[[RunRecord, EnergyReading], tuple[EnergyReading, ...]]
) -> list[RunRecord]:
    """Records whose readings, of the path and of every window, are what `change` makes of each."""
    changed = []
    for record in records:
        assert record.path is not None
        path = dataclasses.replace(record.path, energy=tuple(r for e in record.path.energy for r in change(record, e)))
        windows = tuple(
            dataclasses.replace(window, energy=tuple(r for e in window.energy for r in change(record, e)))
            for window in record.windows
        )
        changed.append(dataclasses.replace(record, path=path, windows=windows))
    return changed


def idle_half_of_sparse(record: RunRecord, energy: EnergyReading) -> tuple[EnergyReading, ...]:
    """Idle power is a fifth of the dense models' energy and half of the sparse ones'."""
    assert energy.energy_j is not None
    share = 0.5 if record.arm == "moe" else 0.8
    return (dataclasses.replace(energy, net_energy_j=share * energy.energy_j),)


@pytest.mark.parametrize(
    ("words", "share"),
    [
        ("gross: nothing subtracted", 0.0),
        ("net of half the measured idle power", 0.5),
        ("net of the measured idle power", 1.0),
    ],
)
def test_idle_energy_is_taken_off_both_arms_in_paths_and_windows(words: str, share: float) -> None:
    found = analyse(with_readings(make_records(2.0), idle_half_of_sparse))
    left = (1 - share * 0.5) / (1 - share * 0.2)
    row = find(found, words)
    assert row.ratio == pytest.approx(0.5 * left)
    assert row.change == pytest.approx(left - 1)
    assert find(found, words, "energy_per_task").ratio == pytest.approx(left)
    assert find(found, words, "energy_per_correct").ratio == pytest.approx(left)


def test_an_alternative_that_crosses_the_claims_limit_changes_its_verdict_and_only_its() -> None:
    found = analyse(with_readings(make_records(2.0), idle_half_of_sparse))
    (claim,) = find(found, "net of the measured idle power").claims
    assert (claim.claim_id, claim.before, claim.after, claim.changes) == (
        "energy_less", "not supported at the tested scale", "supported", "yes",
    )  # fmt: skip
    (claim,) = find(found, "gross: nothing subtracted").claims
    assert claim.changes == "no"
    assert {row.metric for row in found.overturned} == {"training_energy"}
    (claim,) = find(found, "without seed 1", "training_flops").claims
    assert claim.changes == "no"


def test_twice_the_idle_power_may_leave_nothing_and_says_in_how_many_runs() -> None:
    found = analyse(with_readings(make_records(2.0), idle_half_of_sparse))
    row = find(found, "net of twice the measured idle power")
    assert (row.ratio, row.interval, row.change) == (None, None, None)
    assert row.reason is not None
    assert "in 12 of 24 runs no energy above 0 is left" in row.reason
    assert row.claims[0].changes == "not judged"
    assert row.claims[0].after is None


def test_idle_power_that_is_unknown_is_no_zero() -> None:
    found = analyse(with_readings(make_records(2.0), lambda _, e: (dataclasses.replace(e, net_energy_j=None),)))
    assert find(found, "gross: nothing subtracted").ratio == pytest.approx(0.5)
    assert find(found, "net of the measured idle power").ratio is None


def test_more_devices_inside_the_boundary_are_added_up() -> None:
    def with_cpu(record: RunRecord, energy: EnergyReading) -> tuple[EnergyReading, ...]:
        assert energy.energy_j is not None
        cpu = energy.energy_j * (3 if record.arm == "moe" else 1)
        return energy, reading(cpu, "A", "cpu"), reading(energy.energy_j, "C", "dram")

    found = analyse(with_readings(make_records(2.0), with_cpu))
    row = find(found, "accelerators, CPU and DRAM")
    assert row.ratio == pytest.approx(0.5 * 5 / 3)
    assert row.grade == "C", "a sum carries the worst grade of its parts"
    assert row.claims[0].changes == "not judged"
    assert find(found, "accelerators, CPU and DRAM", "energy_per_task").ratio == pytest.approx(5 / 3)
    assert "accelerators alone" not in {row.alternative for row in found.rows}, "that is the study's own"


def test_a_boundary_that_some_run_lacks_has_no_ratio() -> None:
    records = make_records(2.0)
    half = with_readings(records[:12], lambda _, e: (e, reading(1.0, "A", "cpu"), reading(1.0, "A", "dram")))
    row = find(analyse([*half, *records[12:]]), "accelerators, CPU and DRAM")
    assert row.ratio is None


def test_without_an_accelerator_that_boundary_says_so() -> None:
    records = with_readings(
        make_records(2.0), lambda _, e: (reading(e.energy_j, "A", "cpu"), reading(e.energy_j, "A", "dram"))
    )
    found = analyse(records)
    assert find(found, "accelerators alone").reason == "no accelerator was read"
    assert find(found, "CPU alone").ratio == pytest.approx(0.5)


def test_flops_by_parameters_follow_the_parameters_of_the_records() -> None:
    records = []
    for record in make_records(2.0):
        assert record.params is not None
        assert record.path is not None
        active = record.params.active // (4 if record.arm == "moe" else 1)
        params = dataclasses.replace(record.params, active=active)
        records.append(dataclasses.replace(swap_path(record, flops=6e6 * record.path.tokens), params=params))
    found = analyse(records)
    assert find(found, "6 N D, N all active parameters", "training_flops").ratio == pytest.approx(0.125, rel=1e-4)
    formula = find(found, "causal attention (half)", "training_flops")
    assert formula.ratio is None, "the toy records' FLOPs are not what the formula says"
    assert formula.reason is not None


def test_modelled_energy_is_recomputed_but_never_judged() -> None:
    found = analyse(make_records(2.0, grade="C"))
    row = find(found, "gross: nothing subtracted")
    assert (row.grade, row.ratio) == ("C", pytest.approx(0.5))
    assert [(c.before, c.changes) for c in row.claims] == [("not measured", "not judged")]


def test_one_seed_less_leaves_that_seed_out_and_matches_anew() -> None:
    records = make_records(2.0, noise=lambda arm, seed, flops: 0.02 * seed if arm == "moe" else 0.0)
    found = analyse(records)
    rows = [row for row in found.rows if row.group == "one seed less" and row.metric == "training_flops"]
    assert [row.alternative for row in rows] == ["without seed 0", "without seed 1", "without seed 2"]
    assert [row.n for row in rows] == [2, 2, 2]
    ratios = [row.ratio or 0.0 for row in rows]
    assert ratios[0] > (rows[0].headline or 0.0) > ratios[2], "the sparse models do better without their worst seed"


def test_many_seeds_leave_out_the_two_that_pull_farthest() -> None:
    noise = {seed: 0.001 * ((seed * 7) % 13) for seed in range(14)}
    records = make_records(2.0, seeds=range(14), noise=lambda arm, seed, _: noise[seed] if arm == "moe" else 0.0)
    found = analyse(records)
    left_out = {row.alternative for row in found.rows if row.group == "one seed less"}
    assert len(left_out) == 2


def test_grids_and_pues_multiply_joules_and_an_unknown_energy_stays_unknown() -> None:
    found = analyse(make_records(2.0))
    one = next(e for e in found.emissions if (e.quantity, e.arm) == ("one task", "moe"))
    assert one.energy_j == pytest.approx(0.5)
    assert dict(one.joules_at_pue) == {pue: pytest.approx(0.5 * pue) for pue in PUES}
    assert dict(one.grams_at_grid) == {g.id: pytest.approx(0.5 / 3.6e6 * g.g_per_kwh) for g in GRIDS}
    training = {e.arm: e for e in found.emissions if e.quantity == "training to the matched loss"}
    assert (training["moe"].energy_j or 0) / (training["dense"].energy_j or 1) == pytest.approx(0.5)
    blind = analyse(with_readings(make_records(2.0), lambda _, e: (dataclasses.replace(e, energy_j=None),)))
    for row in blind.emissions:
        assert row.energy_j is None
        assert {value for _, value in (*row.joules_at_pue, *row.grams_at_grid)} == {None}
        assert row.reason


def test_the_distance_to_a_claim_is_the_factor_that_moves_its_ratio_to_the_limit() -> None:
    found = analyse(make_records(2.0))
    distance = next(d for d in found.distances if d.claim_id == "flops_less")
    assert distance.factor == pytest.approx(0.45 / 0.5)
    assert distance.verdict == "not supported at the tested scale"


def test_without_a_common_loss_there_is_a_reason_and_no_row() -> None:
    records = [record for record in make_records(2.0) if record.arm == "dense"]
    found = analyse(records)
    assert (found.rows, found.emissions) == ((), ())
    assert found.reason is not None
    assert "moe" in found.reason


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_on_committed_studies_what_changes_nothing_gives_the_headline_itself(folder: Path) -> None:
    records, _ = Store(folder).load_records()
    study = load_study(folder)
    assert study is not None
    match = match_study(records, study)
    verdicts = judge_all(load_claims(study.claims), match)
    found = estimate_sensitivity(records, study, match, verdicts)
    for row in found.rows:
        if row.alternative in ("gross: nothing subtracted", "best common loss"):
            assert row.ratio == row.headline, (row.alternative, row.metric)
    net = next(m.estimate for m in match.headline if m.resource == "net_energy")
    assert find(found, "net of the measured idle power").ratio == pytest.approx(1 / (net or 0))
    counted = [r for r in found.rows if r.group == "FLOP convention" and not r.alternative.startswith("executed")]
    assert all(row.ratio is not None for row in counted), "the formula gives what the records hold"
    json.dumps(verdicts_to_json(verdicts, match, found), allow_nan=False)


_READINGS = st.builds(
    reading,
    st.none() | st.floats(min_value=0, max_value=1e6),
    st.sampled_from("ABCD"),
    st.sampled_from(("gpu", "cpu", "dram", "system")),
    sensor=st.sampled_from(("one", "two")),
    device_index=st.integers(0, 1),
    simulated=st.booleans(),
    reason=st.none() | st.just("lost"),
)


@given(st.lists(_READINGS, max_size=6), st.sampled_from([domains for domains, _ in BOUNDARIES]))
def test_other_boundaries_are_the_sums_of_their_domains(
    readings: list[EnergyReading], domains: tuple[Domain, ...]
) -> None:
    found = sum_domains(domains)(readings)
    whole = add_sums([sum_domain(readings, domain) for domain in domains])
    missing = [domain for domain in domains if all(r.domain != domain for r in readings)]
    assert (found.grade, found.simulated) == (whole.grade or "D", whole.simulated)
    if missing:
        assert (found.energy_j, found.reason) == (None, f"no reading of {' and '.join(missing)}")
    else:
        assert found.reason == whole.reason
        assert found.energy_j == pytest.approx(whole.energy_j)
        assert found.net_energy_j == pytest.approx(whole.net_energy_j)
