"""Numbers out of other tools' files: what is no number is unknown, never 0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def read_number(value: Any) -> float | None:
    """Return a finite number, ``None`` for anything else (a flag is no number)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer that no float holds
        return None
    return number if math.isfinite(number) else None


def read_count(value: Any) -> int | None:
    """Return a whole number of 0 or more, also where it is written as ``50.0``; ``None`` for anything else."""
    number = read_number(value)
    return int(number) if number is not None and number >= 0 and number == int(number) else None


def read_text(value: Any) -> str | None:
    """Return a text that is not empty, ``None`` for anything else."""
    return value if isinstance(value, str) and value else None


def read_at(document: Any, *path: str) -> Any:
    """Return the value at a path of keys, ``None`` where there is none."""
    value = document
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def to_seconds(value: float | None, factor: float) -> float | None:
    """Return `value` times `factor`, the seconds in its unit."""
    return None if value is None else value * factor


def divide(amount: float | None, by: float | None) -> float | None:
    """Return the quotient, ``None`` where a side is unknown or the divisor is 0."""
    return amount / by if amount is not None and by else None
