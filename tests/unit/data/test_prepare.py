"""Reading, splitting, removing near-duplicates, tokenising and caching a corpus."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.core.config import DataConfig
from harness.core.errors import DataError
from harness.data import Dataset, build, prepare, prepare_data
from harness.data.prepare import cache_root
from harness.data.sources import split_of
from tests.unit.data.words import write_corpus


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataConfig:
    """Eighty files of about 2.8 kB of random words, and a cache of its own."""
    monkeypatch.setenv("ISOJOULE_CACHE", str(tmp_path / "cache"))
    return write_corpus(tmp_path)


def _cache_folder() -> Path:
    return next(path for path in (cache_root() / "corpora").iterdir() if path.is_dir())


def _assert_same(left: Dataset, right: Dataset) -> None:
    assert left.info == right.info
    assert left.test_documents == right.test_documents
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(left, split), getattr(right, split))


def test_each_file_is_wholly_in_the_split_of_its_name(corpus: DataConfig, tmp_path: Path) -> None:
    """Documents are cut back at the separator and found in the split that `split_of` says."""
    data = prepare_data(corpus)
    texts = {path.relative_to(tmp_path / "text").as_posix(): path.read_text() for path in tmp_path.rglob("*.txt")}
    for split in ("train", "validation", "test"):
        documents = bytes(getattr(data, split).astype(np.uint8)).decode().split("\0")
        assert documents.pop() == ""
        assert sorted(documents) == sorted(text for name, text in texts.items() if split_of(name, corpus) == split)
    assert {text for _, text in data.test_documents} == {t for n, t in texts.items() if split_of(n, corpus) == "test"}
    assert data.train.dtype == np.uint16
    assert data.validation_bytes == len(data.validation)


def test_the_bytes_of_a_split_do_not_depend_on_the_tokenizer(corpus: DataConfig) -> None:
    """Bits per byte of two tokenizers have the same denominator, and the same data hash."""
    with_bytes = prepare_data(corpus)
    with_bpe = prepare_data(dataclasses.replace(corpus, tokenizer="bpe", vocab_size=300))
    assert with_bpe.info.validation_bytes == with_bytes.info.validation_bytes
    assert with_bpe.info.train_bytes == with_bytes.info.train_bytes
    assert with_bpe.info.sha256 == with_bytes.info.sha256
    assert with_bpe.info.tokenizer_sha256 != with_bytes.info.tokenizer_sha256
    assert with_bpe.info.train_tokens < with_bytes.info.train_tokens
    assert with_bpe.info.bytes_per_token > 1


def test_bpe_learns_from_the_training_split_only(corpus: DataConfig, tmp_path: Path) -> None:
    """Changing held-out text changes the data hash and leaves the tokenizer as it was."""
    corpus = dataclasses.replace(corpus, tokenizer="bpe", vocab_size=300)
    before = prepare_data(corpus).info
    for path in (tmp_path / "text").rglob("*.txt"):
        if split_of(path.relative_to(tmp_path / "text").as_posix(), corpus) != "train":
            path.write_text(path.read_text() + "zzzzzz qqqqqq " * 50)
    after = prepare_data(corpus).info
    assert after.tokenizer_sha256 == before.tokenizer_sha256
    assert after.sha256 != before.sha256


def test_near_duplicates_go_before_the_split(corpus: DataConfig, tmp_path: Path) -> None:
    """A lightly edited copy and an exact one are removed wherever they would fall; the first by path stays."""
    before = prepare_data(corpus)
    original = (tmp_path / "text/0/00.txt").read_text()
    (tmp_path / "text/9").mkdir()
    (tmp_path / "text/9/copy.txt").write_text(original)
    (tmp_path / "text/9/edited.txt").write_text("# a new first line\n" + original)
    after = prepare_data(corpus)
    assert after.info.num_duplicates_removed == 2
    assert after.info.sha256 == before.info.sha256
    kept = prepare_data(dataclasses.replace(corpus, near_duplicate_similarity=0.0))
    assert (kept.info.num_files, kept.info.num_duplicates_removed) == (82, 0)


def test_files_that_are_not_utf8_are_skipped_and_counted(corpus: DataConfig, tmp_path: Path) -> None:
    """Latin-1 bytes do not stop a corpus, and do not enter it."""
    before = prepare_data(corpus)
    (tmp_path / "text/latin.txt").write_bytes("caf\u00e9 ".encode("latin-1") * 100)
    after = prepare_data(corpus)
    assert (before.num_skipped_files, after.num_skipped_files) == (0, 1)
    assert after.info == before.info


def test_max_bytes_keeps_the_shares_of_the_splits(corpus: DataConfig) -> None:
    """A limit draws files without regard to their split (once it took the held-out ones first)."""
    corpus = dataclasses.replace(corpus, max_bytes=150_000)
    info = prepare_data(corpus).info
    total = info.train_bytes + info.validation_bytes + info.test_bytes
    assert 140_000 < total <= 150_000 + info.num_files
    assert info.train_bytes > info.validation_bytes + info.test_bytes


def test_the_hash_is_of_names_content_and_split(corpus: DataConfig, tmp_path: Path) -> None:
    """A touched file changes nothing, a renamed or edited one and another split do."""
    hashes = [prepare_data(corpus).info.sha256]
    path = tmp_path / "text/0/00.txt"
    path.touch()
    assert prepare_data(corpus).info.sha256 == hashes[0]
    path.write_text(path.read_text() + "more")
    hashes.append(prepare_data(corpus).info.sha256)
    path.rename(path.with_name("renamed.txt"))
    hashes.append(prepare_data(corpus).info.sha256)
    hashes.append(prepare_data(dataclasses.replace(corpus, test_fraction=0.3)).info.sha256)
    assert len(set(hashes)) == 4


def test_the_cache_is_used_and_equal(corpus: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call builds nothing and gives the same."""
    first = prepare_data(corpus)
    monkeypatch.setattr(prepare, "_build", lambda *_: pytest.fail("built again"))
    _assert_same(prepare_data(corpus), first)


def _flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def _raise_a_number(path: Path) -> None:
    manifest = json.loads(path.read_text())
    manifest["contents"]["info"]["train_bytes"] += 1
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("train-00000.bin", _flip_a_byte),
        ("train-00000.bin", _cut_short),
        ("test.json", _flip_a_byte),
        ("tokenizer.json", Path.unlink),
        ("manifest.json", _raise_a_number),
        ("manifest.json", lambda path: path.write_text("[]")),
        ("manifest.json", lambda path: path.write_bytes(b"\xff\x00")),
    ],
)
def test_a_damaged_cache_is_rebuilt(corpus: DataConfig, name: str, damage: Callable[[Path], object]) -> None:
    """Whatever broke, the result is as if the cache had never been, and the cache is whole again."""
    first = prepare_data(corpus)
    damage(_cache_folder() / name)
    _assert_same(prepare_data(corpus), first)
    assert prepare._load(_cache_folder(), corpus) is not None


def test_nothing_half_written_is_left(corpus: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that dies while writing leaves no entry; the next call builds it."""
    with monkeypatch.context() as patch:
        patch.setattr(build, "save_manifest", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare_data(corpus)
    assert not [path for path in (cache_root() / "corpora").iterdir() if path.is_dir() and path.name[0] != "."]
    assert prepare_data(corpus).info.num_files == 80


def test_processes_that_start_together_build_once(corpus: DataConfig) -> None:
    """Three processes agree on the hash, and no temporary folder stays behind."""
    code = (
        "import sys, json; from harness.core.config import DataConfig; from harness.data import prepare_data; "
        "print(prepare_data(DataConfig(**json.loads(sys.argv[1]))).info.sha256)"
    )
    command = [sys.executable, "-c", code, json.dumps(dataclasses.asdict(corpus))]
    jobs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    hashes = {job.communicate(timeout=60)[0].strip() for job in jobs}
    assert hashes == {prepare_data(corpus).info.sha256}
    assert len([path for path in (cache_root() / "corpora").iterdir() if path.is_dir()]) == 1


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("test_fraction", 0.9, "leave text to train on"),
        ("validation_fraction", 0.0, "must both be above 0"),
        ("near_duplicate_similarity", 0.3, r"give 0\.5 to 1, or 0"),
        ("max_bytes", -1, r"data\.max_bytes is -1"),
        ("max_documents", -1, r"data\.max_documents is -1"),
        ("num_workers", -1, r"give 1 or more"),
        ("verify", "never", r"it is stamp .* or full"),
        ("tokenizer", "word", "it is byte, bpe or file"),
        ("vocab_size", 1024, r"data\.tokenizer=bpe"),
    ],
)
def test_values_out_of_range_are_refused_by_name(corpus: DataConfig, field: str, value: object, message: str) -> None:
    """Each message names the key and what would be right."""
    with pytest.raises(DataError, match=message):
        prepare_data(dataclasses.replace(corpus, **{field: value}))  # type: ignore[arg-type]
    assert not (cache_root() / "corpora").exists(), "no text was read for it"


def test_too_little_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One small file cannot fill three splits."""
    monkeypatch.setenv("ISOJOULE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "one.txt").write_text("short\n")
    with pytest.raises(DataError, match="4096 are needed; give more files"):
        prepare_data(DataConfig(corpus="text_files", globs=[f"{tmp_path}/one.txt"]))


def test_a_cache_that_cannot_be_written_says_what_to_set(
    corpus: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in the place of the cache folder gives one line, not a traceback."""
    (tmp_path / "taken").write_text("a file")
    monkeypatch.setenv("ISOJOULE_CACHE", str(tmp_path / "taken"))
    with pytest.raises(DataError, match="set ISOJOULE_CACHE"):
        prepare_data(corpus)


def test_python_source_smoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard library gives three splits of bytes that are Python."""
    monkeypatch.setenv("ISOJOULE_CACHE", str(tmp_path))
    data = prepare_data(DataConfig(max_bytes=1_000_000, near_duplicate_similarity=0.0))
    assert data.info.num_files > 20
    assert data.info.train_bytes > data.info.validation_bytes > 0
    assert all(name.startswith("stdlib/") for name, _ in data.test_documents)
    assert "def " in data.tokenizer.decode(data.train[:20_000].tolist())
