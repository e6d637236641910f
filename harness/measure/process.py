"""The sampler in a process of its own, so that the measured program's interpreter lock neither delays it nor is held.

The measured process writes one byte per window edge and reads the sample file; all else happens in
`harness.measure.child`. Each ends by itself when the other is killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import Any

from harness.core.config import MeasureConfig
from harness.core.readings import SensorInfo
from harness.core.strict import StrictReader
from harness.measure.prepared import SamplerProcess, leave_sampler, take_sampler
from harness.measure.samplefile import SampleReader
from harness.measure.sampler import StateSample
from harness.measure.samples import Samples
from harness.sensors.base import DeviceState, SensorStatus

_INFOS = StrictReader(tuple[SensorInfo, ...])
_STATUSES = StrictReader(tuple[SensorStatus, ...])


class ProcessSampler:
    """Samples the sensors that `config` names from a child process.

    Args:
        config: which sensors, and the poll interval.
        folder: where the sample file lies; it stays there. Without one it lies in a temporary folder that goes away
            with the sampler.
    """

    def __init__(self, config: MeasureConfig, folder: Path | None = None) -> None:
        self._config = config
        self._given_folder = folder
        self._lock = threading.Lock()
        self._child: SamplerProcess | None = None
        self._reader: SampleReader | None = None
        self._mark_fd = -1
        self._stopped = False
        self._failure: str | None = None
        self.pid: int | None = None
        self.infos: tuple[SensorInfo, ...] = ()
        self.refused: tuple[SensorStatus, ...] = ()
        self.samples: tuple[Samples, ...] = ()
        self.intervals_s: tuple[float, ...] = ()
        self.states: list[StateSample] = []

    def start(self) -> None:
        """Start the process and wait until its sensors are open (codecarbon's model takes a second or two).

        Raises:
            SensorError: a sensor asked for by name cannot be read, or the process does not start.
            ConfigError: the configuration names something unknown.
        """
        folder = self._make_folder()
        child = take_sampler(self._config)
        self._child, self.pid = child, child.process.pid
        try:
            answer = child.open()
            self.infos = _INFOS.take(answer["sensors"])
            self.refused = _STATUSES.take(answer["refused"])
            self.intervals_s = tuple(child.begin(folder)["intervals_s"])
        except BaseException:
            self._stopped = True
            child.end()
            raise
        self._mark_fd = child.mark_fd
        self.samples = tuple(Samples() for _ in self.infos)
        self._reader = SampleReader(folder)
        self.refresh()

    def mark(self) -> None:
        """Wake the sampler: one byte into a pipe that never blocks."""
        with contextlib.suppress(OSError):  # full: it is awake; broken: it has ended, which `failure` tells
            os.write(self._mark_fd, b"!")

    def refresh(self) -> None:
        """Read what the process has appended since the last time."""
        with self._lock:
            if self._reader is None:
                return
            rows = self._reader.read_rows()
            for i, samples in enumerate(self.samples):
                samples.extend(rows[rows["sensor"] == i])
            for event in self._reader.read_events():
                self._take_event(event)

    def failure(self) -> str | None:
        """Return how the process ended if nobody asked it to, else ``None``."""
        code = None if self._child is None or self._stopped or not self.infos else self._child.process.poll()
        if code is None:
            return self._failure
        return f"the sampler was killed by signal {-code}" if code < 0 else f"the sampler ended with exit code {code}"

    def stop(self) -> None:
        """Let the process finish the dense stretch it is in, take its last samples and end it, or keep it."""
        child = self._child
        if child is None or self._stopped:
            return
        self._failure = self.failure()
        self._stopped = True
        self._mark_fd = -1
        leave_sampler(child)
        self.refresh()
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def _make_folder(self) -> Path:
        if self._given_folder is not None:
            self._given_folder.mkdir(parents=True, exist_ok=True)
            return self._given_folder
        folder = Path(tempfile.mkdtemp(prefix="isojoule-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _take_event(self, event: dict[str, Any]) -> None:
        if "error" in event:
            self.samples[event["sensor"]].last_error = event["error"]
        elif "state" in event:
            self.states.append(to_state_sample(event))


def to_state_sample(event: dict[str, Any]) -> StateSample:
    """Return the device state that a child wrote as an event."""
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in event["state"].items()
    }
    return StateSample(event.get("sensor", 0), event["time_s"], DeviceState(**fields))
