"""GPU watt-hours per 1,000 queries: from batch 1 and GPUs alone, with the conditions that were not met."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.core.readings import EnergyReading
from harness.exports.formats import export_store
from tests.unit.exports.factory import make_record, modelled, quality, reading, regime, window, write_store


def score(tmp_path: Path, *energy: EnergyReading, batch: int = 1) -> dict[str, Any]:
    record = make_record(
        windows=(
            window("prefill", energy, regime=regime(batch), tasks=10),
            window("decode", energy, regime=regime(batch), tasks=5),
        ),
        qualities=(quality("arithmetic", 0.5, n=64),),
    )
    store = write_store(tmp_path / "store", record)
    export_store(store, "ai_energy_score", tmp_path / "score.json")
    (result,) = json.loads((tmp_path / "score.json").read_text())["results"]
    return dict(result)


def test_the_unit_is_gpu_watt_hours_of_a_thousand_tasks(tmp_path: Path) -> None:
    result = score(tmp_path, reading(36.0), modelled(99.0))
    assert result["gpu_wh_per_1000_queries"] == pytest.approx((36 / 10 + 36 / 5) * 1000 / 3600)
    assert (result["energy_kind"], result["energy_grade"], result["reason"]) == ("measured", "A", None)


def test_energy_of_a_cpu_is_no_gpu_energy(tmp_path: Path) -> None:
    result = score(tmp_path, reading(36.0, "cpu", sensor="rapl"))
    assert result["gpu_wh_per_1000_queries"] is None
    assert result["reason"] == "no GPU energy was measured; energy of a CPU is not GPU energy"


def test_other_batches_give_no_score_and_say_which_were_measured(tmp_path: Path) -> None:
    result = score(tmp_path, reading(36.0), batch=8)
    assert result["gpu_wh_per_1000_queries"] is None
    assert result["reason"] == "no window of batch 1 was measured (batch: 8)"


@pytest.mark.parametrize("made_up", [reading(36.0, simulated=True), reading(36.0, grade="C", sensor="codecarbon")])
def test_gpu_energy_that_was_not_measured_gives_no_score(tmp_path: Path, made_up: EnergyReading) -> None:
    result = score(tmp_path, made_up)
    assert result["gpu_wh_per_1000_queries"] is None
    assert "not measured" in result["reason"]


def test_the_conditions_say_what_was_met_and_what_was_found(tmp_path: Path) -> None:
    conditions = {entry["condition"]: entry for entry in score(tmp_path, reading(36.0))["conditions"]}
    assert conditions["batch size 1"]["met"] is True
    assert conditions["one NVIDIA H100"]["met"] is True
    assert conditions["the score's own dataset of the task"]["met"] is False
    assert conditions["1,000 different queries"] == {
        "condition": "1,000 different queries",
        "met": False,
        "found": "64 examples",
    }
    assert conditions["10 warm-up queries"]["met"] is None


def test_a_store_without_inference_says_so(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", make_record())
    exported = export_store(store, "ai_energy_score", tmp_path / "score.json")
    assert exported.notes == ("no run has inference windows, so there is no score in the file.",)
