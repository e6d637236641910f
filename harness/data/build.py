"""Builds a corpus in a folder: documents from their source, near-duplicates out, limit, exercises mixed in, tokens.

Each step leaves its result in the folder, so that an interrupted build goes on from what is done; a step's result
depends on the documents alone. No step holds more than a piece of the text in memory.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.config import DataConfig
from harness.core.errors import DataError
from harness.core.provenance import DataInfo
from harness.core.store import write_text_atomically
from harness.data import dedup
from harness.data.documents import SPLITS, Document, StoredDocuments, are_stored, hash_name, store_documents
from harness.data.file_tokenizer import read_tokenizer, require_lossless
from harness.data.manifest import MANIFEST_NAME, STAMP_NAME, save_manifest
from harness.data.mixture import iterate_exercise_documents, mix_hash
from harness.data.parallel import ProgressOf, run_jobs
from harness.data.sources import Source
from harness.data.tokenise import ShardJob, SignatureJob, cut_pieces, describe, forget_open, tokenise
from harness.data.tokenizer import Tokenizer, load_tokenizer, train_tokenizer

MIN_SPLIT_TOKENS = 4096
# A tokenizer learns from about this much training text; the order of documents is that of hashes, so it is a sample.
TOKENIZER_BYTES = 1 << 30
# What is asked comes from about this much held-out text, which a run holds in memory.
TEST_DOCUMENT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class _Text:
    """What a corpus holds: stored documents, which of them by number, and what their reading and sorting out gave."""

    folders: tuple[Path, ...]
    documents: StoredDocuments
    numbers: np.ndarray
    sha256: str
    num_files: int
    num_duplicates: int


def build_corpus(config: DataConfig, source: Source, folder: Path) -> None:
    """Build the corpus of `config` in `folder`, going on from what is there; at the end only its own files stay.

    Raises:
        DataError: too little text, too many documents for near-duplicate removal, or a source that cannot be read.
        OSError: the folder cannot be written.
    """
    forget_open()  # what an earlier build in this process left open lay under the same names
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / "documents"
    if not are_stored(stored):
        shutil.rmtree(stored, ignore_errors=True)
        with ProgressOf("reading the corpus", source.num_bytes) as progress:
            store_documents(progress.count(source.read(), _size_of), stored)
    text = _choose(config, folder, stored)
    try:
        names = _write_files(config, folder, text)
    finally:
        text.documents.close()
        forget_open()
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in names:
            path.unlink()


def _choose(config: DataConfig, folder: Path, stored: Path) -> _Text:
    """Return the documents that are kept of those in `stored`, and exercises where they are asked for."""
    documents = StoredDocuments(stored)
    removed = _find_duplicates(config, folder, stored, documents)
    kept = _limit(config, documents, np.setdiff1d(np.arange(len(documents)), removed))
    sha256 = _hash_content(documents, kept)
    if not config.kinds:
        return _Text((stored,), documents, kept, sha256, len(kept), len(removed))
    exercises = folder / "exercises"
    if not are_stored(exercises):
        shutil.rmtree(exercises, ignore_errors=True)
        train = kept[documents.split[kept] == SPLITS.index("train")]
        made = iterate_exercise_documents(config, int(documents.text_bytes[train].sum()) + len(train))
        store_documents((Document(name, text, "train") for name, text in made), exercises)
    documents.close()
    together = StoredDocuments(stored, exercises)
    added = np.arange(len(documents), len(together))
    pairs = ((document.name, document.text) for document in map(together.__getitem__, added.tolist()))
    mixed = mix_hash(sha256, pairs, config)
    return _Text((stored, exercises), together, np.concatenate([kept, added]), mixed, len(kept), len(removed))


def _find_duplicates(config: DataConfig, folder: Path, stored: Path, documents: StoredDocuments) -> np.ndarray:
    path = folder / "duplicates.npy"
    if config.near_duplicate_similarity == 0:
        return np.empty(0, dtype=np.int64)
    if path.exists():
        found: np.ndarray = np.load(path)
        return found
    if len(documents) > dedup.MAX_DOCUMENTS:
        raise DataError(
            f"near-duplicate removal compares at most {dedup.MAX_DOCUMENTS:,} documents and there are "
            f"{len(documents):,}; give data.near_duplicate_similarity=0 to keep them, or fewer documents."
        )
    pieces = cut_pieces(np.arange(len(documents)), documents.text_bytes)
    jobs = [SignatureJob(folder, (stored,), f"signatures-{i:05d}.npz", piece) for i, piece in enumerate(pieces)]
    sizes = [int(documents.text_bytes[piece].sum()) for piece in pieces]
    paths = run_jobs(describe, jobs, sizes, num_workers=config.num_workers, label="looking for near-duplicates")
    loaded = [np.load(file) for file in paths]
    keys = np.concatenate([np.empty((0, dedup.NUM_BANDS), dtype=np.uint64), *(one["keys"] for one in loaded)])
    counts = np.concatenate([np.empty(0, dtype=np.int64), *(one["counts"] for one in loaded)])
    removed = dedup.compare_described(
        keys, counts, lambda number: documents[number].text, config.near_duplicate_similarity
    )
    result = np.array(sorted(removed), dtype=np.int64)
    temporary = folder / f".duplicates.{uuid.uuid4().hex}.npy"
    np.save(temporary, result)
    temporary.replace(path)
    return result


def _limit(config: DataConfig, documents: StoredDocuments, numbers: np.ndarray) -> np.ndarray:
    """Return documents of about `max_bytes` together, drawn by an order that knows nothing of the split.

    A data set's rows were limited while they were read.
    """
    if config.corpus == "hf" or not (config.max_bytes or config.max_documents):
        return numbers
    drawn = sorted(numbers.tolist(), key=lambda number: hash_name(documents.name(number), salt="limit:"))
    drawn = drawn[: config.max_documents or None]
    if config.max_bytes:
        over = np.cumsum(documents.text_bytes[drawn]) > config.max_bytes
        over[:1] = False
        drawn = drawn[: int(over.argmax()) if over.any() else None]
    return np.array(sorted(drawn), dtype=np.int64)


def _hash_content(documents: StoredDocuments, numbers: np.ndarray) -> str:
    digest = hashlib.sha256()
    with ProgressOf("hashing the corpus", int(documents.text_bytes[numbers].sum())) as progress:
        for document in progress.count(map(documents.__getitem__, numbers.tolist()), _size_of):
            head = f"{document.split}\0{document.name}\0{len(document.text)}\0"
            digest.update(head.encode(errors="surrogateescape"))
            digest.update(document.text.encode())
    return digest.hexdigest()


def _write_files(config: DataConfig, folder: Path, text: _Text) -> set[str]:
    """Write tokenizer, shards, held-out documents and manifest; return the names of all files."""
    documents = text.documents
    ordered = {
        split: documents.in_order(text.numbers[documents.split[text.numbers] == index])
        for index, split in enumerate(SPLITS)
    }
    tokenizer = _make_tokenizer(config, folder, documents, ordered["train"])
    rows = _tokenise(config, folder, text, ordered)
    num_tokens = {split: sum(row["tokens"] for row in rows[split]) for split in SPLITS}
    num_bytes = {split: sum(row["bytes"] for row in rows[split]) for split in SPLITS}
    for split in SPLITS:
        if num_tokens[split] < MIN_SPLIT_TOKENS:
            raise DataError(
                f"the {split} split has {num_tokens[split]} tokens of {len(ordered[split])} files, "
                f"{MIN_SPLIT_TOKENS} are needed; give more files (a file is wholly in one split)."
            )
        if config.tokenizer == "file":
            require_lossless(num_bytes[split], int(documents.text_bytes[ordered[split]].sum()) + len(ordered[split]))
    info = DataInfo(
        corpus=config.corpus,
        sha256=text.sha256,
        tokenizer=config.tokenizer,
        tokenizer_sha256=hashlib.sha256(f"{config.tokenizer}:{tokenizer.to_json()}".encode()).hexdigest(),
        vocab_size=tokenizer.vocab_size,
        num_files=text.num_files,
        num_duplicates_removed=text.num_duplicates,
        train_bytes=num_bytes["train"],
        train_tokens=num_tokens["train"],
        validation_bytes=num_bytes["validation"],
        validation_tokens=num_tokens["validation"],
        test_bytes=num_bytes["test"],
        test_tokens=num_tokens["test"],
        bytes_per_token=num_bytes["validation"] / num_tokens["validation"],
    )
    write_text_atomically(folder / "test.json", json.dumps(_held_out(documents, ordered["test"])))
    contents = {
        "info": dataclasses.asdict(info),
        "num_skipped_files": documents.num_skipped,
        "shards": rows,
    }
    known = {row["name"]: row["sha256"] for split in SPLITS for row in rows[split]}
    names = {*known, "tokenizer.json", "test.json"}
    save_manifest(folder, contents, known, names)
    return {*names, MANIFEST_NAME, STAMP_NAME}


def _make_tokenizer(config: DataConfig, folder: Path, documents: StoredDocuments, train: np.ndarray) -> Tokenizer:
    path = folder / "tokenizer.json"
    if path.exists():
        return load_tokenizer(config.tokenizer, path.read_text())
    if config.tokenizer == "file":
        tokenizer: Tokenizer = read_tokenizer(config)
    else:
        learned = train[
            np.cumsum(documents.text_bytes[train]) <= max(TOKENIZER_BYTES, documents.text_bytes[train[:1]].sum())
        ]
        with ProgressOf("training the tokenizer", int(documents.text_bytes[learned].sum())) as progress:
            read = progress.count(map(documents.__getitem__, learned.tolist()), _size_of)
            tokenizer = train_tokenizer(config.tokenizer, config.vocab_size, (document.text for document in read))
    write_text_atomically(path, tokenizer.to_json())
    return tokenizer


def _tokenise(
    config: DataConfig, folder: Path, text: _Text, ordered: dict[str, np.ndarray]
) -> dict[str, list[dict[str, Any]]]:
    """Return the manifest's rows of each split's shards."""
    text_bytes = text.documents.text_bytes
    jobs = [
        (split, ShardJob(folder, text.folders, f"{split}-{number:05d}.bin", piece, config.tokenizer))
        for split in SPLITS
        for number, piece in enumerate(cut_pieces(ordered[split], text_bytes))
    ]
    sizes = [int(text_bytes[job.numbers].sum()) for _, job in jobs]
    made = run_jobs(tokenise, [job for _, job in jobs], sizes, num_workers=config.num_workers, label="tokenising")
    rows: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for (split, _), row in zip(jobs, made, strict=True):
        rows[split].append(row)
    return rows


def _held_out(documents: StoredDocuments, numbers: np.ndarray) -> list[tuple[str, str]]:
    within = numbers[np.cumsum(documents.text_bytes[numbers]) <= TEST_DOCUMENT_BYTES]
    return [(document.name, document.text) for document in map(documents.__getitem__, within.tolist())]


def _size_of(document: Document | None) -> int:
    return len(document.text) if document is not None else 0
