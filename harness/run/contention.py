"""Whether others used the machine's processors while a run was measured: from the kernel's accounts, at window edges.

A `WatchedMeter` reads the accounts just outside each window, so that no window has the reading in it. Busy time of the
machine that is not this process's, its children's or the command's is others'; time that a hypervisor took is apart.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from harness.core.clock import now_s
from harness.core.readings import Finding
from harness.measure import Meter
from harness.measure.window import Window
from harness.run.conditions import watching_pids

# Of the busy time in measured work: above these a neighbour, or the host of a virtual machine, shaped the figures.
MAX_OTHERS_SHARE = 0.05
MAX_STEAL_SHARE = 0.01
# Accounts tick in hundredths of a second: sums over less say little.
MIN_WATCHED_S = 1.0
_NOT_WORK = frozenset({"idle_before", "idle_resident", "idle_after", "warmup"})
_LOOK_AGAIN_S = 5.0
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class CpuAccount:
    """Processor seconds since boot: of the whole machine busy, stolen by its host, and of this run's processes."""

    busy_s: float
    steal_s: float
    own_s: float


ReadAccount = Callable[[], "CpuAccount | None"]


@dataclass(slots=True)
class CpuUse:
    """Processor seconds over the windows of measured work, `watched_s` long together on `num_cpus` processors."""

    num_cpus: int
    watched_s: float = 0.0
    busy_s: float = 0.0
    steal_s: float = 0.0
    own_s: float = 0.0

    def add(self, before: CpuAccount, after: CpuAccount, duration_s: float) -> None:
        """Count one window."""
        self.watched_s += duration_s
        self.busy_s += max(0.0, after.busy_s - before.busy_s)
        self.steal_s += max(0.0, after.steal_s - before.steal_s)
        self.own_s += max(0.0, after.own_s - before.own_s)

    def find_contention(self, *, is_cpu: bool) -> tuple[Finding, ...]:
        """Return findings where others' share, or stolen time, is above its limit; a GPU's runs are only informed."""
        if self.watched_s < MIN_WATCHED_S or self.busy_s <= 0:
            return ()
        found = []
        others = max(0.0, self.busy_s - self.own_s) / self.busy_s
        if others > MAX_OTHERS_SHARE:
            text = (
                f"other processes had {others:.0%} of the processors' busy time in measured work "
                f"({self.busy_s - self.own_s:.1f} s in {self.watched_s:.1f} s): time and energy are not its alone"
            )
            found.append(_finding("contended_cpu", text, others, MAX_OTHERS_SHARE, is_cpu))
        stolen = self.steal_s / (self.watched_s * self.num_cpus)
        if stolen > MAX_STEAL_SHARE:
            text = f"the host of this virtual machine took {stolen:.1%} of its processors' time during measured work"
            found.append(_finding("stolen_cpu", text, stolen, MAX_STEAL_SHARE, is_cpu))
        return tuple(found)


class WatchedMeter(Meter):
    """A meter that also keeps the processors' accounts over its windows of work; `read` is for tests."""

    def __init__(self, *args: Any, read: ReadAccount | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self._read_account = read or (lambda: read_account(self._own_processes(), watching_pids()))
        self._own: tuple[int, ...] = ()
        self._looked_s = -math.inf
        self.cpu_use = CpuUse(os.cpu_count() or 1)

    def window(self, phase: str, repetition: int = 0, sync: Callable[[], None] | None = None) -> Window:
        """Return a window whose edges lie inside two readings of the accounts."""
        return _WatchedWindow(self, phase, repetition, sync)

    def _own_processes(self) -> tuple[int, ...]:
        """Return this process and its descendants, looked for every few seconds: that is slow on a large machine."""
        if now_s() - self._looked_s > _LOOK_AGAIN_S:
            own = psutil.Process()
            self._own = (own.pid, *(child.pid for child in own.children(recursive=True)))
            self._looked_s = now_s()
        return self._own


class _WatchedWindow(Window):
    def __init__(self, meter: WatchedMeter, phase: str, repetition: int, sync: Callable[[], None] | None) -> None:
        super().__init__(meter, phase, repetition, sync)
        self._watched = meter
        self._before: CpuAccount | None = None

    def __enter__(self) -> Self:
        if self.phase not in _NOT_WORK:
            self._before = self._watched._read_account()  # noqa: SLF001 - the two are one
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        after = self._watched._read_account() if self._before is not None and self.closed else None  # noqa: SLF001
        if self._before is not None and after is not None:
            self._watched.cpu_use.add(self._before, after, self.duration_s)


def read_account(own: Sequence[int], watching: Sequence[int] = (), proc: Path = _PROC) -> CpuAccount | None:
    """Return the accounts now, ``None`` where the system has none.

    `own` are this run's processes, with their children that have ended; `watching` are those whose children are not
    the run's: the command, which shows progress.
    """
    try:
        first = (proc / "stat").read_text(encoding="utf-8").partition("\n")[0].split()
        user, nice, system, _idle, _wait, irq, softirq, steal = (int(field) for field in first[1:9])
        own_ticks = sum(_ticks(proc, pid, 4) for pid in own) + sum(_ticks(proc, pid, 2) for pid in watching)
    except (OSError, ValueError):
        return None
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    return CpuAccount((user + nice + system + irq + softirq) * tick_s, steal * tick_s, own_ticks * tick_s)


def _ticks(proc: Path, pid: int, num_fields: int) -> int:
    """Return the processor ticks of a process: user and system, with four fields those of its ended children too."""
    try:
        fields = (proc / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:  # it has ended: its parent's account has its time
        return 0
    return sum(int(field) for field in fields[11 : 11 + num_fields])


def _finding(code: str, text: str, value: float, limit: float, is_cpu: bool) -> Finding:
    return Finding(code=code, severity="warning" if is_cpu else "info", text=text, value=value, limit=limit)
