"""A load for the stand-in NVML: what it is told to play it writes into the file that ``load:FILE`` follows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from harness.measure.loadplan import Step
from harness.measure.trace import Switch


class FileLoad:
    """A load between two powers (W); its lines are written before their time comes, so switches are exact."""

    def __init__(self, path: Path, idle_w: float = 90.0, busy_w: float = 520.0) -> None:
        self._path, self._levels_w = path, {False: idle_w, True: busy_w}
        self.closed = False

    def prepare(self) -> None:
        """Draw idle power from now on."""
        self._path.write_text(f"{time.monotonic() - 10:.6f} {self._levels_w[False]}\n")

    def play(self, steps: Sequence[Step], begin_s: float) -> list[Switch]:
        """Write all steps at once and wait until they are over."""
        switches, lines = [], []
        for step in steps:
            switches.append(Switch(begin_s, step.busy))
            lines.append(f"{begin_s:.6f} {self._levels_w[step.busy]}\n")
            begin_s += step.duration_s
        with self._path.open("a") as file:
            file.write("".join(lines))
        time.sleep(max(0.0, begin_s - time.monotonic() - 0.05))
        return switches

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
