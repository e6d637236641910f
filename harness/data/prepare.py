"""From a corpus to three token arrays: read, near-duplicates out, split by path, tokenise, cache.

The cache (``$ISOJOULE_CACHE`` or ``~/.cache/isojoule``) is keyed by the configuration and the files' sizes and times,
checked by content hashes when loaded, and rebuilt when it does not hold.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.core.config import DataConfig
from harness.core.errors import DataError
from harness.core.records import DataInfo
from harness.data.corpus import SourceFile, list_files
from harness.data.dedup import find_near_duplicates
from harness.data.tokenizer import Tokenizer, load_tokenizer, train_tokenizer

_FORMAT_VERSION = 1
_SPLITS = ("train", "validation", "test")
MIN_SPLIT_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Dataset:
    """Token ids (uint16) of the three splits, the tokenizer, and the held-out test files as (name, text)."""

    info: DataInfo
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    tokenizer: Tokenizer
    test_documents: tuple[tuple[str, str], ...]


def prepare_data(config: DataConfig) -> Dataset:
    """Return the corpus of `config`, from the cache where it holds.

    Raises:
        DataError: no file, or too little text to split.
    """
    files = list_files(config)
    folder = cache_root() / "corpora" / _cache_key(config, files)
    cached = _load(folder, config)
    if cached is not None:
        return cached
    _build(config, files, folder)
    built = _load(folder, config)
    if built is None:
        raise DataError(f"the corpus cache '{folder}' cannot be read back; set ISOJOULE_CACHE to another folder.")
    return built


def cache_root() -> Path:
    """Return the folder of all caches."""
    return Path(os.environ.get("ISOJOULE_CACHE") or Path.home() / ".cache" / "isojoule")


def split_of(name: str, config: DataConfig) -> str:
    """Return ``train``, ``validation`` or ``test`` for a file, from the SHA-256 of its name alone."""
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    if share < config.test_fraction:
        return "test"
    return "validation" if share < config.test_fraction + config.validation_fraction else "train"


def _cache_key(config: DataConfig, files: Sequence[SourceFile]) -> str:
    stamps = [(file.name, (stat := file.path.stat()).st_size, stat.st_mtime_ns) for file in files]
    text = json.dumps([_FORMAT_VERSION, sys.version, dataclasses.asdict(config), stamps])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _build(config: DataConfig, files: Sequence[SourceFile], folder: Path) -> None:
    read = [(file.name, text) for file in files if (text := _read(file.path)) is not None]
    duplicates = find_near_duplicates([text for _, text in read], config.near_duplicate_similarity)
    kept = [item for index, item in enumerate(read) if index not in duplicates]
    kept.sort(key=lambda item: hashlib.sha256(item[0].encode()).digest())
    kept = _limit(kept, config.max_bytes)
    documents = {split: [item for item in kept if split_of(item[0], config) == split] for split in _SPLITS}
    tokenizer = train_tokenizer(config.tokenizer, config.vocab_size, (text for _, text in documents["train"]))
    tokens = {split: _tokenise(documents[split], tokenizer) for split in _SPLITS}
    for split in _SPLITS:
        if len(tokens[split]) < MIN_SPLIT_TOKENS:
            raise DataError(
                f"the {split} split has {len(tokens[split])} tokens of {len(documents[split])} files, "
                f"{MIN_SPLIT_TOKENS} are needed; give more files (a file is wholly in one split)."
            )
    tokenizer_text = tokenizer.to_json()
    num_bytes = {split: int(tokenizer.token_num_bytes[tokens[split]].sum()) for split in _SPLITS}
    info = DataInfo(
        corpus=config.corpus,
        sha256=_content_hash(kept, config),
        tokenizer=config.tokenizer,
        tokenizer_sha256=hashlib.sha256(f"{config.tokenizer}:{tokenizer_text}".encode()).hexdigest(),
        vocab_size=tokenizer.vocab_size,
        num_files=len(kept),
        num_duplicates_removed=len(duplicates),
        train_bytes=num_bytes["train"],
        train_tokens=len(tokens["train"]),
        validation_bytes=num_bytes["validation"],
        validation_tokens=len(tokens["validation"]),
        test_bytes=num_bytes["test"],
        test_tokens=len(tokens["test"]),
        bytes_per_token=num_bytes["validation"] / len(tokens["validation"]),
    )
    _write(folder, info, tokens, tokenizer_text, documents["test"])


def _read(path: Path) -> str | None:
    """Return the text of a file, ``None`` where it is not UTF-8 or cannot be read; byte 0 is left out."""
    try:
        return path.read_bytes().decode("utf-8").replace("\0", "")
    except (OSError, UnicodeDecodeError):
        return None


def _limit(documents: list[tuple[str, str]], max_bytes: int) -> list[tuple[str, str]]:
    if max_bytes <= 0:
        return documents
    kept, total = [], 0
    for name, text in documents:
        total += len(text.encode())
        if kept and total > max_bytes:
            break
        kept.append((name, text))
    return kept


def _tokenise(documents: Sequence[tuple[str, str]], tokenizer: Tokenizer) -> np.ndarray:
    parts = [np.array([*tokenizer.encode(text), tokenizer.separator], dtype=np.uint16) for _, text in documents]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint16)


def _content_hash(documents: Sequence[tuple[str, str]], config: DataConfig) -> str:
    digest = hashlib.sha256()
    for name, text in sorted(documents):
        digest.update(f"{split_of(name, config)}\0{name}\0{len(text)}\0".encode())
        digest.update(text.encode())
    return digest.hexdigest()


def _write(
    folder: Path, info: DataInfo, tokens: dict[str, np.ndarray], tokenizer: str, test: list[tuple[str, str]]
) -> None:
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for split, array in tokens.items():
        np.save(temporary / f"{split}.npy", array)
    (temporary / "tokenizer.json").write_text(tokenizer)
    (temporary / "test.json").write_text(json.dumps(test))
    hashes = {path.name: _file_hash(path) for path in sorted(temporary.iterdir())}
    (temporary / "manifest.json").write_text(json.dumps({"info": dataclasses.asdict(info), "files": hashes}))
    shutil.rmtree(folder, ignore_errors=True)
    try:
        temporary.rename(folder)
    except OSError:  # another process was first; its content is the same
        shutil.rmtree(temporary, ignore_errors=True)


def _load(folder: Path, config: DataConfig) -> Dataset | None:
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        if any(_file_hash(folder / name) != expected for name, expected in manifest["files"].items()):
            return None
        arrays = {split: np.load(folder / f"{split}.npy") for split in _SPLITS}
        return Dataset(
            info=DataInfo(**manifest["info"]),
            tokenizer=load_tokenizer(config.tokenizer, (folder / "tokenizer.json").read_text()),
            test_documents=tuple((name, text) for name, text in json.loads((folder / "test.json").read_text())),
            **arrays,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
