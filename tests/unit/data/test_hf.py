"""Hugging Face data sets on this machine: kinds of files, splits, limits, and what is refused in one line."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.core.config import DataConfig
from harness.core.errors import DataError, HarnessError
from harness.data import hf, prepare_data

datasets = pytest.importorskip("datasets")

WORDS = [f"word{i:03d}" for i in range(400)]


def _texts(number: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=100)) for _ in range(number)]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataConfig:
    """Bytes of a data set in `tmp_path`/set, and caches of its own."""
    monkeypatch.setenv("ISOJOULE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return DataConfig(corpus="hf", name=str(tmp_path / "set"), validation_fraction=0.2, test_fraction=0.2)


def _write_jsonl(path: Path, texts: list[str], field: str = "text") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({field: text, "n": 1}) + "\n" for text in texts))


def _documents(config: DataConfig) -> set[str]:
    data = prepare_data(config)
    tokens = np.concatenate([data.train, data.validation, data.test])
    return set(bytes(tokens.astype(np.uint8)).decode().split("\0")) - {""}


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "arrow", "saved", "saved splits", "text", "file", "not streamed"])
def test_every_kind_of_local_data_set_gives_the_same_corpus(config: DataConfig, tmp_path: Path, kind: str) -> None:
    """Tokens and hash follow from the texts, whatever holds them and however it is read."""
    texts = _texts(80)
    _write_jsonl(tmp_path / "other/train.jsonl", texts)
    expected = prepare_data(dataclasses.replace(config, name=str(tmp_path / "other"))).info
    table = datasets.Dataset.from_dict({"text": texts})
    folder = tmp_path / "set"
    if kind in ("jsonl", "file", "not streamed"):
        _write_jsonl(folder / "part.jsonl", texts)
    elif kind == "saved":
        table.save_to_disk(folder)
    elif kind == "saved splits":
        datasets.DatasetDict({"train": table}).save_to_disk(folder)
    elif kind == "parquet":
        table.to_parquet(folder / "part.parquet")
    elif kind == "arrow":
        table.save_to_disk(tmp_path / "saved")
        folder.mkdir()
        next((tmp_path / "saved").glob("*.arrow")).rename(folder / "part.arrow")
    else:
        folder.mkdir()
        for number, text in enumerate(texts):
            (folder / f"{number:03d}.txt").write_text(text)
    name = config.name + ("/part.jsonl" if kind == "file" else "")
    config = dataclasses.replace(config, name=name, streaming=kind != "not streamed")
    assert prepare_data(config).info == expected
    assert expected.num_files == 80


def test_the_second_use_needs_no_data_set_library(
    config: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cached corpus is loaded without reading the source again."""
    _write_jsonl(tmp_path / "set/a.jsonl", _texts(80))
    first = prepare_data(config).info
    monkeypatch.setattr(hf, "_open_rows", lambda *_: pytest.fail("read again"))
    assert prepare_data(config).info == first


def test_limits_end_the_stream(config: DataConfig, tmp_path: Path) -> None:
    """The first rows are taken up to a number of documents or bytes; no more of the stream is read."""
    texts = _texts(200)
    _write_jsonl(tmp_path / "set/a.jsonl", texts)
    assert _documents(dataclasses.replace(config, max_documents=90)) == set(texts[:90])
    size = sum(len(text) for text in texts[:100])
    assert _documents(dataclasses.replace(config, max_bytes=size)) == set(texts[:100])


def test_named_splits_are_held_out_as_they_are(config: DataConfig, tmp_path: Path) -> None:
    """The rows of a named split are that split, and a training row that is among them goes."""
    train, test = _texts(120, 1), _texts(20, 2)
    _write_jsonl(tmp_path / "set/train.jsonl", [*train, test[0]])
    _write_jsonl(tmp_path / "set/test.jsonl", test)
    data = prepare_data(dataclasses.replace(config, test_split="test"))
    assert {text for _, text in data.test_documents} == set(test)
    assert data.info.num_duplicates_removed == 1
    assert data.info.validation_tokens > 0
    assert test[0].encode() not in bytes(data.train.astype(np.uint8))


def test_rows_are_parted_by_their_text(config: DataConfig, tmp_path: Path) -> None:
    """Other places of the same rows change the order of reading, and no split."""
    texts = _texts(80)
    _write_jsonl(tmp_path / "set/a.jsonl", texts)
    first = prepare_data(config)
    _write_jsonl(tmp_path / "set/a.jsonl", texts[::-1])
    second = prepare_data(config)
    assert first.test_documents == second.test_documents
    np.testing.assert_array_equal(first.train, second.train)


def test_rows_without_valid_text_are_counted(config: DataConfig, tmp_path: Path) -> None:
    """A null is no document; byte 0, which separates documents, is left out of a text."""
    texts = _texts(80)
    _write_jsonl(tmp_path / "set/a.jsonl", [*texts, "\0".join(_texts(1, 9)[0].split())])
    with (tmp_path / "set/a.jsonl").open("a") as file:
        file.write('{"text": null, "n": 1}\n')
    data = prepare_data(config)
    assert (data.info.num_files, data.num_skipped_files) == (81, 1)
    assert hf._text_of({"text": "\ud800"}, "text") is None


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", "needs data.name"),
        ("name", "../../etc/nothing", "no file or folder here and no name on the hub"),
        ("name", "pandas", "no file or folder here and no name on the hub"),
        ("name", "a/..", "no name on the hub"),
        ("name", "x" * 1000, "no name on the hub"),
        ("name", "a\0b", "no name on the hub"),
        ("text_field", "txt", r"no column 'txt' but 'text', 'n'.* Did you mean 'text'"),
        ("split", "trian", "split 'trian'.* cannot be read"),
    ],
)
def test_what_is_not_there_is_one_line(
    config: DataConfig, tmp_path: Path, field: str, value: str, message: str
) -> None:
    """Names are hostile: none reaches a reader of the library or a folder outside."""
    _write_jsonl(tmp_path / "set/a.jsonl", _texts(80))
    with pytest.raises(DataError, match=message) as caught:
        prepare_data(dataclasses.replace(config, **{field: value}))
    assert "\n" not in str(caught.value)


def test_one_file_has_no_held_out_split(config: DataConfig, tmp_path: Path) -> None:
    """Its rows are not given a second time under another name."""
    _write_jsonl(tmp_path / "set/a.jsonl", _texts(80))
    with pytest.raises(DataError, match="has no splits, so none is called 'test'"):
        prepare_data(dataclasses.replace(config, name=f"{config.name}/a.jsonl", test_split="test"))


def test_a_folder_of_pickles_is_refused(config: DataConfig, tmp_path: Path) -> None:
    """Only kinds of files that hold data and no code are read."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    (tmp_path / "set/set.py").write_text("raise SystemExit\n")
    with pytest.raises(DataError, match="holds no file that data=hf reads"):
        prepare_data(config)


def test_a_missing_library_is_one_line(config: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says what to install."""
    _write_jsonl(tmp_path / "set/a.jsonl", _texts(80))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'isojoule\[hf\]'"):
        prepare_data(config)


def test_a_name_that_is_not_on_the_hub_is_one_line(tmp_path: Path) -> None:
    """In a process of its own, without a network."""
    code = (
        "from harness.core.config import DataConfig; from harness.data import prepare_data; "
        "prepare_data(DataConfig(corpus='hf', name='nobody/nothing'))"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "ISOJOULE_CACHE": str(tmp_path), "HF_HOME": str(tmp_path)}
    done = subprocess.run((sys.executable, "-c", code), env=environment, capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert "the data set 'nobody/nothing' (split 'train') cannot be read" in last


def test_a_damaged_corpus_whose_source_is_gone_says_both(
    config: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is trained on altered tokens, and the line names the folder and the cause."""
    _write_jsonl(tmp_path / "set/a.jsonl", _texts(80))
    prepare_data(config)
    shard = next((tmp_path / "cache/corpora").glob("*/train-00000.bin"))
    shard.write_bytes(shard.read_bytes()[:-100])

    def gone(*_: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(hf, "_open_rows", gone)
    with pytest.raises(HarnessError, match=r"is damaged and cannot be built again: .*no network"):
        prepare_data(config)
