"""Files of a store are written whole, or the old one stays and nothing is left beside it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from harness.core.store import write_text_atomically


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_write_that_fails_names_the_file_and_leaves_the_old_one(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.json"
    write_text_atomically(path, "old")

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"study\.json") as failed:
        write_text_atomically(path, "new")
    assert (failed.value.errno, failed.value.filename) == (number, str(path))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
