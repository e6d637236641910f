"""From a corpus to three token arrays: read, near-duplicates out, split by path, exercises mixed in, tokenise, cache.

The cache (``$ISOJOULE_CACHE`` or ``~/.cache/isojoule``) is keyed by the configuration, the versions of Python and of
`tokenizers`, and the files' sizes and times; checked by content hashes when loaded; rebuilt when it does not hold.
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
from typing import Any

import numpy as np
import tokenizers
from filelock import FileLock

from harness.core.config import DataConfig
from harness.core.errors import DataError
from harness.core.plain_json import check_file_name, parse_json, read_bytes
from harness.core.records import DataInfo
from harness.data.corpus import SourceFile, list_files
from harness.data.dedup import find_near_duplicates
from harness.data.mixture import build_exercise_documents, mix_hash, validate_mixture
from harness.data.tokenizer import Tokenizer, load_tokenizer, train_tokenizer

_FORMAT_VERSION = 2
_SPLITS = ("train", "validation", "test")
MIN_SPLIT_TOKENS = 4096
MIN_SIMILARITY = 0.5


@dataclass(frozen=True, slots=True)
class Dataset:
    """Token ids (uint16) of the three splits, the tokenizer, and the held-out test files as (name, text).

    `num_skipped_files` counts files that are not UTF-8 or cannot be read.
    """

    info: DataInfo
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    tokenizer: Tokenizer
    test_documents: tuple[tuple[str, str], ...]
    num_skipped_files: int

    @property
    def validation_bytes(self) -> int:
        """Return the bytes of the validation split, one a separator."""
        return self.info.validation_bytes


def prepare_data(config: DataConfig) -> Dataset:
    """Return the corpus of `config`, from the cache where it holds.

    Raises:
        ConfigError: a kind of exercises that is not generated, in this version or with these options.
        DataError: no file, too little text to split, a value out of range, or a cache that cannot be written.
    """
    _validate(config)
    validate_mixture(config)
    files = list_files(config)
    folder = cache_root() / "corpora" / _cache_key(config, files)
    cached = _load(folder, config)
    if cached is not None:
        return cached
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):  # jobs that start together build once; the others wait and load
            built = _load(folder, config)
            if built is None:
                _build(config, files, folder)
                built = _load(folder, config)
    except OSError as error:
        raise DataError(f"the cache '{folder}' cannot be written ({error}); set ISOJOULE_CACHE to a folder.") from error
    if built is None:
        raise DataError(f"the cache '{folder}' cannot be read back; set ISOJOULE_CACHE to another folder.")
    return built


def cache_root() -> Path:
    """Return the folder of all caches."""
    return Path(os.environ.get("ISOJOULE_CACHE") or Path.home() / ".cache" / "isojoule")


def split_of(name: str, config: DataConfig) -> str:
    """Return ``train``, ``validation`` or ``test`` for a file, from the SHA-256 of its name alone."""
    share = int.from_bytes(_hash_name(name)[:8], "big") / 2**64
    if share < config.test_fraction:
        return "test"
    return "validation" if share < config.test_fraction + config.validation_fraction else "train"


def _validate(config: DataConfig) -> None:
    validation, test = config.validation_fraction, config.test_fraction
    if not (validation > 0 and test > 0 and validation + test < 1):
        raise DataError(
            f"data.validation_fraction {validation} and data.test_fraction {test} must both be above 0 and leave text "
            "to train on."
        )
    similarity = config.near_duplicate_similarity
    if similarity != 0 and not MIN_SIMILARITY <= similarity <= 1:
        raise DataError(
            f"data.near_duplicate_similarity is {similarity}; give {MIN_SIMILARITY} to 1, or 0 to keep duplicates."
        )
    if config.max_bytes < 0:
        raise DataError(f"data.max_bytes is {config.max_bytes}; give a number above 0, or 0 for no limit.")


def _hash_name(name: str, salt: str = "") -> bytes:
    return hashlib.sha256((salt + name).encode(errors="surrogateescape")).digest()


def _cache_key(config: DataConfig, files: Sequence[SourceFile]) -> str:
    stamps = [(file.name, (stat := file.path.stat()).st_size, stat.st_mtime_ns) for file in files]
    versions = [_FORMAT_VERSION, sys.version, tokenizers.__version__]
    text = json.dumps([versions, dataclasses.asdict(config), stamps])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _build(config: DataConfig, files: Sequence[SourceFile], folder: Path) -> None:
    read = [(file.name, text) for file in files if (text := _read(file.path)) is not None]
    similarity = config.near_duplicate_similarity
    duplicates = find_near_duplicates([text for _, text in read], similarity) if similarity > 0 else set()
    kept = [item for index, item in enumerate(read) if index not in duplicates]
    kept = sorted(_limit(kept, config.max_bytes), key=lambda item: _hash_name(item[0]))
    documents = {split: [item for item in kept if split_of(item[0], config) == split] for split in _SPLITS}
    exercises = build_exercise_documents(config, sum(len(text.encode()) + 1 for _, text in documents["train"]))
    documents["train"] = sorted([*documents["train"], *exercises], key=lambda item: _hash_name(item[0]))
    tokenizer = train_tokenizer(config.tokenizer, config.vocab_size, (text for _, text in documents["train"]))
    tokens = {split: _tokenise(documents[split], tokenizer) for split in _SPLITS}
    for split in _SPLITS:
        if len(tokens[split]) < MIN_SPLIT_TOKENS:
            raise DataError(
                f"the {split} split has {len(tokens[split])} tokens of {len(documents[split])} files, "
                f"{MIN_SPLIT_TOKENS} are needed; give more files (a file is wholly in one split)."
            )
    tokenizer_text = tokenizer.to_json()
    sha256 = _content_hash(kept, config)
    num_bytes = {split: int(tokenizer.token_num_bytes[tokens[split]].sum()) for split in _SPLITS}
    info = DataInfo(
        corpus=config.corpus,
        sha256=mix_hash(sha256, exercises, config) if exercises else sha256,
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
    contents = {"info": dataclasses.asdict(info), "num_skipped_files": len(files) - len(read)}
    _write(folder, contents, tokens, tokenizer_text, documents["test"])


def _read(path: Path) -> str | None:
    """Return the text of a file, ``None`` where it is not UTF-8 or cannot be read; byte 0 is left out."""
    try:
        return path.read_bytes().decode("utf-8").replace("\0", "")
    except (OSError, UnicodeDecodeError):
        return None


def _limit(documents: list[tuple[str, str]], max_bytes: int) -> list[tuple[str, str]]:
    """Return documents of about `max_bytes` together, drawn by an order that knows nothing of the split."""
    if max_bytes == 0:
        return documents
    kept: list[tuple[str, str]] = []
    total = 0
    for name, text in sorted(documents, key=lambda item: _hash_name(item[0], salt="limit:")):
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
        digest.update(f"{split_of(name, config)}\0{name}\0{len(text)}\0".encode(errors="surrogateescape"))
        digest.update(text.encode())
    return digest.hexdigest()


def _write(
    folder: Path, contents: dict[str, Any], tokens: dict[str, np.ndarray], tokenizer: str, test: list[tuple[str, str]]
) -> None:
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for split, array in tokens.items():
        np.save(temporary / f"{split}.npy", array)
    (temporary / "tokenizer.json").write_text(tokenizer)
    (temporary / "test.json").write_text(json.dumps(test))
    contents["files"] = {path.name: _file_hash(path) for path in sorted(temporary.iterdir())}
    manifest = {"contents": contents, "sha256": _contents_hash(contents)}
    (temporary / "manifest.json").write_text(json.dumps(manifest, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def _load(folder: Path, config: DataConfig) -> Dataset | None:
    try:
        manifest = parse_json(read_bytes(folder / "manifest.json"))
        contents = manifest["contents"]
        if _contents_hash(contents) != manifest["sha256"]:
            return None
        for name in contents["files"]:
            check_file_name(name, "files")
        if any(_file_hash(folder / name) != expected for name, expected in contents["files"].items()):
            return None
        arrays = {split: np.load(folder / f"{split}.npy") for split in _SPLITS}
        return Dataset(
            info=DataInfo(**contents["info"]),
            tokenizer=load_tokenizer(config.tokenizer, (folder / "tokenizer.json").read_text()),
            test_documents=tuple((name, text) for name, text in json.loads((folder / "test.json").read_text())),
            num_skipped_files=contents["num_skipped_files"],
            **arrays,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _contents_hash(contents: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
