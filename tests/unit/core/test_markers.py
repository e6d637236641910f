"""Who works on a run: told by the process table here, by the file system's clock from elsewhere; one caller gets it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.core import markers
from harness.core.markers import claim_marker, describe_owner, load_marker, owner_state, touch_marker


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "started" / "run.json"


def test_a_marker_of_this_process_lives_and_keeps_what_it_was_given(path: Path) -> None:
    assert owner_state(path) == "absent"
    assert claim_marker(path, {"run_id": "run"})
    assert owner_state(path) == "alive"
    assert load_marker(path)["run_id"] == "run"
    assert not claim_marker(path, {"run_id": "other"})
    assert load_marker(path)["run_id"] == "run"
    assert [item.name for item in path.parent.iterdir()] == ["run.json"]


def test_a_process_that_ended_is_dead_reaped_or_not(path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    owner = describe_owner(child.pid)
    assert claim_marker(path, {}, owner)
    while owner_state(path) == "alive":  # it ends by itself, and stays a zombie until it is waited for
        time.sleep(0.01)
    assert owner_state(path) == "dead"
    child.wait()
    assert owner_state(path) == "dead"
    assert claim_marker(path, {"run_id": "again"})
    assert load_marker(path)["owner"]["pid"] == os.getpid()


def test_another_process_with_the_same_number_is_not_the_owner(path: Path) -> None:
    claim_marker(path, {}, dataclasses.replace(describe_owner(), began_ticks=1))
    assert owner_state(path) == "dead"


def test_an_owner_elsewhere_is_dead_when_it_was_silent_for_long(path: Path) -> None:
    away = dataclasses.replace(describe_owner(), host="elsewhere", pid=1)
    assert claim_marker(path, {}, away)
    assert owner_state(path) == "alive"
    assert not claim_marker(path, {})
    old = path.stat().st_mtime - markers.DEAD_AFTER_S - 1
    os.utime(path, (old, old))
    assert owner_state(path) == "dead"
    touch_marker(path)
    assert owner_state(path) == "alive"


def test_of_many_callers_one_gets_it_also_when_a_dead_one_stands_there(path: Path) -> None:
    for _ in range(100):
        claim_marker(path, {}, dataclasses.replace(describe_owner(), began_ticks=1))
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(lambda _: claim_marker(path, {}), range(8))) == 1
        assert owner_state(path) == "alive"
        path.unlink()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"owner": 3}', '{"owner": {"pid": -1}}', "[" * 100_000])
def test_a_marker_that_cannot_be_read_counts_by_its_age(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    assert owner_state(path) == "alive"
    os.utime(path, (1, 1))
    assert owner_state(path) == "dead"
