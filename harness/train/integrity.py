"""Whether a checkpoint is what was written: SHA-256 of its tensors and of its state, kept in ``state.json``.

Of a checkpoint in parts (`harness.train.sharded_checkpoint`) every file has its own.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

TENSORS, STATE, PARTS = "tensors.safetensors", "state.json", "sharded"
_TENSORS_KEY, _STATE_KEY, _PARTS_KEY = "tensors_sha256", "state_sha256", "parts_sha256"


def seal_state(saved: dict[str, Any], tensors: Path) -> dict[str, Any]:
    """Return the state of a checkpoint with the hashes of its tensor file and of itself."""
    sealed = {**saved, _TENSORS_KEY: hash_file(tensors)}
    return {**sealed, _STATE_KEY: _hash_state(sealed)}


def seal_parts(saved: dict[str, Any], hashes: dict[str, str]) -> dict[str, Any]:
    """Return the state of a checkpoint in parts with the hashes of their files, by name, and of itself."""
    sealed = {**saved, _PARTS_KEY: hashes}
    return {**sealed, _STATE_KEY: _hash_state(sealed)}


def find_damage(folder: Path) -> str | None:
    """Return what is wrong with the checkpoint in `folder`, ``None`` for a good one.

    One that was written before hashes were kept is good where its files can be opened.

    Raises:
        OSError: a file that is there cannot be read.
    """
    try:
        saved = json.loads((folder / STATE).read_text(encoding="utf-8"))
        if not isinstance(saved, dict) or saved.get(_STATE_KEY, "") not in ("", _hash_state(saved)):
            return f"{STATE} is not what was written"
        return _find_damaged_tensors(folder, saved)
    except FileNotFoundError as error:
        return f"{Path(error.filename or TENSORS).name} is not there"
    except (ValueError, RecursionError):
        return f"{STATE} is cut short or no JSON"
    except SafetensorError as error:
        return f"{TENSORS} is cut short or damaged ({error})"


def _find_damaged_tensors(folder: Path, saved: dict[str, Any]) -> str | None:
    if _PARTS_KEY in saved:
        parts = (name for name, digest in saved[_PARTS_KEY].items() if hash_file(folder / PARTS / name) != digest)
        damaged = next(parts, None)
        return None if damaged is None else f"{PARTS}/{damaged} is not what was written"
    if saved.get(_TENSORS_KEY, "") not in ("", hash_file(folder / TENSORS)):
        return f"{TENSORS} is not what was written"
    with safe_open(folder / TENSORS, framework="numpy"):
        return None


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, read in parts."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_state(saved: dict[str, Any]) -> str:
    kept = {key: value for key, value in saved.items() if key != _STATE_KEY}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
