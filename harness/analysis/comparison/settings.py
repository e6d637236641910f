"""What differs between the configurations of studies, setting by setting and arm by arm."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.analysis.comparison.results import Setting, Side
from harness.core.records import RunRecord

# What names or places a run, and not how it is done.
_NAMES = {"study", "arm", "role", "seed", "trunk_id", "branch_tokens", "plan_position", "save_model"}

Values = dict[str, tuple[str, ...]]
_Row = tuple[tuple[str, tuple[str, ...] | None], ...]


def compare_settings(sides: Sequence[Side]) -> tuple[Setting, ...]:
    """Return every setting in which two studies differ, by name; one that a study does not record stands as ``None``.

    Settings that older records lack are counted together by the first part of their name.
    """
    by_arm = {side.letter: _read_arms(side) for side in sides}
    arms = sorted({arm for found in by_arm.values() for arm in found})
    rows: dict[tuple[str, _Row], list[str]] = {}
    gaps: dict[tuple[str, tuple[str, ...]], tuple[set[str], set[str]]] = {}
    for arm in arms:
        held = {letter: found[arm] for letter, found in by_arm.items() if arm in found}
        if len(held) < len(sides):
            continue
        for name in sorted(set().union(*held.values())):
            values = {letter: found.get(name) for letter, found in held.items()}
            lacking = tuple(letter for letter, value in values.items() if value is None)
            if lacking:
                names, where = gaps.setdefault((name.split(".")[0], lacking), (set(), set()))
                names.add(name)
                where.add(arm)
            elif len(set(values.values())) > 1:
                rows.setdefault((name, tuple(values.items())), []).append(arm)
    listed = [Setting(name=name, arms=tuple(found), values=dict(values)) for (name, values), found in rows.items()]
    for (first, lacking), (names, where) in gaps.items():
        recorded: tuple[str, ...] = (f"{len(names)} settings" if len(names) > 1 else "1 setting",)
        told = {side.letter: None if side.letter in lacking else recorded for side in sides}
        listed.append(Setting(name=f"{first}.*", arms=tuple(sorted(where)), values=told))
    return tuple(sorted(listed, key=lambda row: (row.name.endswith("*"), row.name, row.arms)))


def _read_arms(side: Side) -> dict[str, Values]:
    found: dict[str, dict[str, set[str]]] = {}
    for record in _configured(side):
        own = found.setdefault(record.arm, {})
        for name, value in _flatten(record.config).items():
            own.setdefault(name, set()).add(value)
    return {
        arm: {name: tuple(sorted(values, key=_order)) for name, values in own.items()} for arm, own in found.items()
    }


def _order(text: str) -> tuple[float, str]:
    """Return a key by which numbers stand in order, before words."""
    try:
        return float(text), text
    except ValueError:
        return math.inf, text


def _configured(side: Side) -> list[RunRecord]:
    content = side.judged.content
    planned = {run.run_id for run in content.study.runs} if content.study is not None else set()
    records = [record for record in content.records if record.run_id in planned] or list(content.records)
    return [record for record in records if record.role != "trunk"]


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        if not prefix and name in _NAMES:
            continue
        full = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            flat |= _flatten(value, f"{full}.")
        else:
            flat[full] = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return flat
