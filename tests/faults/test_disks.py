"""A disk that is full or read-only: one clear line, nothing finished lost, and the same command goes on afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.store import Store
from tests.faults.disks import mount_small, remount
from tests.faults.tiny_study import STUDY, check_store, read_essence, run, store_in

pytestmark = pytest.mark.faults


def _expect_lines(stderr: str) -> None:
    assert "Traceback" not in stderr, stderr
    assert stderr.strip(), "it says what is wrong"


@pytest.mark.parametrize("size", ["48k", "1m", "3m"])
def test_a_full_disk_loses_nothing_and_the_study_goes_on_when_there_is_room(
    undisturbed: Path, tmp_path: Path, size: str
) -> None:
    disk = tmp_path / "runs"
    with mount_small(disk, size):
        done = run(*STUDY, cwd=tmp_path)
        assert done.returncode in (2, 3), (done.returncode, done.stderr)
        _expect_lines(done.stderr)
        assert "space" in done.stderr, "the reason is told"
        before = check_store(store_in(tmp_path))
        remount(disk, "size=256m")
        again = run(*STUDY, "--retry-failed", cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        after = check_store(store_in(tmp_path))
        assert {name: after[name] for name in before} == before
        assert read_essence(store_in(tmp_path)) == read_essence(store_in(undisturbed))


def test_a_read_only_store_is_one_clear_line_and_can_still_be_read(undisturbed: Path, tmp_path: Path) -> None:
    disk = tmp_path / "runs"
    with mount_small(disk, "256m"):
        first = run(*STUDY, "sweep.seeds=[0]", cwd=tmp_path)
        assert first.returncode == 0, first.stderr
        remount(disk, "ro")
        for verb in (("match",), ("claims",), ("status",), ("export", "--to", "csv", "--out", str(tmp_path / "csv"))):
            done = run(verb[0], str(store_in(tmp_path).root), *verb[1:], cwd=tmp_path)
            assert done.returncode == 0, (verb, done.stderr)
        report = run("report", str(store_in(tmp_path).root), cwd=tmp_path)
        assert report.returncode == 2
        assert len(report.stderr.strip().splitlines()) == 1
        assert "--out" in report.stderr
        fresh = run(*STUDY, "study=other", cwd=tmp_path)
        assert fresh.returncode == 2, fresh.stderr
        assert len(fresh.stderr.strip().splitlines()) == 1
        assert Store(disk / "smoke").load_records()[1] == []
