"""Records: whole or not there, unknown is null, NaN is refused, newer schemas are named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.config import RunConfig, config_from_dict, config_to_dict, validate_run
from harness.core.errors import ConfigError, RecordError, did_you_mean
from harness.core.model_config import MoEConfig
from harness.core.readings import EnergyReading, worst_grade
from harness.core.records import SCHEMA_VERSION, RunRecord, WindowRecord, record_from_json, record_to_json
from harness.core.registry import Registry
from harness.core.run_id import hash_config, make_run_id
from harness.core.store import Store
from harness.core.strict import MAX_FLOAT
from harness.core.study import MatchRule, StudyInfo, load_study, save_study
from harness.core.units import format_digits, format_duration, format_si

RECORD = RunRecord(
    schema_version=SCHEMA_VERSION, run_id="study-dense-s-1M-s0-0123abcd", study="study", role="single", arm="dense",
    size="s", seed=0, status="finished", started_utc="2026-01-01T00:00:00+00:00", config={}, config_hash="0123abcd",
)  # fmt: skip


def _with_energy(energy_j: float | None) -> RunRecord:
    reading = EnergyReading(
        sensor="nvml", domain="gpu", device="x", device_index=0, energy_j=energy_j, grade="A", method="counter",
        reason=None if energy_j is not None else "lost",
    )  # fmt: skip
    window = WindowRecord(
        phase="pretrain", repetition=0, begin_s=0.0, duration_s=1.0, synced=True, work=None, energy=(reading,)
    )
    return dataclasses.replace(RECORD, windows=(window,))


@given(st.one_of(st.none(), st.floats(-MAX_FLOAT, MAX_FLOAT)))
def test_a_record_survives_the_disk(energy_j: float | None) -> None:
    record = _with_energy(energy_j)
    assert record_from_json(record_to_json(record), "x") == record


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1.1 * MAX_FLOAT])
def test_nan_and_numbers_out_of_all_bounds_are_refused_not_turned_to_null(bad: float) -> None:
    with pytest.raises(RecordError, match="cannot be written"):
        record_to_json(_with_energy(bad))


def test_unreadable_records_are_named_and_the_others_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_record(RECORD)
    folder = tmp_path / "records"
    (folder / "cut.json").write_text(record_to_json(RECORD)[:100])
    (folder / "newer.json").write_text(json.dumps(json.loads(record_to_json(RECORD)) | {"schema_version": 99}))
    (folder / "other.json").write_text('{"a": 1}')
    records, unreadable = store.load_records()
    assert records == [RECORD]
    assert [line.split()[0] for line in unreadable] == ["cut.json", "newer.json", "other.json"]
    assert "newer isojoule" in unreadable[1]


def test_only_a_readable_finished_record_counts_as_finished(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert not store.is_finished(RECORD.run_id)
    store.write_record(dataclasses.replace(RECORD, status="failed", error="x"))
    assert not store.is_finished(RECORD.run_id)
    store.write_record(RECORD)
    assert store.is_finished(RECORD.run_id)
    store.record_path(RECORD.run_id).write_text("{")
    assert not store.is_finished(RECORD.run_id)


def test_writing_leaves_no_temporary_file_and_removes_the_start_marker(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.marker_path(RECORD.run_id).parent.mkdir(parents=True)
    store.marker_path(RECORD.run_id).write_text("{}")
    store.write_record(RECORD)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{RECORD.run_id}.json"]


def test_study_survives_the_disk_and_a_broken_one_is_named(tmp_path: Path) -> None:
    info = StudyInfo(
        study="s", title="t", command="c", baseline_arm="dense", candidate_arm="moe", match=MatchRule(), order_seed=1,
        runs=(), claims=(),
    )  # fmt: skip
    assert load_study(tmp_path) is None
    save_study(tmp_path, info)
    assert load_study(tmp_path) == info
    (tmp_path / "study.json").write_text("[]")
    with pytest.raises(RecordError, match="study"):
        load_study(tmp_path)


def test_identity_follows_what_decides_the_numbers_and_nothing_else() -> None:
    config = RunConfig(model=MoEConfig())
    base = hash_config(config, "data", 1)
    assert hash_config(config_from_dict(config_to_dict(config)), "data", 1) == base
    assert hash_config(dataclasses.replace(config, plan_position=[1, 2, 3]), "data", 1) == base
    assert hash_config(dataclasses.replace(config, seed=1), "data", 1) != base
    assert hash_config(config, "other data", 1) != base
    assert hash_config(config, "data", 2) != base
    assert make_run_id(config, base) == f"adhoc-dense-s-1M-s0-{base[:8]}"


def test_a_field_that_came_later_leaves_an_id_as_it_was_until_it_is_used() -> None:
    """Both hashes were computed before there was any such field."""
    config = RunConfig()
    assert hash_config(config, "data", 1).startswith("ca758551c40e827a")
    assert hash_config(RunConfig(model=MoEConfig(mtp_depth=1)), "data", 1).startswith("bbb261726a04a2dd")
    used = (
        dataclasses.replace(config, save_model=True),
        dataclasses.replace(config, train=dataclasses.replace(config.train, micro_batch_size=4)),
        dataclasses.replace(config, model=dataclasses.replace(config.model, mtp_normed=True)),
    )
    assert len({hash_config(changed, "data", 1) for changed in (config, *used)}) == 4


def test_validation_names_the_field_and_the_remedy() -> None:
    config = RunConfig(model=MoEConfig(top_k=20))
    with pytest.raises(ConfigError, match=r"model.top_k 20 must be between 1 and model.num_experts 16"):
        validate_run(config)
    with pytest.raises(ConfigError, match="leaves no expert layer"):
        validate_run(RunConfig(model=MoEConfig(num_layers=2, num_dense_layers=2)))


def test_registry_suggests_the_nearest_name() -> None:
    registry = Registry("router", {"deepseek_v3": "harness.models.router:DeepSeekV3Router"})
    assert registry.get("deepseek_v3").__name__ == "DeepSeekV3Router"
    with pytest.raises(ConfigError, match=r"unknown router 'deepseek'.*Did you mean 'deepseek_v3'"):
        registry.get("deepseek")
    assert did_you_mean("zzz", ["abc"]) == ""


def test_a_sum_carries_the_worst_grade() -> None:
    assert worst_grade("A", "C", "B") == "C"


def test_numbers_read_well() -> None:
    assert format_si(1.23456e12, "FLOP") == "1.23 TFLOP"
    assert format_si(None, "J") == "unknown"
    assert format_si(0.0021, "J") == "2.10 mJ"
    assert format_digits(0.000012345) == "1.23e-05"
    assert format_duration(3720) == "1 h 02 min"
    assert format_duration(7199) == "2 h 00 min"
    assert format_duration(190) == "3 min 10 s"
