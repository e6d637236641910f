"""A tokenizer.json of the user's: kinds of files, separators, bytes of tokens, vocabularies above 65,536."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

from harness.core.config import DataConfig, RunConfig
from harness.core.errors import DataError
from harness.core.run_id import config_without_places, hash_config
from harness.data import prepare_data
from harness.data.file_tokenizer import FileTokenizer
from harness.data.tokenizer import byte_signs, load_tokenizer
from tests.unit.data.words import WORDS, write_corpus

TEXT = "def f(x):\n    return 'naïve 東京'  # <|endoftext|> <tool>\n"


def _byte_level(vocab_size: int = 500) -> tokenizers.Tokenizer:
    core = tokenizers.Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        [" ".join(WORDS)] * 3,
        trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False),
    )
    return core


def _sentencepiece() -> tokenizers.Tokenizer:
    """Return characters and bytes to fall back on, with spaces written as U+2581, as Llama 2 does."""
    pieces = [*(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *"abcdefghijklmnopqrstuvwxyz0123456789"]
    core = tokenizers.Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, [], byte_fallback=True))
    core.normalizer = normalizers.Replace(" ", "\u2581")
    core.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    return core


@pytest.mark.parametrize("make", [_byte_level, _sentencepiece])
def test_tokens_stand_for_the_bytes_of_the_text(make: object) -> None:
    """Byte-level and byte-fallback files: any text comes back, and its tokens count its bytes."""
    core = make()
    core.add_special_tokens(["<|endoftext|>"])
    core.add_tokens(["<tool>"])
    tokenizer = FileTokenizer(core.to_str())
    ids = tokenizer.encode(TEXT)
    assert tokenizer.decode(ids) == TEXT
    assert int(tokenizer.token_num_bytes[ids].sum()) == len(TEXT.encode())
    assert tokenizer.separator not in ids
    np.testing.assert_array_equal(tokenizer.encode_many([TEXT, "a"])[0], ids)
    again = load_tokenizer("file", tokenizer.to_json())
    assert (again.encode(TEXT), again.separator, again.vocab_size) == (ids, tokenizer.separator, tokenizer.vocab_size)


def test_what_a_file_puts_around_a_text_stays_out() -> None:
    """No begin token, truncation or padding enters a document."""
    core = _byte_level()
    core.add_special_tokens(["<s>", "</s>"])
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", core.token_to_id("<s>")), ("</s>", core.token_to_id("</s>"))]
    )
    core.enable_truncation(4)
    core.enable_padding(length=64)
    tokenizer = FileTokenizer(core.to_str())
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT
    assert tokenizer.separator == core.token_to_id("</s>")


def test_a_file_without_an_end_of_document_gets_one() -> None:
    """One more id, which no text has."""
    core = _byte_level()
    tokenizer = FileTokenizer(core.to_str())
    assert (tokenizer.separator, tokenizer.vocab_size) == (core.get_vocab_size(), core.get_vocab_size() + 1)
    assert tokenizer.token_num_bytes[tokenizer.separator] == 1


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataConfig:
    monkeypatch.setenv("ISOJOULE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "tokenizer.json"
    path.write_text(_byte_level().to_str())
    return dataclasses.replace(write_corpus(tmp_path), tokenizer="file", vocab_size=501, tokenizer_path=str(path))


def test_a_corpus_is_cut_by_the_file(corpus: DataConfig, tmp_path: Path) -> None:
    """Its bytes are those that any tokenizer gives, and a folder with the file does as well."""
    plain = prepare_data(dataclasses.replace(corpus, tokenizer="byte", vocab_size=256))
    data = prepare_data(corpus)
    assert data.info.sha256 == plain.info.sha256
    assert (data.info.train_bytes, data.info.validation_bytes) == (plain.info.train_bytes, plain.info.validation_bytes)
    assert data.info.train_tokens < plain.info.train_tokens
    assert data.info.vocab_size == data.tokenizer.vocab_size == 501
    assert prepare_data(dataclasses.replace(corpus, tokenizer_path=str(tmp_path))).info == data.info


def test_a_vocabulary_above_65536_takes_four_bytes(corpus: DataConfig, tmp_path: Path) -> None:
    """Ids of a vocabulary of 151,936 come back as they are."""
    described = json.loads(_byte_level().to_str())
    vocab = described["model"]["vocab"]
    moved = {token: index if index % 2 else index + 151_000 for token, index in vocab.items()}
    described["model"]["vocab"] = {**moved, "</s>": 151_935}
    (tmp_path / "tokenizer.json").write_text(json.dumps(described))
    with pytest.raises(DataError, match=r"give data\.vocab_size=151936"):
        prepare_data(corpus)
    data = prepare_data(dataclasses.replace(corpus, vocab_size=151_936))
    assert data.info.vocab_size == 151_936
    assert data.train.dtype == np.uint32
    assert int(data.train.max()) > 151_000
    documents = [data.tokenizer.decode(part) for part in np.split(data.test, np.flatnonzero(data.test == 151_935) + 1)]
    assert [text for text in documents if text] == [text for _, text in data.test_documents]


def test_the_file_is_part_of_a_run_and_its_folder_is_not(corpus: DataConfig, tmp_path: Path) -> None:
    """Another tokenizer is another run on the same text; another place is the same run and stays out of records."""
    first = prepare_data(corpus)
    moved = dataclasses.replace(corpus, tokenizer_path=str(tmp_path / "private" / "tokenizer.json"))
    (tmp_path / "private").mkdir()
    (tmp_path / "tokenizer.json").rename(moved.tokenizer_path)
    second = prepare_data(moved)
    assert first.identity_sha256 == second.identity_sha256 != first.info.sha256
    assert hash_config(RunConfig(data=corpus), "x", 1) == hash_config(RunConfig(data=moved), "x", 1)
    assert config_without_places(RunConfig(data=moved))["data"]["tokenizer_path"] == "tokenizer.json"
    Path(moved.tokenizer_path).write_text(_byte_level(400).to_str())
    third = prepare_data(dataclasses.replace(moved, vocab_size=401))
    assert third.info.sha256 == first.info.sha256
    assert third.identity_sha256 != first.identity_sha256


def test_ids_left_out_need_an_end_of_document_in_the_file() -> None:
    """One more id might be one that is taken."""
    described = json.loads(_byte_level().to_str())
    described["model"]["vocab"]["late"] = 9_000
    with pytest.raises(DataError, match="has ids left out and no end of a document"):
        FileTokenizer(json.dumps(described))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is no file; give a tokenizer.json"),
        ("{}", "is no tokenizer.json"),
        ("[" * 100_000, "is no tokenizer.json"),
        ('{"model": 3}', "is no tokenizer.json"),
        (b"\xff\xfe", "cannot be read; give a tokenizer.json"),
    ],
)
def test_what_is_no_tokenizer_is_refused(
    corpus: DataConfig, tmp_path: Path, content: str | bytes | None, message: str
) -> None:
    """One line with the option's name."""
    path = tmp_path / "tokenizer.json"
    if content is None:
        path.unlink()
    elif isinstance(content, str):
        path.write_text(content)
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        prepare_data(corpus)
    assert "data.tokenizer_path" in str(caught.value)


def test_a_tokenizer_without_a_path_is_refused(corpus: DataConfig) -> None:
    """The option's name is in the line."""
    with pytest.raises(DataError, match=r"needs data\.tokenizer_path=PATH"):
        prepare_data(dataclasses.replace(corpus, tokenizer_path=""))


def test_a_tokenizer_that_loses_text_is_refused(corpus: DataConfig, tmp_path: Path) -> None:
    """Bits per byte divide by the bytes of the text: whole words with an unknown token have too few."""
    core = tokenizers.Tokenizer(models.WordLevel({"[UNK]": 0, "word001": 1}, unk_token="[UNK]"))  # noqa: S106
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s+"), "removed")
    (tmp_path / "tokenizer.json").write_text(core.to_str())
    corpus = dataclasses.replace(corpus, vocab_size=3)
    with pytest.raises(DataError, match="bits per byte would be wrong; give one that keeps the text"):
        prepare_data(corpus)


def test_a_byte_sign_stands_for_each_byte() -> None:
    """The alphabet that the count of bytes of byte-level tokens rests on."""
    assert sorted(byte_signs()) == sorted(pre_tokenizers.ByteLevel.alphabet())
