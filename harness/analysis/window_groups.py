"""The windows of a record by phase and regime, gone through once."""

from __future__ import annotations

from collections.abc import Mapping

from harness.analysis.once import once
from harness.core.inference import Regime
from harness.core.records import RunRecord, WindowRecord

WindowGroups = Mapping[tuple[str, Regime | None], list[WindowRecord]]


@once
def group_windows(record: RunRecord) -> WindowGroups:
    """Return the windows of each phase and regime (``None``: of no regime), groups and windows in their order."""
    groups: dict[tuple[str, Regime | None], list[WindowRecord]] = {}
    for window in record.windows:
        groups.setdefault((window.phase, window.regime), []).append(window)
    return groups
