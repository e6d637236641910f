"""A tokenizer from a user's ``tokenizer.json``, as Hugging Face publishes them with models."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from harness.core.config import DataConfig
from harness.core.errors import DataError
from harness.data.tokenizer import SEPARATOR_NAME, LibraryTokenizer, byte_signs

# What published tokenizers call the end of a document, the first that is there.
_SEPARATORS = (SEPARATOR_NAME, "<|end_of_text|>", "<eos>", "</s>", "<|eot_id|>", "[SEP]")
_BYTE_TOKEN = re.compile(r"<0x[0-9A-Fa-f]{2}>")
# A space at a text's start and normal forms of Unicode move the count of bytes by less than this.
_MAX_LOST = 0.01


class FileTokenizer(LibraryTokenizer):
    """Ids as the file gives them, without the special tokens that it would put around a text.

    Special tokens that stand in a text are text. The separator is the file's own end of a document, or one more token.
    """

    def __init__(self, text: str) -> None:
        try:
            core = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library raises nothing narrower
            raise DataError(
                f"data.tokenizer_path is no tokenizer.json ({error}); give one that tokenizers wrote."
            ) from error
        core.no_truncation()
        core.no_padding()
        core.encode_special_tokens = True
        known = core.get_vocab(with_added_tokens=True)
        if not any(name in known for name in _SEPARATORS):
            if max(known.values(), default=-1) + 1 != len(known):  # the library would give an id that is taken
                raise DataError(
                    "the tokenizer of data.tokenizer_path has ids left out and no end of a document "
                    f"({', '.join(_SEPARATORS)}); add one of these to it as a special token."
                )
            core.add_special_tokens([SEPARATOR_NAME])
            known = core.get_vocab(with_added_tokens=True)
        super().__init__(core, int(next(known[name] for name in _SEPARATORS if name in known)))
        self.vocab_size = max(known.values()) + 1
        self.token_num_bytes = _count_token_bytes(json.loads(core.to_str()), known, self.vocab_size)
        self.token_num_bytes[self.separator] = 1

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`."""
        ids: list[int] = self._core.encode(text, add_special_tokens=False).ids
        return ids

    def encode_many(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return the ids of each text, uint32."""
        coded = self._core.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(one.ids, dtype=np.uint32) for one in coded]

    def to_published(self) -> str:
        """Return the file with the separator in it: other programs read it as it is."""
        return self.to_json()


def find_tokenizer(config: DataConfig) -> Path:
    """Return the file of `config.tokenizer_path`, which may be its folder.

    Raises:
        DataError: no such file.
    """
    if not config.tokenizer_path:
        raise DataError("data.tokenizer=file needs data.tokenizer_path=PATH of a tokenizer.json.")
    path = Path(config.tokenizer_path).expanduser()
    path = path / "tokenizer.json" if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"data.tokenizer_path '{config.tokenizer_path}' is no file; give a tokenizer.json.")
    return path


def read_tokenizer(config: DataConfig) -> FileTokenizer:
    """Return the tokenizer at `config.tokenizer_path`.

    Raises:
        DataError: it is not there, no tokenizer, or has another vocabulary than the configuration says.
    """
    path = find_tokenizer(config)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"data.tokenizer_path '{path}' cannot be read; give a tokenizer.json.") from error
    tokenizer = FileTokenizer(text)
    if config.vocab_size != tokenizer.vocab_size:
        raise DataError(
            f"data.vocab_size is {config.vocab_size}, but the tokenizer of data.tokenizer_path has "
            f"{tokenizer.vocab_size}; give data.vocab_size={tokenizer.vocab_size}."
        )
    return tokenizer


def require_lossless(num_token_bytes: int, num_text_bytes: int) -> None:
    """Check that tokens stand for the bytes of their text, since bits per byte divide by them.

    Raises:
        DataError: they differ by more than 1%.
    """
    if abs(num_token_bytes - num_text_bytes) > _MAX_LOST * num_text_bytes:
        raise DataError(
            f"the tokenizer of data.tokenizer_path makes {num_token_bytes} bytes of {num_text_bytes}, so bits per byte "
            "would be wrong; give one that keeps the text (byte-level or with byte fallback), or data.tokenizer=bpe."
        )


def _count_token_bytes(described: dict[str, Any], known: dict[str, int], vocab_size: int) -> np.ndarray:
    """Return the bytes of text each id stands for, int64 (V,), by how the file writes its tokens."""
    parts = {part.get("type") for part in _walk(described)}
    added = {token["content"] for token in described.get("added_tokens", [])}
    is_byte_level = "ByteLevel" in parts
    signs = set(byte_signs())
    lengths = np.zeros(vocab_size, dtype=np.int64)
    for token, index in known.items():
        if token in added:
            lengths[index] = len(token.encode())
        elif is_byte_level and signs.issuperset(token):
            lengths[index] = len(token)  # one character for each byte
        elif "ByteFallback" in parts and _BYTE_TOKEN.fullmatch(token):
            lengths[index] = 1
        else:
            lengths[index] = len(token.replace("\u2581", " ").encode())
    return lengths


def _walk(part: object) -> list[dict[str, Any]]:
    """Return every dictionary of the normaliser, pre-tokenizer and decoder."""
    found: list[dict[str, Any]] = []
    pending = [
        part[name] for name in ("normalizer", "pre_tokenizer", "decoder") if isinstance(part, dict) and name in part
    ]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            found.append(item)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return found
