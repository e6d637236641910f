"""JSON from files that anybody may have written: read whole and bounded, or refused in one line.

A file is a plain one of at most `MAX_FILE_BYTES`: no pipe or device, which would never end. Its JSON has no NaN or
infinity, no number that a double or 64 bits cannot hold, no key twice in one object, and `MAX_DEPTH` levels at most.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Any

MAX_FILE_BYTES = 2**28
MAX_DEPTH = 100
MAX_INT = 2**63 - 1
# Integers of other people's configurations: transformers writes 10^30 for "no limit".
MAX_FOREIGN_INT = 10**40
MAX_NAME_BYTES = 230
_FORBIDDEN_IN_NAME = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


class PlainJsonError(ValueError):
    """A text that is no JSON of the kind that is read here; the message says why, without the file's name."""


def read_bytes(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return the content of the plain file at `path`.

    Raises:
        OSError: it is not there, no plain file (a folder, pipe or device), or longer than `max_bytes`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:  # a file object would take as long again as the reading itself, which tells where there are thousands
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no plain file", str(path))
        if found.st_size > max_bytes:
            raise OSError(errno.EFBIG, f"it is longer than {max_bytes >> 20} MiB", str(path))
        # a file that grows meanwhile, or that says 0 as those of /proc do, is read up to the limit too
        content = os.read(descriptor, found.st_size + 1)  # a read of the limit would make room for all of it each time
        if len(content) != found.st_size:
            with os.fdopen(descriptor, "rb", closefd=False) as rest:
                content += rest.read(max_bytes + 1 - len(content))
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"it is longer than {max_bytes >> 20} MiB", str(path))
    return content


def read_text(path: Path, max_bytes: int = MAX_FILE_BYTES) -> str:
    """Return the content of the plain file at `path` as UTF-8 text.

    Raises:
        OSError: as `read_bytes`.
        UnicodeDecodeError: it is no text.
    """
    return read_bytes(path, max_bytes).decode("utf-8")


def why_unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Return why `read_text` failed, in a few words."""
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "it is no text"


def parse_json(text: str | bytes) -> Any:
    """Return the content of a JSON text.

    Raises:
        PlainJsonError: it is none, or holds a number, a key or a depth that is refused here.
    """
    try:
        content = json.loads(
            text, object_pairs_hook=_refuse_twice, parse_constant=_refuse_constant, parse_int=_int, parse_float=_float
        )
    except PlainJsonError:
        raise
    except RecursionError:
        raise PlainJsonError(f"it is nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise PlainJsonError(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except UnicodeDecodeError:
        raise PlainJsonError("it is no text") from None
    check_depth(content)
    return content


def refuse_repeated_keys(text: str | bytes) -> None:
    """Check that no object of a JSON text holds a key twice; other readers would take another one of the two.

    Raises:
        PlainJsonError: one does, or the text is no JSON.
    """
    objects: list[list[tuple[str, Any]]] = []
    try:
        # the hooks are all in C: half the time of a parse that makes the values
        json.loads(text, object_pairs_hook=objects.append, parse_int=bool, parse_float=bool)
    except (ValueError, RecursionError) as error:
        raise PlainJsonError(f"it is no JSON: {error}") from None
    if sum(map(len, objects)) != sum(map(len, map(dict, objects))):
        for pairs in objects:
            _refuse_twice(pairs)


def check_depth(content: Any) -> None:
    """Check that `content` has no more than `MAX_DEPTH` levels of lists and objects, without recursion.

    Raises:
        PlainJsonError: it has more.
    """
    level, depth = [content], 0
    while level:
        inner = [value for value in level if isinstance(value, dict | list)]
        if depth >= MAX_DEPTH and inner:
            raise PlainJsonError(f"it is nested deeper than {MAX_DEPTH} levels")
        level = [child for value in inner for child in (value.values() if isinstance(value, dict) else value)]
        depth += 1


def check_numbers(content: Any, where: str) -> None:
    """Check that all numbers inside `content`, parsed JSON of few levels, are finite and fit into 64 bits.

    Raises:
        PlainJsonError: one is not; `where` is the place that the message begins with.
    """
    if isinstance(content, dict):
        for key, value in content.items():
            check_numbers(value, f"{where}.{key}")
    elif isinstance(content, list | tuple):
        for index, value in enumerate(content):
            check_numbers(value, f"{where}.{index}")
    elif isinstance(content, float) and not math.isfinite(content):
        raise PlainJsonError(f"{where}: Input should be a finite number")
    elif isinstance(content, int) and not -MAX_INT - 1 <= content <= MAX_INT:
        raise PlainJsonError(f"{where}: the number has more than 64 bits")


def check_file_name(name: str, where: str) -> None:
    """Check that `name` can be part of a file's name and leads nowhere else.

    Raises:
        PlainJsonError: it is empty, too long, begins with a dot, or holds a slash or a control character.
    """
    if not name or name.startswith(".") or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        raise PlainJsonError(f"{where}: {shorten(name)!r} is no file name")
    if _FORBIDDEN_IN_NAME.search(name):
        raise PlainJsonError(f"{where}: {shorten(name)!r} is no file name (a slash or a control character)")


def shorten(name: str) -> str:
    """Return a name from a stranger's file, or its beginning where it is long."""
    return name if len(name) <= 80 else f"{name[:77]}..."


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise PlainJsonError(f"the key {shorten(twice)!r} stands twice in one object")
    return found


def _refuse_constant(text: str) -> Any:
    raise PlainJsonError(f"{text} is no finite number")


def _int(text: str) -> int:
    if len(text) > len(str(MAX_FOREIGN_INT)):
        raise PlainJsonError(f"a number has {len(text.lstrip('-'))} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise PlainJsonError(f"{shorten(text)} is more than a double holds")
    return value
