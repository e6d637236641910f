"""What a page needs of each record on its own, worked out while other records are still read."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from harness.analysis.roofline.observe import Observed, observe
from harness.core.ahead import STRIDE, Ahead
from harness.core.records import RunRecord
from harness.report.page.privacy import is_clean, scrub_inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRecords:
    """Some records that follow each other: how many, their windows by the step, and whether no text must change."""

    num_records: int
    observed: Observed
    is_clean: bool


def look_ahead(*, with_paths: bool = False, stride: int = STRIDE) -> Ahead[SeenRecords]:
    """Return what takes records while they are read, for a page with or without paths of the machine."""
    return Ahead(functools.partial(_look, with_paths), stride)


def scrub_records(
    records: Sequence[RunRecord], seen: Sequence[SeenRecords], *, with_paths: bool = False
) -> tuple[RunRecord, ...]:
    """Return `records`, which are those that were `seen`, as `scrub_inputs` does."""
    begin, parts = 0, list[Sequence[RunRecord]]()
    for part in seen:
        own = records[begin : begin + part.num_records]
        parts.append(own if part.is_clean else scrub_inputs(own, with_paths=with_paths))
        begin += part.num_records
    return tuple(chain(*parts))


def _look(with_paths: bool, records: Sequence[RunRecord]) -> SeenRecords:
    return SeenRecords(
        num_records=len(records), observed=observe(records), is_clean=is_clean(records, with_paths=with_paths)
    )
