"""Near-duplicate files, removed before the split: copies on both sides would reward memory, that is total parameters.

MinHash over word shingles proposes pairs (Broder, 1997), exact Jaccard similarity decides.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

_SHINGLE_WORDS = 5
_NUM_BANDS, _ROWS_PER_BAND = 24, 3
_PRIME = (1 << 31) - 1
_WORD = re.compile(r"\w+|[^\w\s]")


def find_near_duplicates(texts: Sequence[str], similarity: float) -> set[int]:
    """Return indices of texts whose shingles are at least `similarity` (0 to 1) like those of an earlier kept text.

    Texts shorter than a shingle are compared whole. Deterministic. Of the pairs of similarity 0.8 (0.5) more than 99.9%
    (95%) are proposed; below 0.5 too many would be missed.
    """
    shingles = [_shingles(text) for text in texts]
    signatures = np.stack([_signature(hashes) for hashes in shingles]) if shingles else np.empty((0, 0))
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    removed: set[int] = set()
    for index, signature in enumerate(signatures):
        bands = [
            (band, signature[band * _ROWS_PER_BAND : (band + 1) * _ROWS_PER_BAND].tobytes())
            for band in range(_NUM_BANDS)
        ]
        candidates = sorted({other for key in bands for other in buckets[key]})
        if any(_jaccard(shingles[index], shingles[other]) >= similarity for other in candidates):
            removed.add(index)
            continue
        for key in bands:
            buckets[key].append(index)
    return removed


def _shingles(text: str) -> np.ndarray:
    words = [zlib.crc32(word.encode()) for word in _WORD.findall(text)]
    if len(words) < _SHINGLE_WORDS:
        return np.array([zlib.crc32(text.encode()) % _PRIME], dtype=np.int64)
    hashed = np.array(words, dtype=np.int64) % _PRIME
    windows = np.lib.stride_tricks.sliding_window_view(hashed, _SHINGLE_WORDS)
    mixed = np.zeros(len(windows), dtype=np.int64)
    for column in range(_SHINGLE_WORDS):
        mixed = (mixed * 31 + windows[:, column]) % _PRIME
    unique: np.ndarray = np.unique(mixed)
    return unique


def _signature(hashes: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    count = _NUM_BANDS * _ROWS_PER_BAND
    a = rng.integers(1, _PRIME, size=count, dtype=np.int64)
    b = rng.integers(0, _PRIME, size=count, dtype=np.int64)
    return np.array([((hashes * factor + shift) % _PRIME).min() for factor, shift in zip(a, b, strict=True)])


def _jaccard(left: np.ndarray, right: np.ndarray) -> float:
    common = len(np.intersect1d(left, right, assume_unique=True))
    return common / (len(left) + len(right) - common)
