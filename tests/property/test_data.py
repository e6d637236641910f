"""Properties of tokenizers, batches and near-duplicate removal that hold for any input."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.batches import count_windows, iterate_windows, sample_batch
from harness.data.dedup import find_near_duplicates
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
