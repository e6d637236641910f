"""Batches by (seed, step), and evaluation windows."""

from __future__ import annotations

import numpy as np
import pytest

from harness.core.errors import DataError
from harness.data.batches import count_windows, iterate_windows, num_epochs, sample_batch

TOKENS = np.arange(1000, dtype=np.uint16)


def test_targets_are_inputs_one_token_later() -> None:
    """Shapes are (B, T), int64."""
    inputs, targets = sample_batch(TOKENS, seed=1, step=0, batch_size=4, context_length=16)
    assert inputs.shape == targets.shape == (4, 16)
    assert inputs.dtype == targets.dtype == np.int64
    np.testing.assert_array_equal(targets, inputs + 1)


def test_a_batch_does_not_depend_on_what_was_drawn_before() -> None:
    """Step 40 from a fresh start equals step 40 after all others: resume is exact."""
    options = {"seed": 3, "batch_size": 8, "context_length": 16}
    direct = sample_batch(TOKENS, step=40, **options)[0]
    for step in range(60):
        sample_batch(TOKENS, step=step, **options)
    np.testing.assert_array_equal(sample_batch(TOKENS, step=40, **options)[0], direct)


def test_epochs_differ_in_order_and_offset() -> None:
    """Two epochs hold each window once, in another order and cut at other places."""
    windows = count_windows(len(TOKENS), 10)
    epochs = [sample_batch(TOKENS, seed=0, step=e, batch_size=windows, context_length=10)[0][:, 0] for e in range(3)]
    for starts in epochs:
        assert set(np.diff(np.sort(starts))) == {10}
    assert len({int(starts.min()) for starts in epochs}) > 1
    assert not np.array_equal(epochs[0] - epochs[0].min(), epochs[1] - epochs[1].min())


def test_too_few_tokens_say_what_to_change() -> None:
    """Training and evaluation both refuse with one line instead of an empty average."""
    with pytest.raises(DataError, match=r"train\.context_length"):
        sample_batch(TOKENS[:20], seed=0, step=0, batch_size=1, context_length=16)
    with pytest.raises(DataError, match=r"train\.context_length"):
        list(iterate_windows(TOKENS[:16], context_length=16, max_tokens=100))


def test_epochs_are_tokens_over_tokens() -> None:
    """1,500 tokens of a text of 1,000 are one and a half epochs."""
    assert num_epochs(1500, TOKENS) == 1.5


def test_evaluation_reads_at_least_one_window() -> None:
    """A limit below a window gives one window rather than none."""
    assert len(list(iterate_windows(TOKENS, context_length=16, max_tokens=3))) == 1
