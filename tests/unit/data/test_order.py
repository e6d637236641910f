"""The order of a large corpus: a formula in the place of a table, and samples that do not depend on who draws them."""

from __future__ import annotations

import numpy as np
import pytest

from harness.data import order
from harness.data.batches import count_windows, sample_batch, sample_rows

TOKENS = np.arange(1000, dtype=np.uint16)
OPTIONS = {"seed": 3, "context_length": 16}


@pytest.fixture(params=["table", "formula"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to order an epoch; 61 windows are many for the second."""
    monkeypatch.setattr(order, "ARRAY_WINDOWS", 1 << 22 if request.param == "table" else 10)
    order.epoch_order.cache_clear()
    yield request.param
    order.epoch_order.cache_clear()


def test_ranks_see_together_what_one_process_sees(kind: str) -> None:
    """Whatever the world size, the samples of a step are the same, across the borders of epochs too."""
    for step in range(40):
        whole = sample_batch(TOKENS, step=step, batch_size=12, **OPTIONS)[0]
        for world in (1, 2, 3, 4, 6):
            share = 12 // world
            parts = [sample_rows(TOKENS, first=step * 12 + r * share, count=share, **OPTIONS)[0] for r in range(world)]
            np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_another_batch_size_sees_the_same_samples(kind: str) -> None:
    """Sample n is the same in any batch."""
    by_eight = [sample_batch(TOKENS, step=step, batch_size=8, **OPTIONS)[0] for step in range(30)]
    by_five = [sample_batch(TOKENS, step=step, batch_size=5, **OPTIONS)[0] for step in range(48)]
    np.testing.assert_array_equal(np.concatenate(by_eight), np.concatenate(by_five))


def test_epochs_hold_every_window_once_in_another_order(kind: str) -> None:
    """Three epochs: each a permutation, none like another."""
    windows = count_windows(len(TOKENS), 16)
    epochs = [sample_batch(TOKENS, step=e, batch_size=windows, **OPTIONS)[0][:, 0] for e in range(3)]
    for starts in epochs:
        assert set(np.diff(np.sort(starts))) == {16}
    assert len({tuple(starts - starts.min()) for starts in epochs}) == 3


def test_the_order_of_a_small_corpus_is_the_published_one() -> None:
    """The first samples of a seed, as all published runs drew them."""
    inputs, _ = sample_batch(TOKENS, seed=0, step=0, batch_size=6, context_length=16)
    rng = np.random.default_rng([0, 0])
    permutation, offset = rng.permutation(61), int(rng.integers(0, 16))
    np.testing.assert_array_equal(inputs[:, 0], offset + permutation[:6] * 16)


def test_a_hundred_million_windows_need_no_table() -> None:
    """Places far apart and near each other go to windows inside the epoch, all different, and look random."""
    size = 100_000_007
    permutation, offset = order.epoch_order(1, 2, size, 512)
    places = np.concatenate([np.arange(50_000), np.arange(size - 50_000, size)])
    windows = permutation(places)
    assert 0 <= offset < 512
    assert (len(np.unique(windows)), windows.min() >= 0, windows.max() < size) == (len(places), True, True)
    assert abs(np.corrcoef(places, windows)[0, 1]) < 0.02
    assert abs(windows.mean() / size - 0.5) < 0.01
    assert abs(np.corrcoef(windows[:-1], windows[1:])[0, 1]) < 0.02
    other, _ = order.epoch_order(1, 3, size, 512)
    assert not np.array_equal(other(places), windows)
