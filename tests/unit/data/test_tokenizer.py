"""Byte and BPE tokenizers: lossless, deterministic, and counted in bytes."""

from __future__ import annotations

import pytest

from harness.core.errors import DataError
from harness.data.tokenizer import load_tokenizer, train_tokenizer

TEXTS = ["def add(left, right):\n    return left + right\n" * 20, "naïve café: 東京 🙂\n" * 20]


def test_bytes_are_their_own_ids() -> None:
    """Ids are the bytes of UTF-8, 256 of them, one byte each."""
    tokenizer = train_tokenizer("byte", 256, [])
    assert tokenizer.encode("aé") == [97, 0xC3, 0xA9]
    assert (tokenizer.vocab_size, tokenizer.separator) == (256, 0)
    assert tokenizer.token_num_bytes.tolist() == [1] * 256


def test_bpe_training_is_deterministic_and_survives_saving() -> None:
    """Two trainings give the same merges; so does reading them back."""
    first, second = (train_tokenizer("bpe", 290, TEXTS) for _ in range(2))
    assert first.to_json() == second.to_json()
    loaded = load_tokenizer("bpe", first.to_json())
    assert loaded.to_json() == first.to_json()
    assert loaded.encode(TEXTS[0]) == first.encode(TEXTS[0])
    assert loaded.vocab_size == 290


def test_bpe_separator_is_an_id_that_no_text_has() -> None:
    """The separator is the last id, counts as one byte and decodes to nothing."""
    tokenizer = train_tokenizer("bpe", 290, TEXTS)
    assert tokenizer.separator == tokenizer.vocab_size - 1 == len(tokenizer.token_num_bytes) - 1
    assert tokenizer.separator not in tokenizer.encode(" ".join(TEXTS))
    assert tokenizer.token_num_bytes[tokenizer.separator] == 1
    assert tokenizer.decode([tokenizer.separator, *tokenizer.encode("x"), tokenizer.separator]) == "x"


@pytest.mark.parametrize("size", [256, 257, (1 << 16) + 1])
def test_bpe_refuses_a_size_without_room_for_the_bytes_or_above_uint16(size: int) -> None:
    """256 bytes, the separator and one merge at least; ids must fit 16 bits."""
    with pytest.raises(DataError, match="bpe takes 258 to 65536"):
        train_tokenizer("bpe", size, TEXTS)
