"""Signals of a measured command: one that comes while it starts is not lost, and leaves no command behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence

import pytest

from harness.core.config import MeasureConfig, SensorConfig
from harness.measure import command as module


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_command_starts_reaches_it(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    start = module._start

    def start_and_be_told_to_stop(command: Sequence[str]) -> subprocess.Popen[bytes]:
        process = start(command)
        os.kill(os.getpid(), number)
        return process

    monkeypatch.setattr(module, "_start", start_and_be_told_to_stop)
    monkeypatch.setattr(module, "_in_foreground", lambda: False)
    config = MeasureConfig(sensor=SensorConfig(names=["synthetic"]))
    measured = module.measure_command(["sleep", "60"], config)
    assert measured.exit_code == 128 + number
    assert measured.duration_s < 30
