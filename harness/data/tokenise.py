"""From stored documents to token shards and to hashes of signatures, by one process or several.

What is cut into pieces, and what each piece holds, depends on the documents alone: any number of processes gives the
same files, and a piece that is there and whole is not made again.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.dedup import describe_text
from harness.data.documents import StoredDocuments
from harness.data.shards import hash_file, token_dtype, write_shard
from harness.data.tokenizer import Tokenizer, load_tokenizer

# Text of one shard, and so the least that a process takes at once.
PIECE_BYTES = 32 << 20
_BATCH_BYTES = 1 << 20
# Texts longer than this are encoded in parts; the ids are the same.
_PART_CHARACTERS = 1 << 20
_LINE_BEGIN = re.compile(r"(?<=\S\n)(?=\S)")


@dataclass(frozen=True, slots=True)
class ShardJob:
    """One token file `name`: the documents `numbers` (int64) of `folders`, by the tokenizer that stands in `build`."""

    build: Path
    folders: tuple[Path, ...]
    name: str
    numbers: np.ndarray
    tokenizer: str


@dataclass(frozen=True, slots=True)
class SignatureJob:
    """One file `name` of hashes for near-duplicate removal, of the documents `numbers` (int64)."""

    build: Path
    folders: tuple[Path, ...]
    name: str
    numbers: np.ndarray


def cut_pieces(numbers: np.ndarray, text_bytes: np.ndarray) -> list[np.ndarray]:
    """Return `numbers` in order, cut where another `PIECE_BYTES` of their text is full."""
    if not len(numbers):
        return []
    piece = (np.cumsum(text_bytes[numbers]) - text_bytes[numbers]) // PIECE_BYTES
    return np.split(numbers, np.flatnonzero(np.diff(piece)) + 1)


def tokenise(job: ShardJob) -> dict[str, Any]:
    """Write the shard of `job` and return its row of the manifest, with the bytes that its tokens stand for."""
    path, row_path = job.build / job.name, job.build / f"{job.name}.json"
    row = _load_row(row_path)
    if row is not None and path.is_file() and hash_file(path) == row["sha256"]:
        return row
    documents, tokenizer = _open_documents(job.folders), _open_tokenizer(job.build, job.tokenizer)
    num_bytes = 0

    def parts() -> Iterator[np.ndarray]:
        nonlocal num_bytes
        for ids in _encode(documents, job.numbers, tokenizer):
            num_bytes += int(tokenizer.token_num_bytes[ids].sum())
            yield ids

    count, sha256 = write_shard(path, parts(), token_dtype(tokenizer.vocab_size))
    row = {"name": job.name, "tokens": count, "sha256": sha256, "bytes": num_bytes}
    _replace(row_path, json.dumps(row).encode())
    return row


def describe(job: SignatureJob) -> Path:
    """Write the hashes of `job` (``keys`` uint64 (N, 24), ``counts`` int64 (N,)) and return their file."""
    path = job.build / job.name
    if not path.is_file():
        documents = _open_documents(job.folders)
        described = [describe_text(documents[number].text) for number in job.numbers.tolist()]
        temporary = path.with_name(f".{job.name}.{uuid.uuid4().hex}.tmp.npz")
        np.savez(temporary, keys=np.array([keys for keys, _ in described]), counts=np.array([n for _, n in described]))
        temporary.replace(path)
    return path


def forget_open() -> None:
    """Close what this process keeps open between pieces."""
    _open_documents.cache_clear()
    _open_tokenizer.cache_clear()


def split_long(text: str, limit: int = _PART_CHARACTERS) -> Iterator[str]:
    """Yield `text` in parts of about `limit` characters that byte-level pre-tokenizers would cut there themselves.

    A part begins with a line that follows one line break and starts with no space.
    """
    start = 0
    while len(text) - start > limit:
        found = _LINE_BEGIN.search(text, start + limit)
        if found is None:
            break
        yield text[start : found.start()]
        start = found.start()
    yield text[start:] if start else text


def _encode(documents: StoredDocuments, numbers: np.ndarray, tokenizer: Tokenizer) -> Iterator[np.ndarray]:
    """Yield ids of the documents in order, each document ended by the separator."""
    separator = np.array([tokenizer.separator], dtype=np.uint32)
    texts: list[str] = []
    ends: list[bool] = []
    size = 0
    for place, number in enumerate(numbers.tolist()):
        parts = list(split_long(documents[number].text))
        texts += parts
        ends += [False] * (len(parts) - 1) + [True]
        size += int(documents.text_bytes[number])
        if size >= _BATCH_BYTES or place == len(numbers) - 1:
            for one, ends_here in zip(_encode_parts(texts, tokenizer), ends, strict=True):
                yield one
                if ends_here:
                    yield separator
            texts, ends, size = [], [], 0


def _encode_parts(texts: list[str], tokenizer: Tokenizer) -> Iterator[np.ndarray]:
    """Yield ids of each text, a few texts at once: what the library keeps of each token takes much memory."""
    start = size = 0
    for end, text in enumerate(texts, 1):
        size += len(text)
        if size >= _BATCH_BYTES or end == len(texts):
            yield from tokenizer.encode_many(texts[start:end])
            start, size = end, 0


def _load_row(path: Path) -> dict[str, Any] | None:
    try:
        row = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) and {"name", "tokens", "sha256", "bytes"} <= row.keys() else None


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


@lru_cache(maxsize=1)
def _open_documents(folders: tuple[Path, ...]) -> StoredDocuments:
    return StoredDocuments(*folders)


@lru_cache(maxsize=1)
def _open_tokenizer(build: Path, kind: str) -> Tokenizer:
    return load_tokenizer(kind, (build / "tokenizer.json").read_text())
