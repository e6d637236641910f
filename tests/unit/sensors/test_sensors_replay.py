"""A trace that is played again."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.config import SensorConfig
from harness.core.errors import ConfigError, SensorError
from harness.sensors.replay import Replay, ReplaySensor, read_trace


def write(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text)
    return path


def test_counter_is_the_exact_integral_of_held_power(tmp_path: Path) -> None:
    """The trace starts at opening, whatever its first time; power holds; past the last row it is over."""
    path = write(tmp_path, "time_s,power_w\n10,100\n11,300\n\n13,50\n13.5,0\n")
    clock = [7.0]
    sensor = ReplaySensor(read_trace(path), path.name, clock=lambda: clock[0])
    seen = []
    for elapsed_s in (0.0, 0.5, 1.0, 2.0, 3.25, 3.5):
        clock[0] = 7.0 + elapsed_s
        seen.append((sensor.read_power_w(), sensor.read_energy_j()))
    assert seen == [(100, 0), (100, 50), (300, 100), (300, 400), (50, 712.5), (0, 725)]
    clock[0] = 10.6
    with pytest.raises(SensorError, match="the trace is over"):
        sensor.read_energy_j()
    with pytest.raises(SensorError, match="the trace is over"):
        sensor.read_power_w()
    info = sensor.info
    assert (info.method, info.grade, info.simulated, info.update_period_s) == ("counter", "A", True, 0.0)
    assert str(tmp_path) not in info.device


def test_a_recorded_counter_is_held_as_it_was(tmp_path: Path) -> None:
    """With energy_j nothing is integrated: steps and resets of the recording come back."""
    path = write(tmp_path, "time_s, power_w, energy_j\n0,100,5000\n1,100,5100\n2,100,3\n3,100,103\n")
    clock = [0.0]
    sensor = ReplaySensor(read_trace(path), path.name, clock=lambda: clock[0])
    seen = []
    for now in (0.0, 0.9, 1.0, 2.5):
        clock[0] = now
        seen.append(sensor.read_energy_j())
    assert seen == [5000, 5000, 5100, 3]
    assert sensor.info.update_period_s is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1 must be the header"),
        ("0,100\n1,100\n", "line 1 must be the header"),
        ("time,power\n0,1\n1,1\n", "line 1 must be the header"),
        ("time_s,power_w\n0,1\n", "holds 1 samples"),
        ("time_s,power_w\n0,1\n1,x\n", "line 3: could not convert"),
        ("time_s,power_w\n0,1\n1,nan\n", "line 3: 2 finite numbers"),
        ("time_s,power_w\n0,1\n1\n", "line 3: 2 finite numbers"),
        ("time_s,power_w\n0,1\n\n2,1\n2,1\n", "line 5: time_s is 2 after 2; times must rise"),
    ],
)
def test_what_is_not_a_trace_names_the_line(tmp_path: Path, text: str, says: str) -> None:
    """A bad file is the user's mistake, in one line."""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=says) as raised:
        Replay(SensorConfig(replay_file=str(path))).open()
    assert "trace.csv" in str(raised.value)


def test_without_a_file(tmp_path: Path) -> None:
    """No file and a missing file say what to set; the list does not raise."""
    with pytest.raises(ConfigError, match=r"set measure\.sensor\.replay_file=trace\.csv"):
        Replay().open()
    missing = SensorConfig(replay_file=str(tmp_path / "no.csv"))
    with pytest.raises(ConfigError, match="No such file"):
        Replay(missing).open()
    for backend in (Replay(), Replay(missing)):
        (status,) = backend.probe()
        assert (status.available, status.simulated) == (False, True)


def test_opening_plays_on_the_real_clock(tmp_path: Path) -> None:
    """The registered sensor counts from now on and is listed as simulated."""
    path = write(tmp_path, "time_s,power_w\n0,100\n60,100\n")
    backend = Replay(SensorConfig(replay_file=str(path)))
    (status,) = backend.probe()
    assert (status.available, status.simulated) == (True, True)
    (sensor,) = backend.open()
    first, second = sensor.read_energy_j(), sensor.read_energy_j()
    assert first is not None
    assert second is not None
    assert 0 <= first <= second < 100
    assert sensor.read_power_w() == 100
    assert sensor.read_state() is None
    sensor.close()
