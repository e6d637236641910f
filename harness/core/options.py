"""Options of a task kind: a dataclass that says what each field may be, and one clear line where it is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from harness.core.errors import ConfigError, did_you_mean

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class NoOptions:
    """Options of a kind that has none."""


def whole_number(default: int, low: int, high: int) -> Any:
    """Return the field of an option that is a whole number from `low` to `high`."""
    return dataclasses.field(default=default, metadata={"bounds": (low, high)})


def some_of(default: str, signs: str) -> Any:
    """Return the field of an option that is a text of some of `signs`, each at most once."""
    return dataclasses.field(default=default, metadata={"signs": signs})


def build_options(options_type: type[T], options: Mapping[str, Any], where: str) -> T:
    """Return `options_type` with the values of `options`; `where` is what the user calls them (``kinds.x.options``).

    Raises:
        ConfigError: an unknown option, or a value that it does not take.
    """
    known = {field.name: field for field in dataclasses.fields(options_type)}  # type: ignore[arg-type]
    for name, value in options.items():
        if name not in known:
            there_are = f"known: {', '.join(known)}" if known else "this kind has no options"
            raise ConfigError(f"{where}.{name} is unknown; {there_are}.{did_you_mean(str(name), known)}")
        _check_value(f"{where}.{name}", value, known[name].metadata)
    return options_type(**options)


def _check_value(where: str, value: object, metadata: Mapping[str, Any]) -> None:
    if "bounds" in metadata:
        low, high = metadata["bounds"]
        if type(value) is not int or not low <= value <= high:
            raise ConfigError(f"{where} is {value!r}; give a whole number from {low} to {high}.")
    elif "signs" in metadata:
        signs = metadata["signs"]
        if not isinstance(value, str) or not value or len(set(value)) < len(value) or set(value) - set(signs):
            raise ConfigError(f"{where} is {value!r}; give one or more of '{signs}', each once.")
    elif not isinstance(value, str):
        raise ConfigError(f"{where} is {value!r}; give a text.")
