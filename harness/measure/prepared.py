"""The sampler's process as its parent sees it: launched before it is needed, and kept from one meter to the next.

Opening sensors takes a second or two (codecarbon's tables). A worker that is started anew launches its sampler first
and imports torch meanwhile, a forked one forks it before it does anything else, and a warm one keeps it. While it waits
it is blocked on its standard input and reads no sensor.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import json
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import harness
from harness.core.config import MeasureConfig
from harness.core.errors import ConfigError, SensorError
from harness.measure.forked_sampler import ForkedProcess

PARK = b"P"
_STOP_TIMEOUT_S = 5.0
_prepared: list[SamplerProcess] = []
_keeps: list[bool] = [False]


class SamplerProcess:
    """A child that has been told its sensors; `open` waits until it has them, `begin` lets it poll."""

    def __init__(self, config: MeasureConfig, *, fork: bool = False) -> None:
        self.key = _key(config)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._opened: dict[str, Any] | None = None
        self.process: subprocess.Popen[bytes] | ForkedProcess = _fork(self._log) if fork else _spawn(self._log)
        assert self.process.stdin is not None  # noqa: S101 - as asked for above
        self.mark_fd = self.process.stdin.fileno()
        self._send({"sensor": dataclasses.asdict(config.sensor), "poll_interval_s": config.poll_interval_s})

    def open(self) -> dict[str, Any]:
        """Return which sensors are open and which were refused.

        Raises:
            SensorError: a sensor asked for by name cannot be read, or the process did not start.
            ConfigError: the configuration names something unknown.
        """
        if self._opened is None:
            self._opened = self._read()
        if "error" in self._opened:
            self.process.wait()
            raise (ConfigError if self._opened["mistake"] else SensorError)(self._opened["error"])
        return self._opened

    def begin(self, folder: Path) -> dict[str, Any]:
        """Let the process poll into files in `folder`; return its answer.

        Raises:
            SensorError: the process has ended.
        """
        self._send({"folder": str(folder.resolve())})
        answer = self._read()
        os.set_blocking(self.mark_fd, False)  # a mark never waits
        return answer

    def park(self) -> bool:
        """Let the process finish its dense stretch and wait for another `begin`; return whether it does."""
        os.set_blocking(self.mark_fd, True)
        with contextlib.suppress(OSError):
            os.write(self.mark_fd, PARK)
            stdout = self.process.stdout
            if stdout is not None and select.select([stdout], [], [], _STOP_TIMEOUT_S)[0]:
                return b"parked" in stdout.readline()
        return False

    def end(self) -> None:
        """End the process."""
        end_process(self.process)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()

    def _send(self, content: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            os.set_blocking(self.mark_fd, True)
            os.write(self.mark_fd, (json.dumps(content) + "\n").encode())

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None  # noqa: S101 - as asked for above
        line = b""
        while not line.endswith(b"\n") and (part := self.process.stdout.read(65536)):
            line += part
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            self.process.wait()
            self._log.seek(0)
            last = self._log.read().decode(errors="replace").strip().splitlines()[-1:]
            raise SensorError(f"the sampler's process did not start: {''.join(last) or 'it said nothing'}") from None
        return answer


def prepare_sampler(config: MeasureConfig, *, fork: bool = False) -> None:
    """Launch the sampler of a meter to come with `config`, unless one is waiting.

    With `fork` it is a fork of this process, which must have no threads yet, in place of a new interpreter.
    """
    if not any(sampler.key == _key(config) and sampler.process.poll() is None for sampler in _prepared):
        end_prepared()
        _prepared.append(SamplerProcess(config, fork=fork))


def keep_samplers(*, keep: bool) -> None:
    """Say whether a meter that ends leaves its sampler waiting for the next."""
    _keeps[0] = keep


def take_sampler(config: MeasureConfig) -> SamplerProcess:
    """Return the sampler that waits for `config`, else a new one."""
    key = _key(config)
    while _prepared:
        sampler = _prepared.pop()
        if sampler.key == key and sampler.process.poll() is None:
            return sampler
        sampler.end()
    return SamplerProcess(config)


def leave_sampler(sampler: SamplerProcess) -> None:
    """Keep a sampler for the next meter where that was asked for, else end it."""
    if _keeps[0] and not _prepared and sampler.park():
        _prepared.append(sampler)
    else:
        sampler.end()


def end_prepared() -> None:
    """End samplers that wait."""
    while _prepared:
        _prepared.pop().end()


def _spawn(log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness.measure.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env={**os.environ, "PYTHONPATH": search_path()},
        start_new_session=True,
        bufsize=0,
    )


def _fork(log: IO[bytes]) -> ForkedProcess:
    from harness.measure import child  # noqa: PLC0415 - which imports this module

    return ForkedProcess(child.main, log)


def end_process(process: subprocess.Popen[bytes] | ForkedProcess) -> None:
    """Close the standard input of a child, which ends it, and wait; one that does not end is killed."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def search_path() -> str:
    """Return PYTHONPATH for the child: where this harness was imported from comes first."""
    own = str(Path(harness.__file__).resolve().parents[1])
    inherited = os.environ.get("PYTHONPATH")
    return own if not inherited else own + os.pathsep + inherited


def _key(config: MeasureConfig) -> str:
    return json.dumps([dataclasses.asdict(config.sensor), config.poll_interval_s, sorted(os.environ.items())])


atexit.register(end_prepared)
