"""The sampler in a process of its own, so that the measured program's interpreter lock neither delays it nor is held.

The measured process writes one byte per window edge and reads the sample file; all else happens in
`harness.measure.child`. Each ends by itself when the other is killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import harness
from harness.core.config import MeasureConfig
from harness.core.errors import ConfigError, SensorError
from harness.core.records import SensorInfo
from harness.measure.samplefile import SampleReader
from harness.measure.sampler import StateSample
from harness.measure.samples import Samples
from harness.sensors.base import DeviceState, SensorStatus

_INFOS: TypeAdapter[tuple[SensorInfo, ...]] = TypeAdapter(tuple[SensorInfo, ...])
_STATUSES: TypeAdapter[tuple[SensorStatus, ...]] = TypeAdapter(tuple[SensorStatus, ...])
_STOP_TIMEOUT_S = 5.0
_LOG_NAME = "sampler.log"


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
        self._process: subprocess.Popen[bytes] | None = None
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
        with (folder / _LOG_NAME).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "harness.measure.child", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": search_path()},
                start_new_session=True,
                bufsize=0,
            )
        self._process, self.pid = process, process.pid
        assert process.stdin is not None  # noqa: S101 - as asked for above
        self._mark_fd = process.stdin.fileno()
        answer = self._ask(process, folder)
        self.infos = _INFOS.validate_python(answer["sensors"])
        self.refused = _STATUSES.validate_python(answer["refused"])
        self.intervals_s = tuple(answer["intervals_s"])
        self.samples = tuple(Samples() for _ in self.infos)
        self._reader = SampleReader(folder)
        os.set_blocking(self._mark_fd, False)
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
        code = None if self._process is None or self._stopped or not self.infos else self._process.poll()
        if code is None:
            return self._failure
        return f"the sampler was killed by signal {-code}" if code < 0 else f"the sampler ended with exit code {code}"

    def stop(self) -> None:
        """Let the process finish the dense stretch it is in, take its last samples and end it."""
        process = self._process
        if process is None or self._stopped:
            return
        self._failure = self.failure()
        self._stopped = True
        end_process(process)
        self._mark_fd = -1
        self.refresh()
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
        if process.stdout is not None:
            process.stdout.close()

    def _make_folder(self) -> Path:
        if self._given_folder is not None:
            self._given_folder.mkdir(parents=True, exist_ok=True)
            return self._given_folder
        folder = Path(tempfile.mkdtemp(prefix="isojoule-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _ask(self, process: subprocess.Popen[bytes], folder: Path) -> dict[str, Any]:
        """Send the settings and return the answer; an answer that is an error, or none, is raised."""
        assert process.stdin is not None  # noqa: S101 - as asked for in start
        assert process.stdout is not None  # noqa: S101
        settings = {
            "sensor": dataclasses.asdict(self._config.sensor),
            "poll_interval_s": self._config.poll_interval_s,
        }
        with contextlib.suppress(OSError):
            process.stdin.write((json.dumps(settings) + "\n").encode())
        line = b""
        while not line.endswith(b"\n") and (part := process.stdout.read(65536)):
            line += part
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            process.wait()
            self._stopped = True
            last = (folder / _LOG_NAME).read_text(errors="replace").strip().splitlines()[-1:]
            raise SensorError(f"the sampler's process did not start: {''.join(last) or 'it said nothing'}") from None
        if "error" in answer:
            process.wait()
            self._stopped = True
            raise (ConfigError if answer["mistake"] else SensorError)(answer["error"])
        return answer

    def _take_event(self, event: dict[str, Any]) -> None:
        if "error" in event:
            self.samples[event["sensor"]].last_error = event["error"]
        elif "state" in event:
            self.states.append(to_state_sample(event))


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Close the standard input of a child, which ends it, and wait; one that does not end is killed."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def to_state_sample(event: dict[str, Any]) -> StateSample:
    """Return the device state that a child wrote as an event."""
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in event["state"].items()
    }
    return StateSample(event.get("sensor", 0), event["time_s"], DeviceState(**fields))


def search_path() -> str:
    """Return PYTHONPATH for the child: where this harness was imported from comes first."""
    own = str(Path(harness.__file__).resolve().parents[1])
    inherited = os.environ.get("PYTHONPATH")
    return own if not inherited else own + os.pathsep + inherited
