"""Writing an export: whole or not at all, and one clear line where it cannot be."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError


def make_folder(out: Path) -> Path:
    """Create the folder `out` (its parents too) and return it.

    Raises:
        ConfigError: a file is in the way, or it cannot be created.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out '{out}' is a file; this format writes several files, so name a folder.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to '{out}': {error.strerror}.") from error
    return out


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, and put it in the place of `path` when the block ends well.

    Raises:
        ConfigError: `path` is a folder or cannot be written.
    """
    if path.is_dir():
        raise ConfigError(f"--out '{path}' is a folder; this format writes one file, so name a file in it.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write '{path}': {error.strerror or error}.") from error
    finally:
        if temporary.exists():
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8.

    Raises:
        ConfigError: it cannot be written.
    """
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write plain data to `path` with sorted keys, so that the same content gives the same bytes.

    Raises:
        ConfigError: it cannot be written.
    """
    write_text(path, json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n")
