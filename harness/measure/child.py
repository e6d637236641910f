"""The sampler's own process: ``python -m harness.measure.child FOLDER`` with its settings as JSON on the first line.

It answers with one line of JSON (which sensors it opened, or why it could not) and then polls until its standard input
ends, which happens when the measured process closes it or dies. Each byte on standard input marks a window's edge.
"""

from __future__ import annotations

import dataclasses
import json
import os
import select
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.core.clock import now_s
from harness.core.config import sensor_config_from_dict
from harness.core.errors import ConfigError, HarnessError
from harness.measure.poller import Poller, Signal
from harness.measure.samplefile import SampleWriter
from harness.sensors import DeviceState, Sensor, discover_sensors
from harness.sensors.profile import use_profiles

# How often the process looks whether its parent is still the one that started it.
_PARENT_CHECK_S = 1.0


def main(arguments: Sequence[str]) -> int:
    """Run the sampler; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the measured command; the end comes by its pipe
    parent = os.getppid()
    settings = json.loads(sys.stdin.buffer.readline())
    try:
        sensors, refused = discover_sensors(sensor_config_from_dict(settings["sensor"]))
    except HarnessError as error:
        _answer(error=str(error), mistake=isinstance(error, ConfigError))
        return error.exit_code
    refused.extend(use_profiles(sensors))
    writer = SampleWriter(Path(arguments[0]))
    poller = make_poller(sensors, settings["poll_interval_s"], writer)
    poller.begin()
    _answer(
        sensors=[dataclasses.asdict(sensor.info) for sensor in sensors],
        refused=[dataclasses.asdict(status) for status in refused],
        intervals_s=poller.intervals_s,
    )
    try:
        poller.run(lambda seconds: _wait(seconds, parent))
    finally:
        for sensor in sensors:
            sensor.close()
        writer.close()
    return 0


def make_poller(sensors: Sequence[Sensor], poll_interval_s: float, writer: SampleWriter) -> Poller:
    """Return a poller that appends to `writer`."""

    def tell_state(i: int, state: DeviceState) -> None:
        writer.write_event(sensor=i, time_s=now_s(), state=dataclasses.asdict(state))

    def report(i: int, text: str) -> None:
        writer.write_event(sensor=i, time_s=now_s(), error=text)

    return Poller(sensors, poll_interval_s, writer.write_row, report, tell_state)


def _wait(seconds: float, parent: int) -> Signal:
    """Wait for a mark or the end of standard input."""
    ready, _, _ = select.select([0], [], [], min(seconds, _PARENT_CHECK_S))
    if ready:
        return "mark" if os.read(0, 4096) else "stop"
    return "stop" if os.getppid() != parent else ""


def _answer(**content: Any) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
