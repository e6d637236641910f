"""The page that compares studies is the same bytes in any surroundings, like the page of one study."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from harness.core.store import Store
from harness.core.study import save_study

SURROUNDINGS = (
    {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"},
    {"PYTHONHASHSEED": "77", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "random", "TZ": "America/St_Johns", "LC_ALL": "POSIX", "COLUMNS": "40"},
)
_MAIN = "import sys; from harness.cli.command import main; sys.exit(main())"


@pytest.fixture
def stores(tmp_path: Path, factory: ModuleType) -> Path:
    """Return a folder of the same two studies three times, their records written in three orders."""
    for place in range(len(SURROUNDINGS)):
        for name, arms in (("one", factory.ARMS), ("two", factory.ARMS)):
            records = factory.make_records(arms, grade="A" if name == "two" else "C")
            root = tmp_path / str(place) / name
            for record in (records, records[::-1], records[7:] + records[:7])[place]:
                Store(root).write_record(record)
            save_study(root, factory.make_study(records))
    return tmp_path


def test_the_comparison_is_the_same_bytes_in_any_surroundings(stores: Path) -> None:
    found = set()
    for place, change in enumerate(SURROUNDINGS):
        cwd = stores / str(place)
        command = [sys.executable, "-c", _MAIN, "report", "--compare", "one", "two", "--json", "all.json"]
        done = subprocess.run(
            command, cwd=cwd, env={**os.environ, **change}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found.add(((cwd / "compare.html").read_bytes(), (cwd / "all.json").read_bytes()))
    assert len(found) == 1
    assert json.loads(next(iter(found))[1])
