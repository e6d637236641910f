"""Permutations of an epoch's windows: an array for a small corpus, a formula without memory for a large one."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

# Up to here an epoch's order is an array (8 bytes a window); what was published lies below.
ARRAY_WINDOWS = 1 << 22
_ROUNDS = 8
_MASK = (1 << 64) - 1

Permutation = Callable[[np.ndarray], np.ndarray]


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, windows: int, context_length: int) -> tuple[Permutation, int]:
    """Return what maps places (int64, any shape) of an epoch to its windows, and the epoch's offset in tokens."""
    rng = np.random.default_rng([seed, epoch])
    if windows <= ARRAY_WINDOWS:
        order = rng.permutation(windows)
        return order.__getitem__, int(rng.integers(0, context_length))
    keys = rng.integers(0, _MASK, size=_ROUNDS, dtype=np.uint64, endpoint=True)
    offset = int(rng.integers(0, context_length))
    return lambda places: permute(places, windows, keys), offset


def permute(places: np.ndarray, size: int, keys: np.ndarray) -> np.ndarray:
    """Return where a permutation of ``range(size)`` sends `places` (int64, any shape), with no table of it.

    A Feistel network over pairs of digits to the bases a and b, whose product is the least that holds `size`; what
    falls outside goes through it again until it falls inside (cycle walking: Black and Rogaway, 2002). Each of the
    `keys` (uint64) is one round; a round adds a hash of one digit to the other, which can be undone.
    """
    base = math.isqrt(size - 1) + 1
    bases = np.uint64(base), np.uint64(-(-size // base))
    moved = _feistel(places.astype(np.uint64), bases, keys)
    while (outside := moved >= np.uint64(size)).any():
        moved[outside] = _feistel(moved[outside], bases, keys)
    return moved.astype(np.int64)


def _feistel(values: np.ndarray, bases: tuple[np.uint64, np.uint64], keys: np.ndarray) -> np.ndarray:
    high, low = np.divmod(values, bases[1])
    for number, key in enumerate(keys):
        if number % 2 == 0:
            high = (high + _mix(low, key) % bases[0]) % bases[0]
        else:
            low = (low + _mix(high, key) % bases[1]) % bases[1]
    return high * bases[1] + low


def _mix(values: np.ndarray, key: np.uint64) -> np.ndarray:
    """Return the finaliser of SplitMix64 over `values` and `key`, modulo 2^64."""
    mixed = values * np.uint64(0x9E3779B97F4A7C15) + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
