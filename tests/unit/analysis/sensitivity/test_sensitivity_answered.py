"""Alternatives of a study of models that answered as they are: each ratio is what arithmetic says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from harness.analysis.claims.inference import judge_inference
from harness.analysis.inference.compare import compare_inference
from harness.analysis.inference.ratios import NO_RATIO
from harness.analysis.inference.summary import inference_verdicts_to_json
from harness.analysis.sensitivity.answered import estimate_answered
from harness.analysis.sensitivity.energy import NO_GPU, NO_IDLE
from harness.analysis.sensitivity.results import Sensitivity, SensitivityRow
from harness.analysis.verdicts import ClaimSpec, Selectors
from harness.core.readings import EnergyReading
from harness.core.records import RunRecord
from tests.unit.analysis.factory import reading
from tests.unit.analysis.inference.factory import make_inference_study, make_pair, make_server_record

CLAIM = ClaimSpec(
    id="half",
    statement="Half.",
    source="toy",
    metric="energy_per_task",
    factor=0.55,
    kind="energy",
    selectors=Selectors(matched_by="accuracy"),
)


def analyse(
    records: list[RunRecord], answers: dict, claims: Sequence[ClaimSpec] = (CLAIM,), **changes: Any
) -> Sensitivity:
    study = make_inference_study(records, **changes)
    result = compare_inference(records, answers, study)
    return estimate_answered(records, answers, study, result, judge_inference(claims, result))


def find(found: Sensitivity, alternative: str, metric: str = "energy_per_task") -> SensitivityRow:
    (row,) = [row for row in found.rows if (row.alternative, row.metric) == (alternative, metric)]
    return row


def with_readings(
    records: Sequence[RunRecord], change: Callable[[RunRecord, EnergyReading], tuple[EnergyReading, ...]]
) -> list[RunRecord]:
    return [
        dataclasses.replace(
            record,
            windows=tuple(
                dataclasses.replace(window, energy=tuple(r for e in window.energy for r in change(record, e)))
                for window in record.windows
            ),
        )
        for record in records
    ]


def even(_arm: str, number: int) -> float:
    """Repetitions differ, and both arms alike."""
    return 1 + 0.01 * (number % 7)


def idle_of(record: RunRecord, one: EnergyReading) -> tuple[EnergyReading, ...]:
    """The baseline idles a tenth of its joules, the candidate four tenths."""
    share = 0.4 if record.arm == "moe" else 0.1
    return (dataclasses.replace(one, net_energy_j=(1 - share) * (one.energy_j or 0.0)),)


def test_gross_is_the_headline_and_idle_is_taken_off_as_arithmetic_says() -> None:
    records, answers = make_pair(0.5, noise=even)
    found = analyse(with_readings(records, idle_of), answers)
    gross = find(found, "gross: nothing subtracted")
    assert gross.ratio == gross.headline == pytest.approx(0.5)
    assert gross.change == 0
    for share, words in ((0.5, "net of half the measured idle power"), (1.0, "net of the measured idle power")):
        row = find(found, words)
        assert row.ratio == pytest.approx(0.5 * (1 - 0.4 * share) / (1 - 0.1 * share))
        assert row.interval is not None
        per_correct = find(found, words, "energy_per_correct")
        assert per_correct.ratio == pytest.approx(row.ratio)
    (claim,) = gross.claims
    assert (claim.before, claim.after, claim.changes) == ("supported", "supported", "no")


def test_a_verdict_that_rests_on_idle_power_turns() -> None:
    def only_baseline(record: RunRecord, one: EnergyReading) -> tuple[EnergyReading, ...]:
        kept = 1.0 if record.arm == "moe" else 0.8
        return (dataclasses.replace(one, net_energy_j=kept * (one.energy_j or 0.0)),)

    records, answers = make_pair(0.5, noise=even)
    found = analyse(with_readings(records, only_baseline), answers)
    row = find(found, "net of the measured idle power")
    assert row.ratio == pytest.approx(0.5 / 0.8)
    assert row.claims[0].changes == "yes"
    assert row in found.overturned


def test_unknown_idle_says_so_and_changes_no_verdict() -> None:
    records, answers = make_pair(0.5)
    unknown = with_readings(records, lambda _, one: (dataclasses.replace(one, net_energy_j=None),))
    row = find(analyse(unknown, answers), "net of the measured idle power")
    assert (row.ratio, row.reason) == (None, NO_IDLE)
    assert [claim.changes for claim in row.claims] == ["not judged"]


def test_other_devices_inside_the_boundary() -> None:
    def beside(record: RunRecord, one: EnergyReading) -> tuple[EnergyReading, ...]:
        joules = (1.0 if record.arm == "moe" else 0.5) * (one.energy_j or 0.0)
        return (one, reading(joules, domain="cpu", device="chip"), reading(0.0, domain="dram", device="memory"))

    records, answers = make_pair(0.5, noise=even)
    cards = with_readings(records, lambda _, one: (dataclasses.replace(one, domain="gpu"),))
    found = analyse(with_readings(cards, beside), answers)
    assert find(found, "accelerators, CPU and DRAM").ratio == pytest.approx(0.5 * 2 / 1.5)
    words = {row.alternative for row in found.rows if row.group == "energy boundary"}
    assert words == {"accelerators, CPU and DRAM"}
    chips = with_readings(records, lambda _, one: (dataclasses.replace(one, domain="cpu"),))
    assert find(analyse(chips, answers), "accelerators alone").reason == NO_GPU


def test_without_one_repeat() -> None:
    records, answers = make_pair(0.5, noise=even)
    found = analyse(records, answers)
    rows = [row for row in found.rows if row.group == "one repeat less" and row.metric == "energy_per_task"]
    assert [(row.alternative, row.n) for row in rows] == [(f"without repeat {seed}", 2) for seed in (0, 1, 2)]
    assert all(row.ratio == pytest.approx(0.5) for row in rows)
    assert all(claim.after is not None for row in rows for claim in row.claims)
    many, told = make_pair(0.5, seeds=range(15))
    assert len([row for row in analyse(many, told).rows if row.group == "one repeat less"]) == 4


@pytest.mark.parametrize("num_repeats", [1, 2])
def test_few_repeats_leave_nothing_out_that_is_needed(num_repeats: int) -> None:
    records, answers = make_pair(0.5, seeds=range(num_repeats), noise=even)
    found = analyse(records, answers)
    less = [row for row in found.rows if row.group == "one repeat less" and row.metric == "energy_per_task"]
    assert len(less) == (0 if num_repeats == 1 else 2)
    assert all((row.ratio, row.reason) == (None, NO_RATIO) for row in less)
    assert all((claim.changes == "not judged") == (row.ratio is None) for row in found.rows for claim in row.claims)
    assert (find(found, "gross: nothing subtracted").ratio is None) == (num_repeats == 1)


def test_joules_behind_a_meter_and_grams() -> None:
    records, answers = make_pair(0.5, noise=lambda arm, number: 1.0)
    found = analyse(records, answers)
    task = next(row for row in found.emissions if (row.quantity, row.arm) == ("one task", "dense"))
    assert task.energy_j == pytest.approx(1.5)
    assert dict(task.joules_at_pue)[1.58] == pytest.approx(1.58 * 1.5)
    assert dict(task.grams_at_grid)["world"] == pytest.approx(1.5 / 3.6e6 * 481.0)
    correct = next(row for row in found.emissions if (row.quantity, row.arm) == ("one correct answer", "moe"))
    assert correct.energy_j == pytest.approx(1.0)


def test_a_claim_per_token_is_varied_too_and_nothing_to_compare_says_why() -> None:
    records, answers = make_pair(0.5)
    claim = dataclasses.replace(CLAIM, metric="energy_per_token")
    assert find(analyse(records, answers, (claim,)), "gross: nothing subtracted", "energy_per_token").ratio is not None
    alone = [record for record in records if record.arm == "dense"]
    found = analyse(alone, answers)
    assert found.rows == found.emissions == ()
    assert found.reason is not None


def test_a_server_is_varied_too_and_all_of_it_is_plain_json() -> None:
    records = [make_server_record(arm, seed) for arm in ("dense", "moe") for seed in (0, 1, 2)]
    study = make_inference_study(records)
    result = compare_inference(records, {}, study)
    verdicts = judge_inference([CLAIM], result)
    found = estimate_answered(records, {}, study, result, verdicts)
    content = inference_verdicts_to_json(verdicts, result, found)
    assert json.loads(json.dumps(content, allow_nan=False))["sensitivity"]["grids"]
    assert "sensitivity" not in inference_verdicts_to_json(verdicts, result)
