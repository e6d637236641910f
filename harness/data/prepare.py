"""A corpus for a run: from the cache where it holds, else built once, whoever asks for it at the same time.

The cache (``$ISOJOULE_CACHE`` or ``~/.cache/isojoule``) is keyed by the configuration, the versions of Python and of
`tokenizers`, and the files' sizes and times. A build lies in a folder of its own until a rename makes it the corpus.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import shutil
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tokenizers

from harness.core.config import DataConfig
from harness.core.errors import DataError
from harness.core.markers import BEAT_S, claim_marker, owner_state, touch_marker
from harness.core.provenance import DataInfo
from harness.data.build import build_corpus
from harness.data.file_tokenizer import find_tokenizer
from harness.data.manifest import FORMAT_VERSION, load_manifest
from harness.data.mixture import validate_mixture
from harness.data.shards import Tokens, hash_file, open_tokens, token_dtype
from harness.data.sources import Source, open_source
from harness.data.tokenizer import Tokenizer, check_learned, load_tokenizer

MIN_SIMILARITY = 0.5
_WAIT_S = 0.1
_ABANDONED_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Dataset:
    """Token ids of the three splits, the tokenizer, and held-out test documents as (name, text).

    Ids are uint16, or uint32 where the vocabulary has more than 65,536; a large split is mapped from its files.
    `test_documents` are of the first 64 MiB of the test split. `num_skipped_files` counts files or rows that are not
    UTF-8 or cannot be read.
    """

    info: DataInfo
    train: Tokens
    validation: Tokens
    test: Tokens
    tokenizer: Tokenizer
    test_documents: tuple[tuple[str, str], ...]
    num_skipped_files: int

    @property
    def validation_bytes(self) -> int:
        """Return the bytes of the validation split, one a separator."""
        return self.info.validation_bytes

    @property
    def identity_sha256(self) -> str:
        """Return what a run's id holds of its data: the text and, where the user brought it, the tokenizer."""
        if self.info.tokenizer != "file":  # others follow from the text and the configuration
            return self.info.sha256
        return hashlib.sha256(f"{self.info.sha256}:{self.info.tokenizer_sha256}".encode()).hexdigest()


def prepare_data(config: DataConfig) -> Dataset:
    """Return the corpus of `config`, from the cache where it holds.

    Raises:
        ConfigError: a kind of exercises that is not generated, in this version or with these options.
        DataError: no text, too little to split, a value out of range, or a cache that cannot be written.
    """
    _validate(config)
    validate_mixture(config)
    source = open_source(config)
    folder = cache_root() / "corpora" / _cache_key(config, source)
    cached = _load(folder, config)
    if cached is not None:
        return cached
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        built = _build_once(config, source, folder)
    except OSError as error:
        raise DataError(f"the cache '{folder}' cannot be written ({error}); set ISOJOULE_CACHE to a folder.") from error
    if built is None:
        raise DataError(f"the cache '{folder}' cannot be read back; set ISOJOULE_CACHE to another folder.")
    return built


def cache_root() -> Path:
    """Return the folder of all caches."""
    return Path(os.environ.get("ISOJOULE_CACHE") or Path.home() / ".cache" / "isojoule")


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
    for name in ("max_bytes", "max_documents"):
        if getattr(config, name) < 0:
            raise DataError(f"data.{name} is {getattr(config, name)}; give a number above 0, or 0 for no limit.")
    if config.num_workers < 0:
        raise DataError(f"data.num_workers is {config.num_workers}; give 1 or more, or 0 for one a core.")
    if config.verify not in ("stamp", "full"):
        raise DataError(f"data.verify is '{config.verify}'; it is stamp (sizes and times) or full (every byte).")
    if config.tokenizer != "file":
        check_learned(config.tokenizer, config.vocab_size)


def _cache_key(config: DataConfig, source: Source) -> str:
    values = dataclasses.asdict(config)
    for name in ("num_workers", "streaming", "verify"):  # they change no token
        del values[name]
    if config.tokenizer == "file":
        values["tokenizer_path"] = hash_file(find_tokenizer(config))
    text = json.dumps([FORMAT_VERSION, sys.version, tokenizers.__version__, values, source.stamps])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _build_once(config: DataConfig, source: Source, folder: Path) -> Dataset | None:
    """Build the corpus unless another process has done so meanwhile, and load it.

    A start marker in the place of a lock: it works on network file systems, and that of a process that died is taken
    over, with what it had done. Were there two builders all the same, both would make the same files.
    """
    marker = folder.with_name(f".{folder.name}.building.json")
    is_told = False
    while not claim_marker(marker, {"corpus": folder.name}):
        while owner_state(marker) == "alive":
            if not is_told:
                print(f"another process builds the corpus {folder.name}; waiting for it", file=sys.stderr, flush=True)
                is_told = True
            time.sleep(_WAIT_S)
    try:
        with _beating(marker):
            built = _load(folder, config)
            return built if built is not None else _build(config, source, folder)
    finally:
        marker.unlink(missing_ok=True)


def _build(config: DataConfig, source: Source, folder: Path) -> Dataset | None:
    _remove_abandoned(folder.parent)
    is_damaged = folder.exists()
    work = folder.with_name(f".{folder.name}.building")
    try:
        build_corpus(config, source, work)
    except DataError as error:
        if is_damaged:
            raise DataError(f"the corpus in '{folder}' is damaged and cannot be built again: {error}") from error
        raise
    except OSError:
        built = _load(folder, config)  # a second builder, taken for dead while it slept, was done before
        if built is None:
            raise
        return built
    if folder.exists():
        folder.rename(folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.old"))
    work.rename(folder)
    _remove_abandoned(folder.parent)
    return _load(folder, config)


def _load(folder: Path, config: DataConfig) -> Dataset | None:
    contents = load_manifest(folder, full=config.verify == "full")
    if contents is None:
        return None
    try:
        dtype = token_dtype(contents["info"]["vocab_size"])
        shards = contents["shards"]
        for shard in itertools.chain.from_iterable(shards.values()):
            if shard["tokens"] * dtype.itemsize != contents["files"][shard["name"]]["bytes"]:
                return None
        return Dataset(
            info=DataInfo(**contents["info"]),
            train=open_tokens(folder, shards["train"], dtype),
            validation=open_tokens(folder, shards["validation"], dtype),
            test=open_tokens(folder, shards["test"], dtype),
            tokenizer=load_tokenizer(config.tokenizer, (folder / "tokenizer.json").read_text()),
            test_documents=tuple((name, text) for name, text in json.loads((folder / "test.json").read_text())),
            num_skipped_files=contents["num_skipped_files"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


@contextlib.contextmanager
def _beating(marker: Path) -> Iterator[None]:
    """Say now and then that this process lives, for those on other hosts that wait."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT_S):
            touch_marker(marker)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _remove_abandoned(corpora: Path) -> None:
    """Remove corpora that were replaced, and builds that nobody went on with for a week: their sources have changed."""
    for old in corpora.glob(".*.old"):
        shutil.rmtree(old, ignore_errors=True)
    for work in corpora.glob(".*.building"):
        with contextlib.suppress(OSError):
            touched = max((path.stat().st_mtime for path in work.iterdir()), default=work.stat().st_mtime)
            if time.time() - touched > _ABANDONED_S and owner_state(work.with_name(f"{work.name}.json")) != "alive":
                shutil.rmtree(work, ignore_errors=True)
