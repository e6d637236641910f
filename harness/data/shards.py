"""Token files of bounded size, and one array-like view over those of a split.

A shard holds the ids of whole documents, one after the other, in little-endian uint16 or uint32, without a header.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

# A split up to here is read into memory, so that no measured step waits for a disk; a larger one is mapped.
IN_MEMORY_BYTES = 128 << 20
_MAX_OPEN = 64
_READ_BYTES = 1 << 20


class TokenShards:
    """The ids of a split over memory-mapped shards: ``len``, ``[i]`` and ``[i:j]`` as of an array, a slice as a copy.

    Only the shards used last stay open, so that neither memory nor file handles grow with the corpus.
    """

    def __init__(self, paths: Sequence[Path], lengths: Sequence[int], dtype: np.dtype) -> None:
        self.dtype = dtype
        self._paths = tuple(paths)
        self._ends = np.cumsum(np.array(lengths, dtype=np.int64))
        self._open: OrderedDict[int, np.ndarray] = OrderedDict()

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, key: int | slice) -> Any:
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            return self._read(start, stop)[::step] if step > 0 else np.flip(self._read(stop + 1, start + 1))[::-step]
        index = range(len(self))[key]
        return self._read(index, index + 1)[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._read(0, len(self)), dtype=dtype)

    def _read(self, start: int, stop: int) -> np.ndarray:
        out = np.empty(max(0, stop - start), dtype=self.dtype)
        filled = 0
        shard = int(np.searchsorted(self._ends, start, side="right"))
        while filled < len(out):
            begin = int(self._ends[shard - 1]) if shard else 0
            part = self._map(shard)[start + filled - begin : stop - begin]
            out[filled : filled + len(part)] = part
            filled += len(part)
            shard += 1
        return out

    def _map(self, shard: int) -> np.ndarray:
        found = self._open.pop(shard, None)
        if found is None:
            found = np.memmap(self._paths[shard], dtype=self.dtype, mode="r")
        self._open[shard] = found
        if len(self._open) > _MAX_OPEN:
            self._open.popitem(last=False)
        return found


Tokens: TypeAlias = np.ndarray | TokenShards


def open_tokens(folder: Path, shards: Sequence[dict[str, Any]], dtype: np.dtype) -> Tokens:
    """Return the tokens of a split's `shards` (``name`` and ``tokens`` each), read whole where they are few."""
    paths = [folder / shard["name"] for shard in shards]
    lengths = [int(shard["tokens"]) for shard in shards]
    if sum(lengths) * dtype.itemsize > IN_MEMORY_BYTES:
        return TokenShards(
            [path for path, n in zip(paths, lengths, strict=True) if n], [n for n in lengths if n], dtype
        )
    return np.concatenate([np.empty(0, dtype=dtype), *(np.fromfile(path, dtype=dtype) for path in paths)])


def token_dtype(vocab_size: int) -> np.dtype:
    """Return the smallest of uint16 and uint32 that holds every id."""
    return np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")


def write_shard(path: Path, parts: Iterable[np.ndarray], dtype: np.dtype) -> tuple[int, str]:
    """Write ids to `path`, whole or not at all, and read it back once; return their number and the file's SHA-256.

    Raises:
        OSError: it cannot be written, or the disk gives back other bytes.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    digest, count = hashlib.sha256(), 0
    try:
        with temporary.open("wb") as file:
            for part in parts:
                content = part.astype(dtype, copy=False).tobytes()
                file.write(content)
                digest.update(content)
                count += len(part)
            file.flush()
            os.fsync(file.fileno())
        if hash_file(temporary) != digest.hexdigest():
            raise OSError(f"'{path.name}' was read back with other bytes than were written")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return count, digest.hexdigest()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()
