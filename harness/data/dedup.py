"""Near-duplicate documents, removed before the split: copies on both sides would reward memory: total parameters.

MinHash over word shingles proposes pairs (Broder, 1997), exact Jaccard similarity decides. Only hashes of signatures
stay in memory; the texts of proposed pairs are read again.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

# Each takes 200 bytes of memory, one that shares a band with another about 3 kB: 1 to 15 GB.
MAX_DOCUMENTS = 5_000_000
NUM_BANDS, _ROWS_PER_BAND = 24, 3
_SHINGLE_WORDS = 5
_PRIME = (1 << 31) - 1
_WORD = re.compile(r"\w+|[^\w\s]")
_KEPT_SHINGLES = 256
_LONG = 1 << 24
_rng = np.random.default_rng(0)
_FACTORS = _rng.integers(1, _PRIME, size=NUM_BANDS * _ROWS_PER_BAND, dtype=np.int64)
_SHIFTS = _rng.integers(0, _PRIME, size=NUM_BANDS * _ROWS_PER_BAND, dtype=np.int64)


def find_near_duplicates(texts: Sequence[str], similarity: float) -> set[int]:
    """Return indices of texts whose shingles are at least `similarity` (0 to 1) like those of an earlier kept text.

    Texts shorter than a shingle are compared whole. Deterministic. Of the pairs of similarity 0.8 (0.5) more than 99.9%
    (95%) are proposed; below 0.5 too many would be missed.
    """
    described = [describe_text(text) for text in texts]
    keys = np.array([keys for keys, _ in described], dtype=np.uint64).reshape(-1, NUM_BANDS)
    counts = np.array([count for _, count in described], dtype=np.int64)
    return compare_described(keys, counts, texts.__getitem__, similarity)


def describe_text(text: str) -> tuple[np.ndarray, int]:
    """Return the hashes of a text's bands, uint64 (24,), and how many shingles it has."""
    shingles = _shingles(text)
    bands = _signature(shingles).reshape(NUM_BANDS, _ROWS_PER_BAND).astype(np.uint64)
    keys = bands[:, 0]
    for row in range(1, _ROWS_PER_BAND):
        keys = _scramble(keys) + bands[:, row]
    return _scramble(keys), len(shingles)


def compare_described(
    keys: np.ndarray, counts: np.ndarray, read_text: Callable[[int], str], similarity: float
) -> set[int]:
    """Return what `find_near_duplicates` does, from `describe_text` of each text: (N, 24) and (N,).

    `read_text` gives the text of an index again. Pairs whose sizes alone rule the similarity out are not read.
    """
    read = lru_cache(maxsize=_KEPT_SHINGLES)(lambda index: _shingles(read_text(index)))
    kept_in: dict[tuple[int, int], list[int]] = defaultdict(list)
    removed: set[int] = set()
    for index, buckets in _shared_buckets(keys).items():
        candidates = sorted({other for bucket in buckets for other in kept_in[bucket]})
        if any(
            _may_reach(counts[index], counts[other], similarity) and _jaccard(read(index), read(other)) >= similarity
            for other in candidates
        ):
            removed.add(index)
            continue
        for bucket in buckets:
            kept_in[bucket].append(index)
    return removed


def _shared_buckets(keys: np.ndarray) -> dict[int, list[tuple[int, int]]]:
    """Return, by index in ascending order, the buckets (band, number) of each text that shares one with another."""
    shared: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for band in range(keys.shape[1]):
        _, bucket, sizes = np.unique(keys[:, band], return_inverse=True, return_counts=True)
        for index in np.flatnonzero(sizes[bucket] > 1).tolist():
            shared[index].append((band, int(bucket[index])))
    return dict(sorted(shared.items()))


def _may_reach(left: int, right: int, similarity: float) -> bool:
    """Return whether sets of these sizes can have this Jaccard similarity: at most the smaller over the larger."""
    return bool(min(left, right) / max(left, right) >= similarity)


def _scramble(values: np.ndarray) -> np.ndarray:
    mixed = values * np.uint64(0x9E3779B97F4A7C15)
    return mixed ^ (mixed >> np.uint64(29))


def _shingles(text: str) -> np.ndarray:
    # a list of words is quicker, and too large for a text as long as a shelf of books
    words = _WORD.findall(text) if len(text) < _LONG else (match.group() for match in _WORD.finditer(text))
    hashed = np.fromiter((zlib.crc32(word.encode()) for word in words), dtype=np.int64) % _PRIME
    if len(hashed) < _SHINGLE_WORDS:
        return np.array([zlib.crc32(text.encode()) % _PRIME], dtype=np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(hashed, _SHINGLE_WORDS)
    mixed = np.zeros(len(windows), dtype=np.int64)
    for column in range(_SHINGLE_WORDS):
        mixed = (mixed * 31 + windows[:, column]) % _PRIME
    unique: np.ndarray = np.unique(mixed)
    return unique


def _signature(hashes: np.ndarray) -> np.ndarray:
    return np.array([((hashes * a + b) % _PRIME).min() for a, b in zip(_FACTORS, _SHIFTS, strict=True)])


def _jaccard(left: np.ndarray, right: np.ndarray) -> float:
    common = len(np.intersect1d(left, right, assume_unique=True))
    return common / (len(left) + len(right) - common)
