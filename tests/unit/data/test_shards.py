"""Token files and the view over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data import shards
from harness.data.batches import iterate_windows, sample_batch
from harness.data.shards import TokenShards, hash_file, open_tokens, token_dtype, write_shard


def _write(folder: Path, lengths: list[int], vocab_size: int = 1 << 16) -> tuple[np.ndarray, list[dict[str, object]]]:
    dtype = token_dtype(vocab_size)
    tokens = np.random.default_rng(0).integers(0, vocab_size, sum(lengths)).astype(dtype)
    rows, start = [], 0
    for number, length in enumerate(lengths):
        write_shard(folder / f"train-{number:05d}.bin", [tokens[start : start + length]], dtype)
        rows.append({"name": f"train-{number:05d}.bin", "tokens": length})
        start += length
    return tokens, rows


@pytest.mark.parametrize(
    ("vocab_size", "name"), [(256, "uint16"), (65_536, "uint16"), (65_537, "uint32"), (151_936, "uint32")]
)
def test_ids_take_two_bytes_while_they_fit(vocab_size: int, name: str) -> None:
    """A vocabulary of 151,936 needs four."""
    assert token_dtype(vocab_size).name == name
    assert np.iinfo(token_dtype(vocab_size)).max >= vocab_size - 1


@pytest.mark.parametrize("vocab_size", [65_536, 151_936])
def test_shards_read_as_one_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vocab_size: int) -> None:
    """Every slice, inside one shard or across several, is that of the whole; an empty shard is no matter."""
    monkeypatch.setattr(shards, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(shards, "_MAX_OPEN", 2)
    tokens, rows = _write(tmp_path, [7, 1, 0, 20, 5], vocab_size)
    view = open_tokens(tmp_path, rows, token_dtype(vocab_size))
    assert isinstance(view, TokenShards)
    assert (len(view), view.dtype) == (33, token_dtype(vocab_size))
    for start in range(-2, 35):
        for stop in range(-2, 35):
            np.testing.assert_array_equal(view[start:stop], tokens[start:stop])
    assert [int(view[i]) for i in range(33)] == tokens.tolist()
    assert int(view[-1]) == int(tokens[-1])
    np.testing.assert_array_equal(view[::-1], tokens[::-1])
    np.testing.assert_array_equal(view[3:30:4], tokens[3:30:4])
    np.testing.assert_array_equal(np.asarray(view), tokens)
    with pytest.raises(IndexError):
        view[33]
    assert len(view._open) <= 2


def test_a_slice_is_a_copy(tmp_path: Path) -> None:
    """Writing into a batch changes no token."""
    tokens, rows = _write(tmp_path, [10, 10])
    view = TokenShards([tmp_path / str(row["name"]) for row in rows], [10, 10], tokens.dtype)
    view[5:15][:] = 0
    np.testing.assert_array_equal(view[5:15], tokens[5:15])


def test_batches_and_windows_of_shards_are_those_of_an_array(tmp_path: Path) -> None:
    """A mapped corpus trains and is judged like one in memory."""
    tokens, rows = _write(tmp_path, [100, 37, 400])
    view = TokenShards([tmp_path / str(row["name"]) for row in rows], [100, 37, 400], tokens.dtype)
    options = {"seed": 1, "batch_size": 7, "context_length": 13}
    for step in range(20):
        for mapped, plain in zip(
            sample_batch(view, step=step, **options), sample_batch(tokens, step=step, **options), strict=True
        ):
            np.testing.assert_array_equal(mapped, plain)
    pairs = zip(
        iterate_windows(view, context_length=13, max_tokens=500),
        iterate_windows(tokens, context_length=13, max_tokens=500),
        strict=True,
    )
    assert sum(np.array_equal(left[0], right[0]) and np.array_equal(left[1], right[1]) for left, right in pairs) == 38


def test_a_small_split_is_read_into_memory(tmp_path: Path) -> None:
    """So that no measured step waits for a disk."""
    tokens, rows = _write(tmp_path, [10, 3])
    assert type(open_tokens(tmp_path, rows, tokens.dtype)) is np.ndarray
    np.testing.assert_array_equal(open_tokens(tmp_path, rows, tokens.dtype), tokens)


def test_a_shard_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """What stops half way leaves nothing; the hash is that of the file."""

    def broken() -> object:
        yield np.arange(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path / "a.bin", broken(), token_dtype(256))
    assert list(tmp_path.iterdir()) == []
    count, sha256 = write_shard(tmp_path / "a.bin", [np.arange(3), np.arange(2)], token_dtype(256))
    assert (count, sha256) == (5, hash_file(tmp_path / "a.bin"))


def test_a_disk_that_gives_back_other_bytes_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is read once after it was written."""
    monkeypatch.setattr(shards, "hash_file", lambda _: "other")
    with pytest.raises(OSError, match="read back with other bytes"):
        write_shard(tmp_path / "a.bin", [np.arange(3)], token_dtype(256))
