"""Exercises in the training text: their share, what they leave alone, and what they change."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from harness.core.config import DataConfig
from harness.core.errors import ConfigError, DataError
from harness.core.task_config import KindConfig
from harness.data import prepare_data
from harness.data.exercises import EXERCISES
from harness.tasks.suite import build_suite

# Of `_source` below, before exercises could be mixed in.
SOURCE_SHA256 = "ad536a51be13305e"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataConfig:
    """Eighty files of about 3 kB and a cache of its own."""
    monkeypatch.setenv("ISOJOULE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "text").mkdir()
    for index in range(80):
        rng = random.Random(index)
        lines = [" ".join(f"word{rng.randrange(400):03d}" for _ in range(8)) for _ in range(50)]
        (tmp_path / "text" / f"{index:02d}.txt").write_text("\n".join(lines) + "\n")
    return DataConfig(corpus="text_files", globs=[f"{tmp_path}/text/*.txt"], validation_fraction=0.2, test_fraction=0.2)


def _mixed(source: DataConfig, share: float = 0.4, **kinds: KindConfig) -> DataConfig:
    return dataclasses.replace(source, kinds=kinds or {n: KindConfig(name=n) for n in EXERCISES}, kinds_share=share)


def _training_lines(config: DataConfig) -> Counter[str]:
    data = prepare_data(config)
    return Counter(bytes(data.train.astype(np.uint8)).decode().replace("\0", "").splitlines())


def test_without_kinds_the_hash_is_what_it_always_was(source: DataConfig) -> None:
    assert prepare_data(source).info.sha256.startswith(SOURCE_SHA256)


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_each_kind_gets_its_part_of_the_share(source: DataConfig, share: float) -> None:
    info = prepare_data(_mixed(source, share)).info
    source_bytes = prepare_data(source).info.train_bytes
    assert (info.train_bytes - source_bytes) / info.train_bytes == pytest.approx(share, abs=0.002)
    by_kind = Counter[str]()
    for line, number in _training_lines(_mixed(source, share)).items():
        by_kind[line.split(" ")[0]] += number * (len(line) + 1)
    sizes = [by_kind[word] for word in ("calc", "recall", "sort", "close")]
    assert max(sizes) - min(sizes) < 150


def test_held_out_splits_are_source_files_as_before(source: DataConfig) -> None:
    plain, mixed = prepare_data(source), prepare_data(_mixed(source))
    np.testing.assert_array_equal(plain.validation, mixed.validation)
    np.testing.assert_array_equal(plain.test, mixed.test)
    assert plain.test_documents == mixed.test_documents
    assert mixed.info.num_files == plain.info.num_files


def test_what_is_asked_is_never_trained_on(source: DataConfig) -> None:
    """With a space so small that training text holds all of its other side, no question stands in it."""
    kind = KindConfig(name="arithmetic", num_examples=30, options={"num_operands": 3, "max_operand": 9})
    lines = _training_lines(_mixed(source, 0.6, sums=kind))
    questions = build_suite({"sums": kind}, ())["sums"]
    asked = [f"{q.prompt.rpartition(chr(10))[2]} {q.answer}" for q in questions]
    assert [line for line in asked if line in lines] == []
    assert len({line for line in lines if line.startswith("calc")}) > 850
    shown = {line for q in questions for line in q.prompt.splitlines()[:-1]}
    assert shown <= set(lines)


def test_the_tokenizer_learns_from_the_mixture(source: DataConfig) -> None:
    source = dataclasses.replace(source, tokenizer="bpe", vocab_size=400)
    plain, mixed = prepare_data(source), prepare_data(_mixed(source))
    assert plain.info.tokenizer_sha256 != mixed.info.tokenizer_sha256
    assert len(mixed.tokenizer.encode("recall a B")) < len(plain.tokenizer.encode("recall a B"))
    assert mixed.info.validation_bytes == plain.info.validation_bytes


def test_the_hash_covers_kinds_options_and_share(source: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def sha(config: DataConfig) -> str:
        return prepare_data(config).info.sha256

    sort = KindConfig(name="sorting")
    hashes = [
        sha(source),
        sha(_mixed(source)),
        sha(_mixed(source, 0.3)),
        sha(_mixed(source, sort=sort)),
        sha(_mixed(source, sort=dataclasses.replace(sort, options={"length": 5}))),
    ]
    monkeypatch.setattr(EXERCISES.get("sorting"), "version", 2)
    hashes.append(sha(_mixed(source, sort=dataclasses.replace(sort, version=2))))
    assert len(set(hashes)) == len(hashes)
    again = sha(_mixed(source, sort=dataclasses.replace(sort, version=2, num_examples=7)))
    assert again == hashes[-1]


@pytest.mark.parametrize(
    ("kinds", "share", "error", "message"),
    [
        ({}, 0.4, DataError, "use data=python_and_tasks, or give 0"),
        ({"a": KindConfig(name="sorting")}, 0.0, DataError, "give more than 0 and less than 1"),
        ({"a": KindConfig(name="sorting")}, 1.0, DataError, "give more than 0 and less than 1"),
        ({"a": KindConfig(name="jsonl")}, 0.4, ConfigError, "unknown generated kind 'jsonl'"),
        ({"a": KindConfig(name="sorting", version=3)}, 0.4, ConfigError, r"data\.kinds\.a\.version is 3"),
        ({"a": KindConfig(name="sorting", options={"length": 1})}, 0.4, ConfigError, r"data\.kinds\.a\.options\.len"),
    ],
)
def test_a_mixture_that_cannot_be_made_is_refused(
    source: DataConfig, kinds: dict, share: float, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        prepare_data(dataclasses.replace(source, kinds=kinds, kinds_share=share))
