"""Documents of a corpus on disk while it is built: read once from their source, then in any order in bounded memory.

Of each document 41 bytes stay in memory; its name and text stand in one file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
import zipfile
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

SPLITS = ("train", "validation", "test")
_COLUMNS = {"split": "B", "start": "q", "name_bytes": "q", "text_bytes": "q", "high": "Q", "low": "Q"}


@dataclass(frozen=True, slots=True)
class Document:
    """A text and its name. `split` is the one its source names, empty where the name's hash decides."""

    name: str
    text: str
    split: str = ""


def hash_name(name: str, salt: str = "") -> bytes:
    """Return the SHA-256 that decides a document's split and, salted, other orders."""
    return hashlib.sha256((salt + name).encode(errors="surrogateescape")).digest()


class StoredDocuments:
    """Documents of one or more folders by number, in the order in which they were read. Not for several threads.

    `split` holds an index into `SPLITS`, `text_bytes` the length in UTF-8; `high` and `low` are the first 16 bytes of
    the name's hash, by which the documents of a split are ordered.
    """

    def __init__(self, *folders: Path) -> None:
        indices = [_load_index(folder) for folder in folders]
        self.num_skipped = sum(int(index["num_skipped"]) for index in indices)
        self.split, self._start, self._name_bytes, self.text_bytes, self.high, self.low = (
            np.concatenate([index[name] for index in indices]) for name in _COLUMNS
        )
        self._first = np.cumsum([0, *(len(index["start"]) for index in indices)])
        self._files = [(folder / "text.bin").open("rb") for folder in folders]

    def __len__(self) -> int:
        return len(self._start)

    def __getitem__(self, number: int) -> Document:
        name = self.name(number)
        file, _, _ = self._place(number)
        return Document(name, file.read(int(self.text_bytes[number])).decode(), SPLITS[self.split[number]])

    def name(self, number: int) -> str:
        """Return a document's name."""
        file, start, length = self._place(number)
        file.seek(start)
        return file.read(length).decode(errors="surrogateescape")

    def in_order(self, numbers: np.ndarray) -> np.ndarray:
        """Return `numbers` by the hashes of their names."""
        ordered: np.ndarray = numbers[np.lexsort((self.low[numbers], self.high[numbers]))]
        return ordered

    def close(self) -> None:
        """Close the files of texts."""
        for file in self._files:
            file.close()

    def _place(self, number: int) -> tuple[BinaryIO, int, int]:
        """Return the file of a document, where it starts in it, and the bytes of its name."""
        file = self._files[int(np.searchsorted(self._first, number, side="right")) - 1]
        return file, int(self._start[number]), int(self._name_bytes[number])


def are_stored(folder: Path) -> bool:
    """Return whether `folder` holds documents, all of them: a machine that lost its power may leave a part."""
    try:
        return (folder / "text.bin").stat().st_size == int(_load_index(folder)["num_bytes"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False


def store_documents(documents: Iterable[Document | None], folder: Path) -> None:
    """Write `documents`, each with its split, to `folder`, whole or not at all; ``None`` is one that was skipped.

    Another process may have put the same folder there meanwhile: then that one stays.
    """
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    temporary.mkdir(parents=True)
    try:
        _write(documents, temporary)
        if not folder.exists():
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(documents: Iterable[Document | None], folder: Path) -> None:
    columns = {name: array(code) for name, code in _COLUMNS.items()}
    num_skipped = position = 0
    with (folder / "text.bin").open("wb") as file:
        for document in documents:
            if document is None:
                num_skipped += 1
                continue
            hashed = hash_name(document.name)
            high, low = int.from_bytes(hashed[:8], "big"), int.from_bytes(hashed[8:16], "big")
            name, text = document.name.encode(errors="surrogateescape"), document.text.encode()
            file.write(name + text)
            values = SPLITS.index(document.split), position, len(name), len(text), high, low
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
            position += len(name) + len(text)
        file.flush()
        os.fsync(file.fileno())
    index: dict[str, Any] = {name: np.array(column) for name, column in columns.items()}
    np.savez(folder / "index.npz", num_skipped=num_skipped, num_bytes=position, **index)


def _load_index(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "index.npz") as index:
        return dict(index)
