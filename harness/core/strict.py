"""Reading typed JSON from strangers: pydantic's own schema of a dataclass, with bounds on every number.

A field keeps its plain type in the dataclass. Here each integer fits into 64 bits, each float stays where sums and
products of two do not overflow, and what counts or lasts (by its name) is not negative.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter
from pydantic_core import SchemaValidator, ValidationError

from harness.core.errors import RecordError
from harness.core.plain_json import MAX_INT, PlainJsonError, refuse_repeated_keys

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
MAX_FLOAT = 1e120
_NOT_NEGATIVE = re.compile(
    r"num_\w+|(\w+_)?(tokens|bytes|flops|params|total)|active\w*|embedding|\w+_per_(token|s)|amount|duration_s|seconds"
    r"|stderr|coverage|vocab_size"
)
_NOT_WALKED = ("cls", "config", "metadata", "serialization", "ref", "default")

T = TypeVar("T")


class StrictReader(Generic[T]):
    """Reads values of the dataclass `kind` from JSON; types are taken as they are, a text is no number.

    A key that stands twice in an object is refused where `unique_keys`, which costs a second look at the whole text;
    else the last one counts, as in other readers of JSON.
    """

    def __init__(self, kind: type[T], *, unique_keys: bool = True) -> None:
        self._kind = kind
        self._unique_keys = unique_keys

    @functools.cached_property
    def adapter(self) -> TypeAdapter[T]:
        """Pydantic's adapter of the dataclass, without bounds."""
        return TypeAdapter(self._kind)

    @functools.cached_property
    def _validator(self) -> SchemaValidator:
        return SchemaValidator(_bound(self.adapter.core_schema, ""))

    def to_json(self, value: T, indent: int | None = None) -> str:
        """Return `value` as JSON that `read` takes back.

        Raises:
            ValidationError: a field holds something else than its type says, or a number out of bounds.
        """
        plain = dataclasses.asdict(value)  # type: ignore[call-overload]
        checked: T = self._validator.validate_python(plain)
        return self.adapter.dump_json(checked, indent=indent).decode()

    def read(self, text: str | bytes, what: str) -> T:
        """Return the value that `text` describes; `what` begins the message, such as ``a.json is no record``.

        Raises:
            RecordError: it describes none, holds a number out of bounds, or a key twice where that is refused.
        """
        try:
            value: T = self._validator.validate_json(text, strict=True)
            if self._unique_keys:
                refuse_repeated_keys(text)
        except ValidationError as error:
            raise RecordError(f"{what}: {first_problem(error)}") from error
        except PlainJsonError as error:
            raise RecordError(f"{what}: {error}") from error
        return value


def first_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong, with its place and without the value."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(_shorten(str(part)) for part in first["loc"]) or "the file"
    limit = first.get("ctx", {}).get("le", first.get("ctx", {}).get("ge"))
    if isinstance(limit, int | float) and abs(limit) >= MAX_INT:
        return f"{where}: the number is out of all bounds (at most {abs(limit):.3g})"
    return f"{where}: {first['msg']}"


def _shorten(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _bound(schema: Any, name: str) -> Any:
    """Return a copy of a core schema with bounds on its numbers; `name` is the field that they stand in."""
    if isinstance(schema, list | tuple):
        return type(schema)(_bound(part, name) for part in schema)
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in ("int", "float"):
        lowest, highest = (-MAX_INT - 1, MAX_INT) if schema["type"] == "int" else (-MAX_FLOAT, MAX_FLOAT)
        return {"ge": 0 if _NOT_NEGATIVE.fullmatch(name) else lowest, "le": highest, **schema}
    if schema.get("type") == "dataclass-field":
        name = schema["name"]
    return {key: part if key in _NOT_WALKED else _bound(part, name) for key, part in schema.items()}
