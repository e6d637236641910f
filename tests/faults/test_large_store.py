"""A store of 100 000 records is read in bounded memory, and told about in bounded time."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from bench.report.stores import write_store
from harness.core.store import Store
from tests.faults.tiny_study import COMMAND

pytestmark = pytest.mark.faults
NUM_RECORDS = 100_000
MAX_BYTES = 2 * 1024**3


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up store of so many records."""
    root = tmp_path_factory.mktemp("large") / "store"
    write_store(root, NUM_RECORDS, "cells")
    return root


def _peak(*arguments: str, timeout_s: float) -> tuple[int, subprocess.CompletedProcess[str]]:
    """Run a verb under a helper that prints the peak memory of its child in bytes; return it with what came out."""
    script = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)\n"
        "sys.exit(done.returncode)"
    )
    done = subprocess.run(
        (sys.executable, "-c", script, *COMMAND, *arguments),
        capture_output=True, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip
    return int(done.stdout.split()[-1]), done


def test_status_of_a_large_store_needs_bounded_memory(large: Path, tmp_path: Path) -> None:
    out = tmp_path / "status.json"
    peak, done = _peak("status", str(large), "--json", str(out), timeout_s=560)
    assert done.returncode == 0, done.stderr
    assert peak < MAX_BYTES
    assert json.loads(out.read_text())


def test_export_of_a_large_store_needs_bounded_memory(large: Path, tmp_path: Path) -> None:
    peak, done = _peak("export", str(large), "--to", "parquet", "--out", str(tmp_path / "out"), timeout_s=560)
    assert done.returncode == 0, done.stderr
    assert peak < MAX_BYTES


def test_records_are_read_one_by_one_in_bounded_memory(large: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = sum(1 for _ in Store(large).iterate_records())
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert count > NUM_RECORDS * 0.9
    assert grown < MAX_BYTES / 4
