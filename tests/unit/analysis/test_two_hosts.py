"""Records of two hosts in one store: what differs between them is named, and nothing is pooled."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from harness.analysis.match import match_study
from harness.core.errors import RecordError
from harness.core.records import RunRecord
from tests.unit.analysis.factory import make_records


def _on_host(record: RunRecord, **place: Any) -> RunRecord:
    assert record.environment is not None
    return dataclasses.replace(record, environment=dataclasses.replace(record.environment, **place))


@pytest.mark.parametrize(
    ("key", "value"),
    [("device_name", "another card"), ("device", "cpu"), ("num_threads", 8)],
)
def test_a_study_whose_runs_came_from_two_kinds_of_host_is_not_pooled(key: str, value: Any) -> None:
    records = make_records()
    mixed = [_on_host(record, **{key: value}) if place % 2 else record for place, record in enumerate(records)]
    with pytest.raises(RecordError, match=rf"differ in environment\.{key} are not pooled"):
        match_study(mixed, None)


def test_runs_on_cpus_of_one_name_and_other_instructions_are_not_pooled() -> None:
    """They round differently; beside a card the CPU computes nothing that counts, and old records do not say."""
    records = [_on_host(record, device="cpu", cpu_capability="AVX2") for record in make_records()]
    mixed = [_on_host(r, cpu_capability="AVX512") if i % 2 else r for i, r in enumerate(records)]
    with pytest.raises(RecordError, match=r"differ in environment\.cpu_capability are not pooled"):
        match_study(mixed, None)
    for other in ({"device": "cuda"}, {"cpu_capability": None}):
        assert match_study(
            [_on_host(r, **other) if i % 2 or "device" in other else r for i, r in enumerate(mixed)], None
        )


def test_two_hosts_of_one_kind_are_one_study() -> None:
    """Another machine with the same card: its operating system and memory are no reason to refuse."""
    records = make_records()
    mixed = [_on_host(record, os="other", memory_bytes=2) if i % 2 else record for i, record in enumerate(records)]
    assert match_study(mixed, None).headline
