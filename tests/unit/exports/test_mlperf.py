"""The fields of MLPerf's energy schema: its names, its rules, and null with a reason where it has no room."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from harness.core.inference import Percentiles, ServingStats
from harness.core.records import RunRecord
from harness.exports.formats import export_store
from harness.exports.inference import group_windows
from harness.exports.mlperf import REQUIRED, describe_group
from tests.unit.exports.factory import make_record, modelled, reading, regime, window, write_store


def measured(*more: Any) -> RunRecord:
    return make_record(
        windows=(
            window("warmup", (), duration_s=7.0),
            window("prefill", (reading(200.0), modelled()), regime=regime(), tasks=10, tokens_out=10),
            window("decode", (reading(600.0), modelled()), regime=regime(), tasks=5, tokens_out=55),
            *more,
        )
    )


def describe(record: RunRecord) -> dict[str, Any]:
    (group,) = group_windows(record)
    return describe_group(record, group)


def test_a_measured_gpu_fills_every_required_field() -> None:
    result = describe(measured())
    assert result["missing_required"] == []
    assert result["reasons"] == {}
    fields = result["energy"]
    assert fields["total_energy_joules"] == 800.0
    assert fields["prefill_energy_joules"] == 200.0
    assert fields["generation_energy_joules"] == 600.0
    assert fields["inference_active_power_watts"] == {"mean": 200.0, "peak": 350.0}
    assert fields["static_power_baseline_watts"] == 50.0
    assert fields["measurement_method"] == "nvml"
    assert fields["sampling_rate_hz"] == 10.0
    assert fields["thermal_stabilization_seconds"] == 7.0
    assert (fields["scenario"], fields["accelerator_count"], fields["batch_size"]) == ("singlestream", 1, 1)
    assert fields["software_runtime_versions"] == {"python": "3.12.1", "torch": "2.13"}


def test_energy_per_token_follows_from_generation_and_count_as_rule_7_asks() -> None:
    fields = describe(measured())["energy"]
    assert fields["energy_per_token_joules"] == {"mean": 600.0 / 55}
    assert fields["output_token_count"] == 55


def test_several_windows_give_a_deviation() -> None:
    again = window("decode", (reading(700.0),), regime=regime(), tasks=5, tokens_out=50, repetition=1)
    stats = describe(measured(again))["energy"]["energy_per_token_joules"]
    assert stats["mean"] == 1300.0 / 105
    assert stats["std"] > 0


def test_several_gpus_are_added_and_have_no_peak_of_their_sum() -> None:
    pair = (reading(100.0), reading(300.0, index=1))
    record = make_record(
        windows=(
            window("prefill", pair, regime=regime(), tokens_out=10),
            window("decode", pair, regime=regime(), tokens_out=110),
        )
    )
    fields = describe(record)["energy"]
    assert (fields["accelerator_count"], fields["total_energy_joules"]) == (2, 800.0)
    assert fields["static_power_baseline_watts"] == 100.0
    assert "peak" not in fields["inference_active_power_watts"]


def test_the_sampling_rate_is_that_of_the_device_that_was_read_least() -> None:
    pair = (reading(100.0), dataclasses.replace(reading(300.0, index=1), num_samples=4))
    windows = (window("prefill", pair, regime=regime()), window("decode", pair, regime=regime(), tokens_out=110))
    assert describe(make_record(windows=windows))["energy"]["sampling_rate_hz"] == 8 / 4


def test_modelled_energy_never_fills_a_field_of_measurements() -> None:
    record = make_record(
        windows=(
            window("prefill", (modelled(30.0),), regime=regime(32), tokens_out=10),
            window("decode", (modelled(50.0),), regime=regime(32), tokens_out=110),
        )
    )
    result = describe(record)
    for name in (
        "total_energy_joules",
        "energy_per_token_joules",
        "inference_active_power_watts",
        "measurement_method",
    ):
        assert result["energy"][name] is None
        assert "modelled" in result["reasons"][name]
    assert result["modelled_energy_joules"] == 80.0
    assert result["reasons"]["accelerator_count"] == "no accelerator was measured"
    assert result["reasons"]["thermal_stabilization_seconds"] == "no warm-up window was recorded"
    assert result["energy"]["scenario"] == "offline"


def test_simulated_energy_fills_no_field_either() -> None:
    made_up = (reading(100.0, simulated=True),)
    record = make_record(
        windows=(window("prefill", made_up, regime=regime()), window("decode", made_up, regime=regime()))
    )
    result = describe(record)
    assert result["energy"]["total_energy_joules"] is None
    assert result["modelled_energy_joules"] is None
    assert result["energy_kind"] == "simulated"


def test_every_null_has_a_reason_and_no_value_has_one() -> None:
    lost = reading(None, idle_w=None, reason="the counter stood still")
    for record in (
        measured(),
        make_record(windows=(window("serve", (reading(10.0, idle_w=None),), tokens_out=0),)),
        make_record(windows=(window("prefill", (lost,), regime=regime()), window("decode", (lost,), regime=regime()))),
        make_record(windows=(window("prefill", (), regime=regime()),)),
    ):
        result = describe(record)
        nulls = {name for name, value in result["energy"].items() if value is None}
        assert set(result["reasons"]) == nulls
        assert all(result["reasons"].values())
        assert nulls & set(REQUIRED) == set(result["missing_required"])


def test_a_server_under_open_load_is_the_server_scenario() -> None:
    nothing = Percentiles(n=0, mean=None, p50=None, p90=None, p95=None, p99=None, maximum=None)
    source = "usage"
    serving = ServingStats(
        server_model="m", api="chat", concurrency=None, request_rate_per_s=4.0, burstiness=1.0, num_sent=10,
        num_answered=10, num_failed=0, num_retries=0, failures={}, duration_s=2.0, num_input_tokens=1,
        num_output_tokens=1, token_source=source, ttft_s=nothing, itl_s=nothing, tpot_s=nothing, e2e_s=nothing,
        requests_per_s=5.0, output_tokens_per_s=1.0,
    )  # fmt: skip
    record = dataclasses.replace(
        make_record(windows=(window("serve", (reading(10.0),), tokens_out=9),)), serving=serving
    )
    assert describe(record)["energy"]["scenario"] == "server"
    closed = dataclasses.replace(serving, request_rate_per_s=None, concurrency=8)
    assert describe(dataclasses.replace(record, serving=closed))["energy"]["scenario"] is None


def test_the_file_is_sorted_and_the_same_twice(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", measured())
    for name in ("a.json", "b.json"):
        assert export_store(store, "mlperf", tmp_path / name).notes == ()
    text = (tmp_path / "a.json").read_text()
    assert text == (tmp_path / "b.json").read_text()
    assert text == json.dumps(json.loads(text), indent=1, sort_keys=True) + "\n"


def test_the_warm_up_of_training_is_none_of_the_answers() -> None:
    trained = dataclasses.replace(make_record(path_energy=(reading(9.0),)), windows=measured().windows)
    result = describe(trained)
    assert result["energy"]["thermal_stabilization_seconds"] is None
    assert "training" in result["reasons"]["thermal_stabilization_seconds"]


def test_a_run_that_failed_says_so() -> None:
    assert describe(measured())["status"] == "finished"
    assert describe(dataclasses.replace(measured(), status="failed", error="gone"))["status"] == "failed"
