"""A forked sampler is what one in a new interpreter is: it answers, polls and ends with its pipe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

import pytest

from harness.measure.forked_sampler import ForkedProcess

ANSWERS = """
import dataclasses, json, sys
from harness.core.config import MeasureConfig, SensorConfig
from harness.measure.prepared import SamplerProcess
config = MeasureConfig(sensor=SensorConfig(names=["synthetic"]))
for fork in (True, False):
    sampler = SamplerProcess(config, fork=fork)
    print(json.dumps(sampler.open()))
    sampler.end()
    print(sampler.process.returncode)
"""


@pytest.fixture
def log() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        yield file


def test_a_fork_opens_the_same_sensors_as_a_new_interpreter() -> None:
    done = subprocess.run((sys.executable, "-c", ANSWERS), check=True, capture_output=True, text=True)
    forked, code, spawned, other_code = done.stdout.splitlines()
    assert "synthetic" in forked
    assert forked == spawned
    assert code == other_code == "0"


def _run_in_fork(main: str, log: IO[bytes]) -> str:
    """Return what a process without threads that forks `main` prints."""
    script = f"import os, signal, sys, tempfile\nfrom harness.measure.forked_sampler import ForkedProcess\n{main}\n"
    done = subprocess.run((sys.executable, "-c", script), check=True, stdout=subprocess.PIPE, stderr=log, text=True)
    return done.stdout


def test_it_ends_when_its_input_does_and_tells_its_code(log: IO[bytes]) -> None:
    main = (
        "def main(): return len(sys.stdin.read())\n"
        "fork = ForkedProcess(main, tempfile.TemporaryFile())\n"
        "print(fork.poll()); fork.stdin.write(b'abc'); fork.stdin.close(); print(fork.wait(10), fork.poll())"
    )
    assert _run_in_fork(main, log).split() == ["None", "3", "3"]


def test_killed_and_raising_ones_say_so_and_it_runs_nothing_of_its_parent(log: IO[bytes]) -> None:
    main = (
        "out = tempfile.TemporaryFile()\n"
        "fork = ForkedProcess(lambda: signal.pause() or 0, out); fork.kill(); print(fork.wait())\n"
        "fork = ForkedProcess(lambda: 1 / 0, out); print(fork.wait()); out.seek(0)\n"
        "print('ZeroDivisionError' in out.read().decode())"
    )
    assert _run_in_fork(main, log).split() == [str(-signal.SIGKILL), "1", "True"]


def test_a_process_with_threads_is_not_forked(log: IO[bytes]) -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="threads"):
            ForkedProcess(lambda: os._exit(0), log)
    finally:
        done.set()
        thread.join()
