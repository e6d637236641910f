"""Whether others had the processors is read from the kernel's accounts: made-up ones, and a real busy process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.core.config import MeasureConfig
from harness.run.contention import MAX_OTHERS_SHARE, CpuAccount, CpuUse, WatchedMeter, read_account

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def _use(*, busy_s: float, own_s: float, steal_s: float = 0.0, watched_s: float = 10.0) -> CpuUse:
    use = CpuUse(num_cpus=2)
    use.add(CpuAccount(5.0, 1.0, 3.0), CpuAccount(5.0 + busy_s, 1.0 + steal_s, 3.0 + own_s), watched_s)
    return use


def _codes(use: CpuUse, *, is_cpu: bool = True) -> list[tuple[str, str]]:
    return [(finding.code, finding.severity) for finding in use.find_contention(is_cpu=is_cpu)]


def test_others_above_the_limit_are_a_warning_with_value_and_limit() -> None:
    (finding,) = _use(busy_s=12.5, own_s=10.0).find_contention(is_cpu=True)
    assert (finding.code, finding.severity, finding.limit) == ("contended_cpu", "warning", MAX_OTHERS_SHARE)
    assert finding.value == pytest.approx(0.2)
    assert _codes(_use(busy_s=12.5, own_s=10.0), is_cpu=False) == [("contended_cpu", "info")]


def test_a_quiet_machine_has_no_finding() -> None:
    assert _codes(_use(busy_s=10.2, own_s=10.0)) == []
    assert _codes(_use(busy_s=9.9, own_s=10.0)) == [], "the two accounts tick apart"


def test_stolen_time_is_told_apart() -> None:
    assert _codes(_use(busy_s=10.0, own_s=10.0, steal_s=1.0)) == [("stolen_cpu", "warning")]


def test_too_little_time_or_no_account_judges_nothing() -> None:
    assert _codes(_use(busy_s=0.5, own_s=0.1, watched_s=0.5)) == []
    assert _codes(_use(busy_s=0.0, own_s=0.0)) == []


def test_accounts_are_read_from_proc(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  100 20 30 900 5 6 7 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    for pid, name in ((7, "(a) b) 1"), (8, "sampler")):
        (tmp_path / str(pid)).mkdir()
        fields = ["S", *map(str, range(10)), "40", "2", "10", "1", *map(str, range(20))]
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}")
    account = read_account((7, 99), (8,), tmp_path)
    assert account is not None
    assert account.busy_s == pytest.approx((100 + 20 + 30 + 6 + 7) * TICK_S)
    assert account.steal_s == pytest.approx(8 * TICK_S)
    assert account.own_s == pytest.approx((53 + 42) * TICK_S), "ended children count for the run, not for its parent"
    assert read_account((7,), (), tmp_path / "none") is None


@pytest.mark.skipif(sys.platform != "linux", reason="the accounts are Linux's")
def test_a_busy_neighbour_is_found_in_windows_of_work_and_not_in_idle_ones() -> None:
    with subprocess.Popen((sys.executable, "-c", "while True: pass")) as neighbour:
        try:
            with WatchedMeter(MeasureConfig(), sensors=[]) as meter:
                meter._own, meter._looked_s = (os.getpid(),), float("inf")  # the neighbour is this test's own child
                with meter.window("idle_before"):
                    time.sleep(0.2)
                assert meter.cpu_use.watched_s == 0.0
                with meter.window("pretrain"):
                    time.sleep(1.1)
        finally:
            neighbour.kill()
    (finding,) = [f for f in meter.cpu_use.find_contention(is_cpu=True) if f.code == "contended_cpu"]
    assert finding.value is not None
    assert finding.value > 0.5
