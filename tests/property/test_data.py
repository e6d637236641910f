"""Properties of tokenizers, batches and near-duplicate removal that hold for any input."""

from __future__ import annotations

from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.batches import count_windows, iterate_windows, sample_batch, sample_rows
from harness.data.dedup import find_near_duplicates
from harness.data.order import epoch_order, permute
from harness.data.tokenise import split_long
from harness.data.tokenizer import train_tokenizer

BYTE = train_tokenizer("byte", 256, [])
BPE = train_tokenizer("bpe", 400, ["for name in names:\n    print(name, 'ü', 東京)\n" * 50])
FEW = settings(max_examples=60, deadline=None)


@given(st.text())
@FEW
def test_encoding_is_lossless_and_counts_bytes(text: str) -> None:
    """Any text comes back, and its tokens stand for as many bytes as it has."""
    for tokenizer in (BYTE, BPE):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert int(tokenizer.token_num_bytes[np.array(ids, dtype=int)].sum()) == len(text.encode())
        assert tokenizer is BYTE or tokenizer.separator not in ids


@given(st.integers(40, 500), st.integers(1, 12), st.integers(1, 7), st.integers(0, 2**31))
@FEW
def test_an_epoch_holds_every_window_once(num_tokens: int, context_length: int, batch_size: int, seed: int) -> None:
    """Over whole epochs no window repeats and none lies outside the text, whatever the batch size."""
    tokens = np.arange(num_tokens, dtype=np.uint16)
    windows = count_windows(num_tokens, context_length)
    steps = -(-windows // batch_size)
    batches = [
        sample_batch(tokens, seed=seed, step=s, batch_size=batch_size, context_length=context_length)
        for s in range(steps)
    ]
    starts = np.concatenate([inputs[:, 0] for inputs, _ in batches])[:windows]
    assert len(set(starts.tolist())) == windows
    assert all((targets == inputs + 1).all() for inputs, targets in batches)


@given(st.integers(1, 5000), st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=10))
@FEW
def test_the_formula_of_an_order_is_a_permutation(size: int, keys: list[int]) -> None:
    """Of any number of windows, with any keys: every window once, and a place alone gives what all together give."""
    key_array = np.array(keys, dtype=np.uint64)
    windows = permute(np.arange(size), size, key_array)
    np.testing.assert_array_equal(np.sort(windows), np.arange(size))
    for place in (0, size // 2, size - 1):
        assert permute(np.array([place]), size, key_array).tolist() == [windows[place]]


@given(st.integers(1 << 23, 1 << 45), st.integers(0, 2**31), st.integers(0, 50), st.data())
@FEW
def test_large_orders_stay_inside_and_repeat_nothing(size: int, seed: int, epoch: int, data: st.DataObject) -> None:
    """Any places of a large epoch go to as many different windows of it."""
    places = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=200, unique=True)))
    order, offset = epoch_order(seed, epoch, size, 64)
    windows = order(places)
    assert 0 <= offset < 64
    assert len(set(windows.tolist())) == len(places)
    assert windows.min() >= 0
    assert windows.max() < size


@given(st.integers(60, 400), st.integers(1, 9), st.integers(1, 6), st.integers(1, 4), st.booleans())
@FEW
def test_samples_do_not_depend_on_batch_world_or_resume(
    num_tokens: int, context_length: int, share: int, world: int, is_large: bool
) -> None:
    """From any step on, over the borders of epochs, ranks draw what one process draws sample by sample."""
    tokens = np.arange(num_tokens, dtype=np.uint16)
    options = {"seed": num_tokens, "context_length": context_length}
    with mock.patch("harness.data.order.ARRAY_WINDOWS", 0 if is_large else 1 << 22):
        epoch_order.cache_clear()
        windows = count_windows(num_tokens, context_length)
        first_step = windows // (share * world)  # the step in which the first epoch ends
        for step in range(max(0, first_step - 1), first_step + 3):
            whole, _ = sample_batch(tokens, step=step, batch_size=share * world, **options)
            first = step * share * world
            ranks = [
                sample_rows(tokens, first=first + rank * share, count=share, **options)[0] for rank in range(world)
            ]
            single = [sample_rows(tokens, first=first + i, count=1, **options)[0] for i in range(share * world)]
            np.testing.assert_array_equal(np.concatenate(ranks), whole)
            np.testing.assert_array_equal(np.concatenate(single), whole)
    epoch_order.cache_clear()


@given(
    st.lists(st.sampled_from(["a", "B", "ü", "東", " ", "\n", "\r", "\t", "\u2028", "\x1c", "'s", "1", ".", "\n\n"]))
)
@settings(max_examples=300, deadline=None)
def test_long_texts_in_parts_have_the_same_ids(signs: list[str]) -> None:
    """Parts are cut where the tokenizer cuts words anyhow, and make up the text."""
    text = "".join(signs)
    parts = list(split_long(text, limit=2))
    assert "".join(parts) == text
    for tokenizer in (BYTE, BPE):
        ids = [index for part in parts for index in tokenizer.encode(part)]
        assert ids == tokenizer.encode(text)
        assert ids == np.concatenate(tokenizer.encode_many(parts)).tolist()


@given(st.integers(2, 300), st.integers(1, 20), st.integers(1, 400))
@FEW
def test_evaluation_predicts_no_target_twice(num_tokens: int, context_length: int, max_tokens: int) -> None:
    """Targets of the windows are the text's second token onwards, in order."""
    context_length = min(context_length, num_tokens - 1)
    tokens = np.arange(num_tokens, dtype=np.uint16)
    pairs = list(iterate_windows(tokens, context_length=context_length, max_tokens=max_tokens))
    targets = np.concatenate([targets for _, targets in pairs])
    np.testing.assert_array_equal(targets, np.arange(1, len(targets) + 1))
    assert len(targets) <= max(max_tokens, context_length)


@given(st.lists(st.text(alphabet="ab c\n", max_size=60), max_size=12))
@FEW
def test_of_equal_texts_exactly_the_first_is_kept(texts: list[str]) -> None:
    """Exact copies always go, the first always stays, and nothing is random."""
    removed = find_near_duplicates(texts, 1.0)
    assert find_near_duplicates(texts, 1.0) == removed
    assert 0 not in removed
    for index, text in enumerate(texts):
        if text in texts[:index]:
            assert index in removed
