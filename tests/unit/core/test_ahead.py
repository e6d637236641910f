"""What is worked out while records are read is what would be worked out of them afterwards."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.core.ahead import Ahead
from harness.core.records import RunRecord
from tests.unit.analysis.factory import make_records


def name_all(records: Sequence[RunRecord]) -> list[str]:
    return [record.run_id for record in records]


@pytest.mark.parametrize("stride", [1, 2, 5, 100])
def test_strides_follow_the_order_of_the_records(stride: int) -> None:
    records = make_records()
    ahead = Ahead(name_all, stride)
    for record in records:
        ahead.see(record)
    found = ahead.results()
    assert [name for names in found for name in names] == name_all(records)
    assert all(len(names) == stride for names in found[:-1])


def test_nothing_seen_gives_no_result() -> None:
    ahead = Ahead(name_all)
    ahead.close()
    assert ahead.results() == []
