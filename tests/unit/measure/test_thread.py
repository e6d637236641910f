"""Sensors that are already open, sampled from a real thread."""

from __future__ import annotations

import math
import threading
import time

import pytest

from harness.core.config import MeasureConfig, SensorConfig
from harness.measure import Meter, Window
from harness.measure.sampler import ThreadSampler
from harness.sensors import Sensor
from harness.sensors.synthetic import SyntheticSensor


def codes(w: Window) -> list[str]:
    return [finding.code for finding in w.findings]


class Moody(SyntheticSensor):
    """Fails at every third read of power and answers nonsense at the next."""

    calls = 0
    closed = False

    def read_power_w(self) -> float | None:
        self.calls += 1
        if self.calls % 3 == 1:
            raise OSError("bus error")
        return math.inf if self.calls % 3 == 2 else 5.0

    def close(self) -> None:
        self.closed = True


def test_open_sensors_are_polled_from_a_thread_that_survives_their_failures() -> None:
    sensor = Moody(method="sampled")
    with Meter(MeasureConfig(poll_interval_s=0.005), sensors=[sensor]) as made:
        assert isinstance(made.sampler, ThreadSampler)
        samples = made.sampler.samples[0]
        until_s = time.monotonic() + 20
        while samples.size < 300 and time.monotonic() < until_s:
            time.sleep(0.01)
    stopped_at = samples.size
    assert stopped_at >= 300
    rows = samples.between(-math.inf, math.inf)
    assert samples.last_error == "bus error"
    assert sorted({str(power_w) for power_w in rows["power_w"]}) == ["5.0", "nan"]
    assert (rows["time_s"][1:] >= rows["time_s"][:-1]).all()
    assert all(thread.name != "isojoule-sampler" for thread in threading.enumerate())
    assert samples.size == stopped_at
    assert sensor.closed


def test_a_sensor_that_fails_for_good_in_mid_window_leaves_it_unknown_in_its_own_words() -> None:
    failing = SyntheticSensor(fails_from_s=0.15)
    with Meter(sensors=[failing, SyntheticSensor(domain="cpu")]) as made, made.window("pretrain") as w:
        time.sleep(0.7)
    lost, kept = w.readings
    assert lost.energy_j is None
    assert "told to fail" in (lost.reason or "")
    assert kept.energy_j == pytest.approx(100.0 * w.duration_s, abs=0.5)
    assert w.energy_j is None


def test_no_sensors_are_said_and_not_recorded_as_zero() -> None:
    sensors: list[Sensor] = []
    with Meter(MeasureConfig(sensor=SensorConfig(names=[])), sensors=sensors) as made, made.window("a") as w:
        assert w.energy_so_far_j() is None
    assert (w.readings, w.energy_j, codes(w)) == ((), None, ["no_sensor"])
