"""Building a corpus in pieces: any number of processes, interrupted anywhere, from sources that change meanwhile."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from harness.core.config import DataConfig, RunConfig
from harness.core.errors import DataError
from harness.core.run_id import hash_config
from harness.data import Dataset, build, dedup, parallel, prepare, prepare_data, sources, tokenise
from harness.data.prepare import cache_root
from harness.data.sources import open_source
from tests.unit.data.words import write_corpus

PIECE = 20_000


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataConfig:
    """Eighty files in about a dozen pieces, cut by a BPE in this process."""
    monkeypatch.setenv("ISOJOULE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tokenise, "PIECE_BYTES", PIECE)
    return dataclasses.replace(write_corpus(tmp_path), tokenizer="bpe", vocab_size=300, num_workers=1)


def _folder() -> Path:
    return next(path for path in (cache_root() / "corpora").iterdir() if path.is_dir() and path.name[0] != ".")


def _assert_same(left: Dataset, right: Dataset) -> None:
    assert left.info == right.info
    assert left.test_documents == right.test_documents
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(left, split), getattr(right, split))


def _build_apart(corpus: DataConfig, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    with monkeypatch.context() as patch:
        patch.setenv("ISOJOULE_CACHE", str(cache))
        return prepare_data(corpus)


def test_any_number_of_processes_makes_the_same_files(
    corpus: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shard by shard, byte by byte; and cutting into pieces changes no token."""
    alone = prepare_data(corpus)
    names = {path.name: path.read_bytes() for path in _folder().glob("*.bin")}
    assert len(names) > 6
    monkeypatch.setattr(parallel, "ALONE_BYTES", 0)
    monkeypatch.setenv("ISOJOULE_CACHE", str(tmp_path / "second"))
    _assert_same(prepare_data(dataclasses.replace(corpus, num_workers=2)), alone)
    assert {path.name: path.read_bytes() for path in _folder().glob("*.bin")} == names
    monkeypatch.setattr(tokenise, "PIECE_BYTES", 1 << 30)
    _assert_same(_build_apart(corpus, tmp_path / "third", monkeypatch), alone)


def test_only_the_corpus_stays(corpus: DataConfig) -> None:
    """Neither the text nor signatures nor rows of single shards are left in the cache."""
    prepare_data(corpus)
    kinds = {path.name if path.suffix == ".json" else path.suffix for path in _folder().iterdir()}
    assert kinds == {"manifest.json", "stamp.json", "test.json", "tokenizer.json", ".bin"}
    assert [path.name for path in _folder().parent.iterdir()] == [_folder().name]


def test_an_interrupted_build_goes_on_from_its_shards(
    corpus: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the source nor a finished shard is read again; one that was damaged meanwhile is made anew."""
    expected = _build_apart(corpus, tmp_path / "undisturbed", monkeypatch)
    written: list[str] = []
    write = tokenise.write_shard

    def write_four(path: Path, *rest: object) -> tuple[int, str]:
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(path.name)
        return write(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(tokenise, "write_shard", write_four)
        with pytest.raises(KeyboardInterrupt):
            prepare_data(corpus)
    work = next((cache_root() / "corpora").glob(".*.building"))
    (work / written[1]).write_bytes(b"no tokens")
    first, written = written, []

    def write_any(path: Path, *rest: object) -> tuple[int, str]:
        written.append(path.name)
        return write(path, *rest)

    monkeypatch.setattr(tokenise, "write_shard", write_any)
    monkeypatch.setattr(sources, "read_file", lambda *_: pytest.fail("read again"))
    _assert_same(prepare_data(corpus), expected)
    assert len(first) == 4
    assert set(written) & set(first) == {first[1]}


def test_a_killed_build_leaves_no_process_and_is_taken_over(
    corpus: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL by process id while two processes tokenise: they end too, and the next call makes the same corpus."""
    expected = _build_apart(corpus, tmp_path / "undisturbed", monkeypatch)
    code = (
        "import sys, json, time; from harness.core.config import DataConfig\n"
        "from harness.data import parallel, prepare_data, tokenise\n"
        f"tokenise.PIECE_BYTES, parallel.ALONE_BYTES = {PIECE}, 0\n"
        "prepare_data(DataConfig(**json.loads(sys.argv[1])))"
    )
    values = dataclasses.asdict(dataclasses.replace(corpus, num_workers=2))
    builder = subprocess.Popen([sys.executable, "-c", code, json.dumps(values)])
    deadline = time.monotonic() + 60
    workers: list[psutil.Process] = []
    while builder.poll() is None and time.monotonic() < deadline:
        workers = psutil.Process(builder.pid).children(recursive=True) or workers
        if list((cache_root() / "corpora").glob(".*.building/signatures-00001.npz")):
            break
        time.sleep(0.005)
    os.kill(builder.pid, signal.SIGKILL)
    builder.wait()
    assert workers
    gone, alive = psutil.wait_procs(workers, timeout=30)
    assert (len(gone), alive) == (len(workers), [])
    _assert_same(prepare_data(corpus), expected)


def test_bytes_altered_behind_size_and_time_are_found_by_the_full_check(corpus: DataConfig) -> None:
    """The stamp trusts sizes and times, so that a start reads no shard; verify=full reads every byte."""
    first = prepare_data(corpus)
    path = _folder() / "train-00001.bin"
    stat = path.stat()
    path.write_bytes(b"\1" * stat.st_size)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert not np.array_equal(prepare_data(corpus).train, first.train)
    _assert_same(prepare_data(dataclasses.replace(corpus, verify="full")), first)
    _assert_same(prepare_data(corpus), first)


def test_a_copied_cache_is_hashed_once(corpus: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other times on the same bytes: every file is read, nothing is built, and the next start reads none."""
    first = prepare_data(corpus)
    for path in _folder().iterdir():
        os.utime(path, ns=(1, 1))
    hashed: list[str] = []
    from harness.data import manifest

    real = manifest.hash_file
    monkeypatch.setattr(manifest, "hash_file", lambda path: hashed.append(path.name) or real(path))
    monkeypatch.setattr(build, "store_documents", lambda *_: pytest.fail("built again"))
    _assert_same(prepare_data(corpus), first)
    num_files = len(list(_folder().glob("*"))) - 2
    assert len(hashed) == num_files
    _assert_same(prepare_data(corpus), first)
    assert len(hashed) == num_files


def test_a_file_that_vanishes_while_a_corpus_is_read_is_counted(corpus: DataConfig, tmp_path: Path) -> None:
    """Listed and then gone, or not UTF-8: left out, not fatal."""
    (tmp_path / "text/latin.txt").write_bytes(b"caf\xe9")
    source = open_source(corpus)
    (tmp_path / "text/0/00.txt").unlink()
    documents = list(source.read())
    assert (len(documents), documents.count(None)) == (81, 2)
    stamps = open_source(corpus).stamps
    assert stamps != source.stamps


@pytest.mark.parametrize("damage", ["text.bin", "index.npz", "gone"])
def test_text_that_a_power_cut_left_in_part_is_read_again(corpus: DataConfig, tmp_path: Path, damage: str) -> None:
    """A build goes on only from documents that are all there."""
    from harness.data.documents import are_stored, store_documents

    folder = tmp_path / "documents"
    store_documents(open_source(corpus).read(), folder)
    assert are_stored(folder)
    if damage == "gone":
        (folder / "text.bin").unlink()
    else:
        (folder / damage).write_bytes((folder / damage).read_bytes()[:-30])
    assert not are_stored(folder)


def test_a_limit_of_documents_draws_without_regard_to_splits(corpus: DataConfig) -> None:
    """Thirty of eighty files, some of them in each split."""
    info = prepare_data(dataclasses.replace(corpus, max_documents=30)).info
    assert info.num_files == 30
    assert info.train_tokens > info.validation_tokens + info.test_tokens > 0


def test_too_many_documents_for_near_duplicates_are_refused(
    corpus: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line with both ways out, before anything is compared."""
    monkeypatch.setattr(dedup, "MAX_DOCUMENTS", 79)
    with pytest.raises(DataError, match=r"at most 79 documents and there are 80; give data\.near_duplicate_sim"):
        prepare_data(corpus)
    assert prepare_data(dataclasses.replace(corpus, near_duplicate_similarity=0.0)).info.num_files == 80


def test_a_failed_build_leaves_no_marker(corpus: DataConfig) -> None:
    """The next call does not wait for it."""
    with pytest.raises(DataError, match="vocab_size"):
        prepare_data(dataclasses.replace(corpus, vocab_size=1 << 20))
    assert not list((cache_root() / "corpora").glob(".*.json"))


def test_builds_that_nobody_went_on_with_are_removed(corpus: DataConfig) -> None:
    """After a week; they hold all the text of sources that have changed."""
    corpora = cache_root() / "corpora"
    for name, age_s in (("old", 8 * 86_400), ("new", 86_400)):
        work = corpora / f".{name}.building"
        work.mkdir(parents=True)
        (work / "part").write_text("text")
        os.utime(work / "part", (time.time() - age_s,) * 2)
    prepare_data(corpus)
    assert [path.name for path in corpora.glob(".*")] == [".new.building"]


def test_a_build_that_another_one_overtook_takes_what_is_there(
    corpus: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is moved away under a builder that was taken for dead: it loads the finished corpus."""
    expected = _build_apart(corpus, tmp_path / "first", monkeypatch)
    monkeypatch.setenv("ISOJOULE_CACHE", str(tmp_path / "second"))

    def overtaken(_config: DataConfig, _source: object, work: Path) -> None:
        shutil.copytree(tmp_path / "first" / "corpora", work.parent, dirs_exist_ok=True)
        raise FileNotFoundError(work)

    monkeypatch.setattr(prepare, "build_corpus", overtaken)
    _assert_same(prepare_data(corpus), expected)


def test_a_dead_worker_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed (out of memory) ends the build with what to do."""
    monkeypatch.setattr(parallel, "ALONE_BYTES", 0)
    with pytest.raises(DataError, match=r"data\.num_workers=1 needs no other process"):
        parallel.run_jobs(os._exit, [3, 3], [1, 1], num_workers=2, label="nothing")


def test_progress_is_lines_in_a_log_and_silent_at_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No control character reaches the log of a worker."""
    with parallel.ProgressOf("tokenising", 4_000_000) as progress:
        progress.step(None, 1_000_000)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(parallel, "_QUIET_S", 0.0)
    with parallel.ProgressOf("tokenising", 4_000_000) as progress:
        progress.step(None, 1_000_000)
        progress.step(None, 1_000_000)
    assert capsys.readouterr().err == "tokenising: 25% of 4 MB after 0 s\n"


def test_how_a_corpus_is_read_is_no_part_of_a_run(corpus: DataConfig) -> None:
    """Processes, streaming and checks leave id and cache as they are; a limit or another revision does not."""
    same = dataclasses.replace(corpus, num_workers=7, streaming=False, verify="full")
    assert hash_config(RunConfig(data=same), "x", 1) == hash_config(RunConfig(data=corpus), "x", 1)
    prepare_data(corpus)
    prepare_data(same)
    assert len(list((cache_root() / "corpora").iterdir())) == 1
    for changes in ({"max_documents": 5}, {"revision": "abc"}, {"name": "a/b"}, {"test_split": "test"}):
        other = dataclasses.replace(corpus, **changes)
        assert hash_config(RunConfig(data=other), "x", 1) != hash_config(RunConfig(data=corpus), "x", 1)
