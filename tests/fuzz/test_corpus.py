"""Files that once broke a loader, and the seeds of the fuzzer, through the same loaders."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.fuzz_loaders import change, change_bytes
from tests.fuzz.loaders import LOADERS, run_loader, seeds

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
GOOD = [(name, data) for name, data in seeds() if name != "store"]


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_a_file_that_once_broke_a_loader_is_read_or_refused_in_one_clear_line(path: Path, tmp_path: Path) -> None:
    """The part before the first dash names the loader."""
    loader = path.name.partition("-")[0]
    reason = run_loader(loader, path.read_bytes(), tmp_path)
    assert reason is None or "\n" not in reason


def test_every_seed_is_read_so_that_the_fuzzer_begins_inside_each_loader(tmp_path: Path) -> None:
    """A seed that were refused would never get past the first check; the last marker has a dead owner."""
    refused = {}
    for index, (name, data) in enumerate(GOOD):
        (tmp_path / str(index)).mkdir()
        refused[name, index] = run_loader(name, data, tmp_path / str(index))
    # a manifest and an index of shards name files that are not there
    assert {name for (name, _), reason in refused.items() if reason is not None} <= {"hf_folder"}


@pytest.mark.parametrize("name", [name for name in LOADERS if name != "store"])
def test_changed_files_are_read_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    """The same changes as in the long run, a few of each."""
    rng = random.Random(name)
    good = [data for loader, data in GOOD if loader == name]
    for index in range(15):
        data = rng.choice(good)
        folder = tmp_path / str(index)
        folder.mkdir()
        run_loader(name, change(rng, data) if index % 3 else change_bytes(rng, data), folder)
