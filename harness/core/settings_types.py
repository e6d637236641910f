"""Plain data of a configuration that anybody may have written: known settings have their types, numbers are numbers."""

from __future__ import annotations

import dataclasses
import marshal
import math
import typing
from dataclasses import dataclass
from typing import Any

from harness.core.plain_json import MAX_INT, PlainJsonError, check_depth

_NUMBER = (int, float)
_EXAMPLES: dict[Any, Any] = {bool: False, int: 0, float: 0.0, str: ""}
_PLAIN_MARSHAL = 2  # the last version that writes an object out wherever it stands, however often it is shared
# What is kept of strangers' records stays small: sections of this project's have 2 kB at most, and few variants.
_MAX_PASSED = 1024
_MAX_SECTION_BYTES = 8192


@dataclass(frozen=True, slots=True)
class MayBeNull:
    """A setting whose default is null; `example` is what it holds otherwise, ``None`` where that is not known."""

    example: Any


def describe_settings(config: Any) -> dict[str, Any]:
    """Return the settings of a configuration's dataclass by name, each with its default as an example of its type."""
    found: dict[str, Any] = {}
    types = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found[field.name] = describe_settings(value)
        elif value is None:
            kinds = [kind for kind in typing.get_args(types[field.name]) if kind is not type(None)]
            found[field.name] = MayBeNull(_EXAMPLES.get(kinds[0]) if kinds else None)
        else:
            found[field.name] = value
    return found


def check_settings(value: Any, known: Any, where: str, *, allow_null: bool = True) -> None:
    """Check that numbers are finite and of 64 bits at most, and that known settings have the type of their default.

    `known` holds each setting as `describe_settings` tells it. A setting may be missing
    or unknown, and null where `allow_null` says so: records are of other versions too.

    Raises:
        PlainJsonError: the first that does not fit.
    """
    if isinstance(known, MayBeNull):
        known, allow_null = known.example, True
    if isinstance(value, float):
        if not math.isfinite(value):
            raise PlainJsonError(f"{where}: Input should be a finite number")
    elif isinstance(value, int) and not -MAX_INT - 1 <= value <= MAX_INT:
        raise PlainJsonError(f"{where}: the number has more than 64 bits")
    if known is not None and not (value is None and allow_null) and not isinstance(value, _type_of(known)):
        raise PlainJsonError(f"{where}: it should be {_name_of(known)}")
    if isinstance(value, dict):
        names = known if isinstance(known, dict) else {}
        for name, part in value.items():
            check_settings(part, names.get(name), f"{where}.{name}", allow_null=allow_null)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            check_settings(part, None, f"{where}.{index}", allow_null=allow_null)


class SettingsCheck:
    """`check_settings` over the configurations of many records, which have most of their sections in common.

    A section that passed once is known by its bytes, which tell 1 from 1.0 and from true; it is not walked again, and
    kept once for all.
    """

    def __init__(self, known: dict[str, Any]) -> None:
        self._known = known
        self._passed: dict[tuple[str, bytes], Any] = {}

    def check(self, settings: dict[str, Any], where: str) -> None:
        """Check each section of `settings`, null standing for any setting; equal ones become one object.

        Raises:
            PlainJsonError: the first that does not fit.
        """
        for name, section in settings.items():
            if not isinstance(section, dict):
                check_depth(section)
                check_settings(section, self._known.get(name), f"{where}.{name}")
                continue
            seen = name, marshal.dumps(section, _PLAIN_MARSHAL)
            if seen in self._passed:
                settings[name] = self._passed[seen]
                continue
            check_depth(section)
            check_settings(section, self._known.get(name), f"{where}.{name}")
            if len(self._passed) < _MAX_PASSED and len(seen[1]) <= _MAX_SECTION_BYTES:
                self._passed[seen] = section


def _type_of(known: Any) -> type | tuple[type, ...]:
    return _NUMBER if type(known) is float else type(known)


def _name_of(known: Any) -> str:
    if isinstance(known, bool):
        return "true or false"
    names = {dict: "an object", list: "a list", int: "a whole number", float: "a number"}
    return names.get(type(known), "a text")
