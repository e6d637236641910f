"""What is kept of a record: for that record and those arguments, until the block ends, and never for another one."""

from __future__ import annotations

import dataclasses

from harness.analysis.once import measure_once, once
from harness.core.records import RunRecord
from tests.unit.analysis.factory import make_record

CALLS: list[tuple[str, int]] = []


@once
def count(record: RunRecord, number: int = 0) -> list[int]:
    CALLS.append((record.run_id, number))
    return [record.seed, number]


def test_a_record_is_asked_once_for_each_argument_inside_a_block() -> None:
    CALLS.clear()
    record = make_record()
    with measure_once():
        assert count(record) is count(record)
        assert count(record, 1) == [record.seed, 1]
        assert count(record) == [record.seed, 0]
    assert [(record.run_id, 0), (record.run_id, 1)] == CALLS


def test_nothing_is_kept_outside_a_block_or_beyond_it() -> None:
    CALLS.clear()
    record = make_record()
    assert count(record) is not count(record)
    with measure_once():
        count(record)
    with measure_once():
        count(record)
    assert len(CALLS) == 4


def test_an_equal_record_is_another_one_and_no_dead_one_lends_its_place() -> None:
    with measure_once():
        for seed in range(200):  # without the record beside its result a freed one's identity would come again
            assert count(dataclasses.replace(make_record(), seed=seed))[0] == seed
