"""Batches as a pure function of (seed, step): resuming is exact, and both families see the same data in the same order.

Shape suffixes: B batch, T context length.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.core.errors import DataError
from harness.data.order import epoch_order
from harness.data.shards import Tokens


def sample_batch(
    tokens: Tokens, *, seed: int, step: int, batch_size: int, context_length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and targets, int64 (B, T) each; targets are the inputs one token later.

    An epoch is a fresh permutation of the non-overlapping windows, begun at a fresh random offset.
    """
    return sample_rows(tokens, seed=seed, first=step * batch_size, count=batch_size, context_length=context_length)


def sample_rows(
    tokens: Tokens, *, seed: int, first: int, count: int, context_length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return samples `first` to `first + count` of the endless order of `seed`, as `sample_batch` does.

    Sample n is the same whoever draws it and however many are drawn at once: ranks that part a step's samples among
    them see together what one process sees alone.
    """
    windows = count_windows(len(tokens), context_length)
    samples = np.arange(first, first + count)
    starts = np.empty(count, dtype=np.int64)
    for epoch in np.unique(samples // windows):
        here = samples // windows == epoch
        order, offset = epoch_order(seed, int(epoch), windows, context_length)
        starts[here] = offset + order(samples[here] % windows) * context_length
    batch = np.stack([tokens[start : start + context_length + 1] for start in starts.tolist()]).astype(np.int64)
    return batch[:, :-1], batch[:, 1:]


def count_windows(num_tokens: int, context_length: int) -> int:
    """Return training windows of one epoch, leaving room for any offset.

    Raises:
        DataError: there is not one.
    """
    windows = (num_tokens - 1) // context_length - 1
    if windows < 1:
        raise _too_short(num_tokens, context_length)
    return windows


def num_epochs(num_tokens_seen: int, tokens: Tokens) -> float:
    """Return how often the training text was seen."""
    return num_tokens_seen / len(tokens)


def iterate_windows(tokens: Tokens, *, context_length: int, max_tokens: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (inputs, targets), int64 (T,) each, of non-overlapping windows over about the first `max_tokens`.

    Every target is predicted once; a shorter rest at the end is left out.

    Raises:
        DataError: `tokens` do not fill one window.
    """
    if len(tokens) <= context_length:
        raise _too_short(len(tokens), context_length)
    end = min(len(tokens) - 1, max(max_tokens, context_length))
    for start in range(0, end - context_length + 1, context_length):
        window = tokens[start : start + context_length + 1].astype(np.int64)
        yield window[:-1], window[1:]


def _too_short(num_tokens: int, context_length: int) -> DataError:
    return DataError(
        f"{num_tokens} tokens are too few for windows of {context_length}; give more text or a smaller "
        "train.context_length."
    )
