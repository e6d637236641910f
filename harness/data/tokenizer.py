"""Tokenizers: bytes, a byte-level BPE trained on the training split only, or the user's own (`file_tokenizer.py`).

A separator token ends every document. It counts as one byte with both tokenizers, so a text has the same number of
bytes whatever cuts it: bits per byte = nats summed over the target tokens / ln 2 / `token_num_bytes` summed over them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from harness.core.errors import DataError

BYTE_VOCAB_SIZE = 256
# What the separator of a BPE is called in a published tokenizer.
SEPARATOR_NAME = "<|endoftext|>"


class Tokenizer(Protocol):
    """Text to ids and back; `token_num_bytes` holds the bytes each id stands for (the separator: 1)."""

    vocab_size: int
    separator: int
    token_num_bytes: np.ndarray

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`."""

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return the ids of each text, quicker than one by one."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`; a cut character becomes a replacement character."""

    def to_json(self) -> str:
        """Return what `load_tokenizer` rebuilds it from."""

    def to_published(self) -> str:
        """Return it as a ``tokenizer.json`` that gives the same ids in other programs."""


class ByteTokenizer:
    """One token a byte of UTF-8; byte 0 separates documents."""

    def __init__(self) -> None:
        self.vocab_size = BYTE_VOCAB_SIZE
        self.separator = 0
        self.token_num_bytes = np.ones(BYTE_VOCAB_SIZE, dtype=np.int64)

    def encode(self, text: str) -> list[int]:
        """Return the bytes of `text`."""
        return list(text.encode())

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return the bytes of each text, uint8."""
        return [np.frombuffer(text.encode(), dtype=np.uint8) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of the bytes `ids`."""
        return bytes(ids).decode(errors="replace")

    def to_json(self) -> str:
        """Return an empty description: there is nothing to learn."""
        return "{}"

    def to_published(self) -> str:
        """Return a BPE without merges whose ids are the bytes; the separator is byte 0 there too."""
        vocab = {sign: byte for byte, sign in enumerate(byte_signs())}
        core = tokenizers.Tokenizer(models.BPE(vocab, []))
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        core.decoder = decoders.ByteLevel()
        text: str = core.to_str()
        return text


class LibraryTokenizer:
    """What a tokenizer of the `tokenizers` library, learned or read from a file, gives back."""

    def __init__(self, core: tokenizers.Tokenizer, separator: int) -> None:
        self._core = core
        self.separator = separator

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`, separators left out."""
        text: str = self._core.decode([int(i) for i in ids if i != self.separator], skip_special_tokens=False)
        return text

    def to_json(self) -> str:
        """Return the merges and vocabulary as the `tokenizers` library writes them."""
        text: str = self._core.to_str()
        return text


class BpeTokenizer(LibraryTokenizer):
    """Byte-level BPE; the last id is the separator and stands for no text."""

    def __init__(self, core: tokenizers.Tokenizer) -> None:
        super().__init__(core, core.get_vocab_size())
        self.vocab_size = self.separator + 1
        lengths = np.ones(self.vocab_size, dtype=np.int64)
        for token, index in core.get_vocab().items():
            lengths[index] = len(token)  # the byte-level alphabet writes one character for each byte
        self.token_num_bytes = lengths

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`."""
        ids: list[int] = self._core.encode(text).ids
        return ids

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return the ids of each text, uint32."""
        return [np.array(coded.ids, dtype=np.uint32) for coded in self._core.encode_batch_fast(list(texts))]

    def to_published(self) -> str:
        """Return the merges and vocabulary with the separator as a special token."""
        core = tokenizers.Tokenizer.from_str(self._core.to_str())
        core.add_special_tokens([SEPARATOR_NAME])
        text: str = core.to_str()
        return text


def check_learned(kind: str, vocab_size: int) -> None:
    """Refuse what `train_tokenizer` cannot make, before any text is read.

    Raises:
        DataError: an unknown kind, or a vocabulary size that the kind does not have.
    """
    if kind not in ("byte", "bpe"):
        raise DataError(f"data.tokenizer is '{kind}'; it is byte, bpe or file.")
    if kind == "byte" and vocab_size != BYTE_VOCAB_SIZE:
        raise DataError(
            f"data.vocab_size is {vocab_size}, but the byte tokenizer has {BYTE_VOCAB_SIZE}; "
            f"give data.vocab_size={BYTE_VOCAB_SIZE} or data.tokenizer=bpe."
        )
    if kind == "bpe" and not BYTE_VOCAB_SIZE + 2 <= vocab_size <= 1 << 16:
        raise DataError(f"data.vocab_size is {vocab_size}; bpe takes {BYTE_VOCAB_SIZE + 2} to {1 << 16}.")


def train_tokenizer(kind: str, vocab_size: int, texts: Iterable[str]) -> Tokenizer:
    """Return the tokenizer `kind` (``byte`` or ``bpe``), learned from `texts` where it learns.

    Raises:
        DataError: an unknown kind, or a vocabulary size that the kind does not have.
    """
    check_learned(kind, vocab_size)
    if kind == "byte":
        return ByteTokenizer()
    core = tokenizers.Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    core.train_from_iterator(texts, trainer)
    return BpeTokenizer(core)


def load_tokenizer(kind: str, text: str) -> Tokenizer:
    """Rebuild a tokenizer from `Tokenizer.to_json`.

    Raises:
        DataError: of the kind ``file``, text that is no tokenizer.
    """
    if kind == "file":
        from harness.data.file_tokenizer import FileTokenizer  # noqa: PLC0415 - it builds on this module

        return FileTokenizer(text)
    return ByteTokenizer() if kind == "byte" else BpeTokenizer(tokenizers.Tokenizer.from_str(text))


def byte_signs() -> list[str]:
    """Return the character that byte-level tokenizers write for each byte: itself where it can be seen (GPT-2)."""
    seen = {*range(33, 127), *range(161, 173), *range(174, 256)}
    unseen = [byte for byte in range(256) if byte not in seen]
    return [chr(byte) if byte in seen else chr(256 + unseen.index(byte)) for byte in range(256)]
