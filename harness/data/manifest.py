"""The manifest of a corpus in the cache: what its files must be, and when they were last found to be so."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.core.plain_json import check_file_name, parse_json, read_bytes
from harness.core.store import write_text_atomically
from harness.data.parallel import ProgressOf
from harness.data.shards import hash_file

FORMAT_VERSION = 3
MANIFEST_NAME, STAMP_NAME = "manifest.json", "stamp.json"


def save_manifest(folder: Path, contents: dict[str, Any], known: dict[str, str], names: Iterable[str]) -> None:
    """Write the manifest over files of `folder`; `known` holds the SHA-256 of those whose bytes were just checked."""
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": known.get(name) or hash_file(folder / name)}
        for name in sorted(names)
    }
    contents = {**contents, "format_version": FORMAT_VERSION, "files": files}
    text = json.dumps({"contents": contents, "sha256": _hash_contents(contents)}, indent=1)
    write_text_atomically(folder / MANIFEST_NAME, text)
    _save_stamp(folder, files)


def load_manifest(folder: Path, *, full: bool = False) -> dict[str, Any] | None:
    """Return the contents of a manifest whose files are as it says, ``None`` where it or one of them is not.

    A file of the size and time at which it was last checked is taken as it was then; any other one, and all of them
    with `full`, is read and hashed.
    """
    try:
        manifest = parse_json(read_bytes(folder / MANIFEST_NAME))
        contents: dict[str, Any] = manifest["contents"]
        if _hash_contents(contents) != manifest["sha256"] or contents["format_version"] != FORMAT_VERSION:
            return None
        files = contents["files"]
        stamps = {} if full else _load_stamp(folder)
        stale = {}
        for name, expected in files.items():
            check_file_name(name, "files")
            stat = (folder / name).stat()
            if stat.st_size != expected["bytes"]:
                return None
            if stamps.get(name) != [stat.st_size, stat.st_mtime_ns]:
                stale[name] = expected
        with ProgressOf("checking the corpus", sum(expected["bytes"] for expected in stale.values())) as progress:
            for name, expected in stale.items():
                if progress.step(hash_file(folder / name), expected["bytes"]) != expected["sha256"]:
                    return None
        if stale:
            with contextlib.suppress(OSError):  # a cache that can only be read is checked each time
                _save_stamp(folder, files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return contents


def _load_stamp(folder: Path) -> dict[str, Any]:
    try:
        stamps = json.loads((folder / STAMP_NAME).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def _save_stamp(folder: Path, names: Iterable[str]) -> None:
    stats = {name: (folder / name).stat() for name in names}
    stamps = {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}
    write_text_atomically(folder / STAMP_NAME, json.dumps(stamps))


def _hash_contents(contents: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
