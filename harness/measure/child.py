"""The sampler's own process: ``python -m harness.measure.child`` with its settings as JSON on the first line.

It answers with one line of JSON (which sensors it opened, or why it could not). A line with a folder lets it poll into
that folder; it stops at the word to park, and waits for another folder. It ends when its standard input does, which
happens when the measured process closes it or dies. Any other byte meanwhile marks a window's edge.
"""

from __future__ import annotations

import dataclasses
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.core.clock import now_s
from harness.core.config import sensor_config_from_dict
from harness.core.errors import ConfigError, HarnessError
from harness.measure.poller import Poller, Signal
from harness.measure.prepared import PARK
from harness.measure.samplefile import SampleWriter
from harness.sensors import DeviceState, Sensor, discover_sensors
from harness.sensors.profile import use_profiles

# How often the process looks whether its parent is still the one that started it.
_PARENT_CHECK_S = 1.0
LOG_NAME = "sampler.log"


def main() -> int:
    """Run the sampler; return the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C and schedulers ask the run; the end comes by its pipe
        signal.signal(number, signal.SIG_IGN)
    parent = os.getppid()
    settings = json.loads(sys.stdin.buffer.readline())
    try:
        sensors, refused = discover_sensors(sensor_config_from_dict(settings["sensor"]))
    except HarnessError as error:
        _answer(error=str(error), mistake=isinstance(error, ConfigError))
        return error.exit_code
    refused.extend(use_profiles(sensors))
    _answer(
        sensors=[dataclasses.asdict(sensor.info) for sensor in sensors],
        refused=[dataclasses.asdict(status) for status in refused],
    )
    try:
        while line := sys.stdin.buffer.readline():
            if not _poll(sensors, settings["poll_interval_s"], Path(json.loads(line)["folder"]), parent):
                break
            _answer(parked=True)
    finally:
        for sensor in sensors:
            sensor.close()
    return 0


def _poll(sensors: Sequence[Sensor], poll_interval_s: float, folder: Path, parent: int) -> bool:
    """Poll into `folder` until told to stop; return whether to wait for another folder."""
    writer = SampleWriter(folder)
    log = os.open(folder / LOG_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 2)
    os.close(log)
    poller = make_poller(sensors, poll_interval_s, writer)
    poller.begin()
    _answer(intervals_s=poller.intervals_s)
    told: list[bytes] = []
    try:
        poller.run(lambda seconds: _wait(seconds, parent, told))
    finally:
        writer.close()
    # a slow sensor's thread that still reads would go on into the next run's files
    return PARK in b"".join(told) and threading.active_count() == 1


def make_poller(sensors: Sequence[Sensor], poll_interval_s: float, writer: SampleWriter) -> Poller:
    """Return a poller that appends to `writer`."""

    def tell_state(i: int, state: DeviceState) -> None:
        writer.write_event(sensor=i, time_s=now_s(), state=dataclasses.asdict(state))

    def report(i: int, text: str) -> None:
        writer.write_event(sensor=i, time_s=now_s(), error=text)

    return Poller(sensors, poll_interval_s, writer.write_row, report, tell_state)


def _wait(seconds: float, parent: int, told: list[bytes]) -> Signal:
    """Wait for a mark, the word to park, or the end of standard input; what ends polling goes to `told`."""
    ready, _, _ = select.select([0], [], [], min(seconds, _PARENT_CHECK_S))
    if not ready:
        return "stop" if os.getppid() != parent else ""
    data = os.read(0, 4096)
    if data and PARK not in data:
        return "mark"
    told.append(data)
    return "stop"


def _answer(**content: Any) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
