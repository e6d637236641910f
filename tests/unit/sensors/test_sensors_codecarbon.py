"""CodeCarbon's model through the real library."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import SensorError
from harness.sensors import codecarbon
from harness.sensors.codecarbon import Codecarbon, ModelledSensor


class FakeModel:
    """Gives the powers it is told, like codecarbon's hardware classes."""

    def __init__(self, *powers_w: float) -> None:
        self._powers_w = list(powers_w)

    def total_power(self) -> Any:
        return type("Power", (), {"W": self._powers_w.pop(0)})


def make_info() -> Any:
    return codecarbon._info("cpu", "a CPU", "a model")


def test_models_are_grade_c_and_touch_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both domains are modelled, inside codecarbon's own formula, with every connection forbidden."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    codecarbon._find_tdp.cache_clear()
    sensors = Codecarbon().open()
    assert [(s.info.domain, s.info.grade, s.info.method) for s in sensors] == [
        ("cpu", "C", "modelled"),
        ("dram", "C", "modelled"),
    ]
    _, tdp_w, _ = codecarbon._find_tdp()
    cpu_w, dram_w = (s.read_power_w() for s in sensors)
    assert cpu_w is not None
    assert 0.1 * tdp_w <= cpu_w <= tdp_w * 1.0001
    assert dram_w is not None
    assert dram_w >= 3
    first, second = sensors[0].read_energy_j(), sensors[0].read_energy_j()
    assert first is not None
    assert second is not None
    assert second >= first > 0


def test_power_holds_over_the_interval_it_describes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's power is the mean since the last reading; close reads go on at the last power."""
    clock = [10.0]
    monkeypatch.setattr(codecarbon, "now_s", lambda: clock[0])
    sensor = ModelledSensor(make_info(), FakeModel(5.0, 8.0, 2.0))
    clock[0] = 11.0
    assert sensor.read_energy_j() == pytest.approx(8.0)
    clock[0] = 11.05
    assert sensor.read_energy_j() == pytest.approx(8.4)
    clock[0] = 12.0
    assert sensor.read_energy_j() == pytest.approx(10.0)


def test_codecarbon_failing_is_not_zero_watts() -> None:
    """CodeCarbon answers its own failures with 0 W; here that is an error."""
    with pytest.raises(SensorError, match="0"):
        ModelledSensor(make_info(), FakeModel(0.0))


def test_missing_package_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without codecarbon the status says what to install."""

    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(codecarbon.importlib, "import_module", refuse)
    with pytest.raises(SensorError, match="pip install codecarbon"):
        Codecarbon().open()
    assert [s.available for s in Codecarbon().probe()] == [False]


def test_a_fresh_process_prints_and_leaves_nothing(tmp_path: Path) -> None:
    """The sampler opens it in a process of its own, whose output and folder are the user's."""
    program = (
        "from harness.sensors.codecarbon import Codecarbon\n"
        "for s in Codecarbon().open():\n"
        "    assert s.read_power_w() > 0 and s.read_energy_j() >= 0 and s.read_state() is None\n"
        "    s.close()\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
