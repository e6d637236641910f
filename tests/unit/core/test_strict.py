"""Values that are read strictly: every number has bounds, what is wrong is named with its place and not repeated."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import pickle
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import msgspec
import numpy as np
import pytest

from harness.core.answers import TaskResult
from harness.core.errors import RecordError
from harness.core.readings import EnergyReading
from harness.core.records import RunRecord, Work, record_from_json, record_to_json
from harness.core.strict import Amount, Count, Real, StrictReader, StrictValue
from harness.core.study import StudyInfo

REPORTS = Path(__file__).parents[3] / "reports"


class _Part(StrictValue, frozen=True, kw_only=True):
    grade: Literal["A", "B"]
    share: Amount | None = None


class _Whole(StrictValue, frozen=True, kw_only=True):
    name: str
    count: Count = 0
    delta: Real | None = None
    parts: tuple[_Part, ...] = ()
    settings: dict[str, Any] = {}  # noqa: RUF012 - a new one for each value


READER = StrictReader(_Whole)


def _walk(hint: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Yield every type of a field inside `hint` that is no class of values itself."""
    origin = typing.get_origin(hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        for name, inner in typing.get_type_hints(hint, include_extras=True).items():
            if not name.startswith("__"):
                yield from _walk(inner, f"{hint.__name__}.{name}")
    elif origin in (tuple, dict, Union, types.UnionType):
        for inner in typing.get_args(hint):
            yield from _walk(inner, where)
    else:
        yield where, hint


@pytest.mark.parametrize("kind", [RunRecord, StudyInfo, TaskResult])
def test_every_number_has_bounds_and_what_counts_is_not_negative(kind: type) -> None:
    found = list(_walk(kind, kind.__name__))
    assert not [where for where, hint in found if hint in (int, float)]
    numbers = [(where, typing.get_args(hint)[1].ge) for where, hint in found if typing.get_origin(hint) is Annotated]
    assert len(numbers) > 10
    counts = [(where, lowest) for where, lowest in numbers if ".num_" in where or where.endswith(("_bytes", "tokens"))]
    assert counts
    assert {lowest for _, lowest in counts} == {0}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"name": 3}', "name: Expected `str`, got `int`"),
        ("{}", "name: the field is missing"),
        ('{"name": "a", "parts": [{"grade": "A"}, {"grade": "Z"}]}', "parts.1.grade: it should be one of A, B"),
        ('{"name": "a", "parts": [{"grade": "A", "x": 1}]}', "parts.0.x: there is no such field"),
        ('{"name": "a", "count": -1}', "count: Expected `int` >= 0"),
        ('{"name": "a", "count": true}', "count: Expected `int`, got `bool`"),
        ('{"name": "a", "delta": 1e130}', "delta: Expected `float` <= 1e+120"),
        ('{"name": "a", "delta": 1e999}', "delta: Number out of range"),
        ('{"name": "a"', "the file: the JSON ends in the middle"),
        ('{"name": "a"}}', "the file: JSON is malformed: trailing characters (byte 14)"),
        ("[]", "the file: Expected `object`, got `array`"),
        ('{"name": "a", "name": "b"}', "the key 'name' stands twice in one object"),
        (b'{"name": "\xff"}', "it is no text"),
        ('{"name": "a", "settings": {"x": ' + "[" * 5000 + "]" * 5000 + "}}", "it is nested deeper than 100 levels"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(text: str | bytes, told: str) -> None:
    with pytest.raises(RecordError) as caught:
        READER.read(text, "a.json is no whole")
    assert str(caught.value) == f"a.json is no whole: {told}"


@pytest.mark.parametrize("name", ["x" * 5000, "x` - at `$.name", "\x1b[31m"])
def test_the_name_of_an_unknown_field_does_not_fill_the_message(name: str) -> None:
    with pytest.raises(RecordError, match=r"a: .*no such field|a: name") as caught:
        READER.read(json.dumps({"name": "a", name: 1}), "a")
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("depth", [150, 500, 900])
def test_settings_nested_deeper_than_all_that_walks_them_are_refused(depth: int) -> None:
    plain = json.loads((REPORTS / "2026-11_iso_loss_cpu" / "study.json").read_text())
    record = {"schema_version": 3, "run_id": "r", "study": plain["study"], "role": "single", "arm": "a", "size": "s"}
    record |= {"seed": 0, "status": "failed", "started_utc": "", "config_hash": "0"}
    nested = json.dumps(record | {"config": {"train": {"x": "HERE"}}}).replace('"HERE"', "[" * depth + "]" * depth)
    with pytest.raises(RecordError, match="nested deeper than 100 levels"):
        record_from_json(nested, "a.json")


@pytest.mark.parametrize(
    "changes",
    [{"delta": math.nan}, {"delta": math.inf}, {"delta": 1e130}, {"delta": "x"}, {"count": 1.5}, {"count": -1},
     {"settings": {"x": math.nan}}, {"settings": {"x": [1, -math.inf]}}, {"settings": {"x": 10**30}},
     {"settings": {"x": int}}, {"name": None}],
    ids=str,
)  # fmt: skip
def test_what_could_not_be_read_again_is_not_written(changes: dict[str, Any]) -> None:
    value = _Whole(**{"name": "a", **changes})
    with pytest.raises(ValueError, match=r"\w"):
        READER.to_json(value)
    with pytest.raises(ValueError, match=r"\w"):
        READER.to_plain(value)


def test_numbers_of_numpy_are_written_as_pythons() -> None:
    value = _Whole(name=np.str_("a"), count=np.int64(3), delta=np.float64(0.1), settings={"x": np.float32(0.5)})
    assert READER.to_plain(value) == {"name": "a", "count": 3, "delta": 0.1, "parts": [], "settings": {"x": 0.5}}
    assert READER.to_json(_Whole(name="a", delta=3)) == '{"name":"a","count":0,"delta":3.0,"parts":[],"settings":{}}'


def test_a_number_that_is_held_otherwise_is_written_and_read_as_its_field_says() -> None:
    text = READER.to_json(_Whole(name="a", count=3.0, delta="1.5"))  # type: ignore[arg-type]
    assert READER.read(text, "a") == _Whole(name="a", count=3, delta=1.5)


def test_a_value_is_a_dataclass_to_all_who_ask_and_never_changes() -> None:
    value = _Whole(name="a", parts=(_Part(grade="A"), _Part(grade="B", share=0.5)))
    assert dataclasses.is_dataclass(value)
    assert [field.name for field in dataclasses.fields(value)] == ["name", "count", "delta", "parts", "settings"]
    assert dataclasses.asdict(value)["parts"] == ({"grade": "A", "share": None}, {"grade": "B", "share": 0.5})
    changed = dataclasses.replace(value, count=2)
    assert (changed.count, changed.parts, value.count) == (2, value.parts, 0)
    with pytest.raises(AttributeError):
        value.count = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        dataclasses.replace(value, other=1)
    assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value  # noqa: S301 - its own bytes


def test_values_of_two_classes_tell_their_own_fields() -> None:
    assert {field.name for field in dataclasses.fields(Work)}.isdisjoint(
        field.name for field in dataclasses.fields(EnergyReading)
    )


def test_committed_records_are_written_to_the_same_fields_and_digits() -> None:
    paths = sorted(REPORTS.glob("*/records/*.json"))
    assert len(paths) > 100
    for path in paths[::7]:
        record = record_from_json(path.read_bytes(), path.name)
        _check_same(json.loads(path.read_text()), json.loads(record_to_json(record)), path.name)


def _check_same(before: Any, now: Any, where: str) -> None:
    """Check that all of `before` stands in `now`, whose versions may have added fields."""
    if isinstance(before, dict):
        for key, value in before.items():
            _check_same(value, now[key], f"{where}.{key}")
    elif isinstance(before, list):
        assert len(before) == len(now), where
        for index, (one, other) in enumerate(zip(before, now, strict=True)):
            _check_same(one, other, f"{where}.{index}")
    else:
        assert (type(before), before) == (type(now), now), where
