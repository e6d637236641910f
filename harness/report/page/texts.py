"""Every text inside nested dataclasses, tuples and mappings: whether any would change, and a copy where it does.

A store of 10,000 runs holds millions of readings whose few texts repeat. So whole columns of them are looked at at
once (`is_unchanged`), and only what has something to change is walked and copied.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from operator import attrgetter
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

Change = Callable[[str], str]
_PLAIN = (float, int, bool, type(None))


def is_unchanged(values: Iterable[Any], change: Change) -> bool:
    """Return whether `change` leaves every text in `values`, however deep, as it is."""
    groups: dict[type, list[Any]] = defaultdict(list)
    for value in values:
        groups[type(value)].append(value)
    return all(_is_group_unchanged(kind, group, change) for kind, group in groups.items() if kind not in _PLAIN)


def walk_texts(value: Any, change: Change) -> Any:
    """Return `value` with every text changed, or `value` itself where none is."""
    if isinstance(value, str):
        return change(value) if type(value) is str else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _walk_rows((value,), change)[0]
    if isinstance(value, tuple | list):
        rows = _walk_rows(value, change) if _are_rows(value) else (walk_texts(item, change) for item in value)
        return type(value)(rows)
    if isinstance(value, Mapping):
        return {walk_texts(key, change): walk_texts(item, change) for key, item in value.items()}
    return value


def _are_rows(values: tuple[Any, ...] | list[Any]) -> bool:
    return len({type(value) for value in values}) == 1 and dataclasses.is_dataclass(values[0])


def _walk_rows(rows: tuple[Any, ...] | list[Any], change: Change) -> list[Any]:
    """Return dataclasses of one kind, of which only fields are looked at that have a text to change in some row."""
    kind: Any = type(rows[0])
    names = chain.from_iterable(_text_fields(kind))
    found = [name for name in names if not is_unchanged(map(attrgetter(name), rows), change)]
    if not found:
        return list(rows)
    return [
        dataclasses.replace(row, **{name: walk_texts(getattr(row, name), change) for name in found}) for row in rows
    ]


def _is_group_unchanged(kind: type, group: list[Any], change: Change) -> bool:
    if kind is str:
        return all(change(text) == text for text in set(group))
    if dataclasses.is_dataclass(kind):
        direct, nested = _text_fields(kind)
        # one name twice: a getter of a single name gives no tuple
        texts = set(map(attrgetter(*direct, direct[0]), group)) if direct else set()
        found = {text for row in texts for text in row if text is not None}
        if not is_unchanged(found, change):
            return False
        return all(is_unchanged(map(attrgetter(name), group), change) for name in nested)
    if issubclass(kind, tuple | list):
        return is_unchanged(chain.from_iterable(group), change)
    if issubclass(kind, Mapping):
        group = list({id(value): value for value in group}.values())  # records share sections of configurations
        keys = chain.from_iterable(group)
        return is_unchanged(chain(keys, chain.from_iterable(item.values() for item in group)), change)
    return True


@functools.cache
def _text_fields(kind: type) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the fields that are a text or ``None``, and the others that may hold a text of others."""
    try:
        hints = get_type_hints(kind)
    except NameError:  # a type that only the checker imports: any field may hold a text
        return (), tuple(field.name for field in dataclasses.fields(kind) if field.init)
    names = [field.name for field in dataclasses.fields(kind) if field.init and _may_hold_text(hints[field.name])]
    direct = tuple(name for name in names if hints[name] in (str, str | None))
    return direct, tuple(name for name in names if name not in direct)


def _may_hold_text(hint: Any) -> bool:
    if hint in (*_PLAIN, Ellipsis) or get_origin(hint) is Literal:
        return False
    if get_origin(hint) in (tuple, list, Union, types.UnionType):
        return any(_may_hold_text(part) for part in get_args(hint))
    return True
