"""Typed JSON that anybody may have written, and that comes by the thousand: values of fixed fields, read strictly.

`msgspec` makes the values while it parses, at less than a third of the time that a parse and a walk over what it gave
would take. A field's type holds its bounds: each integer fits into 64 bits, each float stays where sums and products
of two do not overflow, and what counts or lasts is not negative.
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
import re
import typing
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import msgspec

from harness.core.errors import RecordError
from harness.core.plain_json import (
    MAX_DEPTH,
    MAX_INT,
    PlainJsonError,
    check_numbers,
    refuse_repeated_keys,
    shorten,
)

MAX_FLOAT = 1e120

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_INT)]
Integer = Annotated[int, msgspec.Meta(ge=-MAX_INT - 1, le=MAX_INT)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=MAX_FLOAT)]
Real = Annotated[float, msgspec.Meta(ge=-MAX_FLOAT, le=MAX_FLOAT)]

T = TypeVar("T")


class _AsDataclass:
    """Answers for a class of values when `dataclasses` asks for its fields."""

    def __get__(self, value: object, kind: type[msgspec.Struct]) -> dict[str, dataclasses.Field[Any]]:
        return _fields_of(kind)


@functools.cache
def _fields_of(kind: type[msgspec.Struct]) -> dict[str, dataclasses.Field[Any]]:
    made = [
        (one.name, one.type, dataclasses.field(default=one.default))
        if one.default is not msgspec.NODEFAULT
        else (one.name, one.type)
        for one in msgspec.structs.fields(kind)
    ]
    known = dataclasses.make_dataclass(kind.__name__, made, kw_only=True)
    return {field.name: field for field in dataclasses.fields(known)}


class StrictValue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A value that `StrictReader` reads: it never changes, its fields are given by keyword, JSON may hold no others.

    It is a dataclass to the module `dataclasses` (``replace``, ``fields``, ``asdict``). Its subclasses give
    ``frozen=True, kw_only=True`` again, and numbers one of the types with bounds. Nothing in it may lead back to
    itself, since the collector of cycles does not look at it.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]] = _AsDataclass()  # type: ignore[assignment]


class StrictReader(Generic[T]):
    """Reads values of the type `kind` from JSON; types are taken as they are, a text is no number.

    A key that stands twice in an object is refused where `unique_keys`, which costs a second look at the whole text;
    else the last one counts, as in other readers of JSON.
    """

    def __init__(self, kind: type[T], *, unique_keys: bool = True) -> None:
        self._kind = kind
        self._unique_keys = unique_keys

    @functools.cached_property
    def _decoder(self) -> msgspec.json.Decoder[T]:
        return msgspec.json.Decoder(self._kind)

    def read(self, text: str | bytes, what: str) -> T:
        """Return the value that `text` describes; `what` begins the message, such as ``a.json is no record``.

        Raises:
            RecordError: it describes none, holds a number out of bounds, or a key twice where that is refused.
        """
        try:
            value = self._decoder.decode(text)
            if self._unique_keys:
                refuse_repeated_keys(text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise RecordError(f"{what}: {_first_problem(error, self._kind)}") from error
        except PlainJsonError as error:
            raise RecordError(f"{what}: {error}") from error
        return value

    def take(self, plain: Any) -> T:
        """Return the value that plain data of this project's own describes.

        Here 3.0 and "3" may stand for 3: nothing measured is lost over how a number is held.

        Raises:
            ValueError: it describes none, or holds a number out of bounds.
        """
        try:
            return msgspec.convert(plain, self._kind, strict=False)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ValueError(_first_problem(error, self._kind)) from error

    def to_plain(self, value: T) -> Any:
        """Return `value` as plain data that `take` takes back, as JSON would hold it.

        Raises:
            ValueError: a field holds something else than its type says, or a number out of bounds.
        """
        return msgspec.json.decode(self.to_json(value))

    def to_json(self, value: T, *, indent: int = 0) -> str:
        """Return `value` as JSON that `read` takes back: in one line, or one for each field that is indented.

        Numbers of other libraries become Python's.

        Raises:
            ValueError: as `to_plain`.
        """
        try:
            plain = msgspec.to_builtins(value, enc_hook=_to_builtin)
        except (TypeError, RecursionError) as error:
            raise ValueError(str(error)) from error
        check_numbers(plain, getattr(self._kind, "__name__", "value"))  # what is not finite would become null
        text = msgspec.json.encode(self.take(plain))
        return (msgspec.json.format(text, indent=indent) if indent else text).decode()


def _to_builtin(value: object) -> Any:
    """Return Python's own number or text for one of numpy."""
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"a {type(value).__name__} is no plain data")


_PLACE = re.compile(r" - at (?:`key` in )?`\$([^`]*)`$")
_FIELD = re.compile(r"Object (contains unknown|missing required) field `(.*)`", re.DOTALL)


def _first_problem(error: Exception, kind: Any) -> str:
    """Return what is wrong with the JSON of a `kind`, with its place and without the value."""
    if isinstance(error, RecursionError):
        return f"it is nested deeper than {MAX_DEPTH} levels"
    if isinstance(error, UnicodeError):
        return "it is no text"
    told = str(error).replace("Input data was truncated", "the JSON ends in the middle")
    found = _PLACE.search(told)
    parts = [] if found is None else re.findall(r"\w+", found[1])
    told = _PLACE.sub("", told)
    field = _FIELD.fullmatch(told)
    if field is not None:
        parts = [*parts, field[2]]
        told = "there is no such field" if field[1] == "contains unknown" else "the field is missing"
    elif told.startswith("Invalid enum value"):
        told = f"it should be one of {', '.join(map(str, _list_choices(kind, parts)))}"
    return f"{'.'.join(map(shorten, parts)) or 'the file'}: {told}"


def _list_choices(hint: Any, place: list[str]) -> tuple[Any, ...]:
    """Return the values that the type `hint` lets stand at `place`, none where it names no values."""
    if typing.get_origin(hint) is Literal:
        return typing.get_args(hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        known = typing.get_type_hints(hint)
        return _list_choices(known[place[0]], place[1:]) if place and place[0] in known else ()
    inner = place[1:] if typing.get_origin(hint) is tuple else place
    return next(filter(None, (_list_choices(part, inner) for part in typing.get_args(hint))), ())
