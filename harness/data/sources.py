"""Where documents come from: files here, or a data set of Hugging Face."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.config import DataConfig
from harness.data.corpus import CORPORA, SourceFile, list_files
from harness.data.documents import Document, hash_name


@dataclass(frozen=True, slots=True)
class Source:
    """`stamps` change when the documents may have changed; `read` yields them in a fixed order, ``None``: skipped.

    `num_bytes` is about how much text there is, 0: not known before it is read.
    """

    stamps: Any
    num_bytes: int
    read: Callable[[], Iterator[Document | None]]


def open_source(config: DataConfig) -> Source:
    """Return the source of `config`.

    Raises:
        DataError: there is none; the message says what to type instead.
    """
    if config.corpus == "hf":
        opened: Source = CORPORA.get("hf")(config)
        return opened
    files = list_files(config)
    stamps = stamp_files(files)
    return Source(
        stamps, sum(max(0, size) for _, size, _ in stamps), lambda: (read_file(file, config) for file in files)
    )


def stamp_files(files: list[SourceFile]) -> list[tuple[str, int, int]]:
    """Return name, size and time (ns) of each file; one that vanished meanwhile has size -1."""
    stamps = []
    for file in files:
        try:
            stat = file.path.stat()
        except OSError:
            stamps.append((file.name, -1, 0))
        else:
            stamps.append((file.name, stat.st_size, stat.st_mtime_ns))
    return stamps


def read_file(file: SourceFile, config: DataConfig) -> Document | None:
    """Return a file as a document, ``None`` where it is not UTF-8 or cannot be read; byte 0 is left out."""
    text = _read_text(file.path)
    return None if text is None else Document(file.name, text, split_of(file.name, config))


def split_of(name: str, config: DataConfig) -> str:
    """Return ``train``, ``validation`` or ``test`` for a document, from the SHA-256 of its name alone."""
    share = int.from_bytes(hash_name(name)[:8], "big") / 2**64
    if share < config.test_fraction:
        return "test"
    return "validation" if share < config.test_fraction + config.validation_fraction else "train"


def _read_text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8").replace("\0", "")
    except (OSError, UnicodeDecodeError):
        return None
