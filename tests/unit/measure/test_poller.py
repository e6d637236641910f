"""The polling loop over a counter in virtual time: when it reads, and what a failing read becomes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from harness.measure import poller
from harness.measure.poller import DENSE_LIMIT_S, STARTUP_S, Poller, Signal
from harness.sensors import DeviceState, Sensor
from harness.sensors.synthetic import SyntheticSensor
from tests.unit.measure.scene import Clock

POLL_S = 0.05
READ_S = 1e-5


@dataclass
class Run:
    """A poller, what it wrote, and the marks that it is to get."""

    clock: Clock
    marks_s: tuple[float, ...] = ()
    stop_s: float = 5.0
    rows: list[tuple[int, float, float, float, float, int]] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)
    states: list[tuple[int, DeviceState]] = field(default_factory=list)

    def poll(self, *sensors: Sensor) -> Poller:
        left_s = list(self.marks_s)

        def wait(seconds: float) -> Signal:
            until_s = self.clock.time_s + seconds
            for signal, at_s in (("mark", left_s[0] if left_s else math.inf), ("stop", self.stop_s)):
                if at_s <= until_s:
                    self.clock.time_s = max(self.clock.time_s, at_s)
                    del left_s[:1]
                    return signal  # type: ignore[return-value]
            self.clock.time_s = until_s
            return ""

        made = Poller(
            sensors,
            POLL_S,
            lambda *row: self.rows.append(row),
            lambda i, text: self.errors.append((i, text)),
            lambda i, state: self.states.append((i, state)),
        )
        made.run(wait)
        return made

    def times_s(self, begin_s: float = 0.0, end_s: float = math.inf, sensor: int = 0) -> np.ndarray:
        return np.array([row[1] for row in self.rows if row[0] == sensor and begin_s <= row[1] < end_s])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return a clock that every look at it moves a little, as a read does."""
    clock = Clock()

    def now_s() -> float:
        clock.sleep(READ_S)
        return clock.time_s

    monkeypatch.setattr(poller, "now_s", now_s)
    monkeypatch.setattr(poller, "time", SimpleNamespace(sleep=clock.sleep))
    return clock


def make_sensor(clock: Clock, **settings: object) -> SyntheticSensor:
    return SyntheticSensor(clock=clock.now_s, **{"update_period_s": 0.1, **settings})  # type: ignore[arg-type]


def test_counters_are_read_densely_at_the_start_and_at_a_fixed_rate_then(clock: Clock) -> None:
    run = Run(clock, stop_s=4.0)
    run.poll(make_sensor(clock))
    assert np.diff(run.times_s(0.0, STARTUP_S)).max() < 0.003
    later_s = run.times_s(1.3, 3.9)
    assert np.diff(later_s) == pytest.approx(np.full(later_s.size - 1, POLL_S), abs=0.002)
    assert later_s[-1] - later_s[0] == pytest.approx(POLL_S * (later_s.size - 1), abs=0.002)  # no drift


def test_a_mark_is_read_at_once_and_densely_up_to_the_next_tick(clock: Clock) -> None:
    run = Run(clock, marks_s=(2.03,))
    run.poll(make_sensor(clock))
    dense_s = run.times_s(2.03, 2.101)
    assert dense_s[0] == pytest.approx(2.03, abs=0.001)
    assert np.diff(dense_s).max() < 0.003
    assert run.times_s(2.1, 2.45).size <= 9
    powers_w = [row[3] for row in run.rows if 2.03 <= row[1] < 2.0315]
    assert powers_w[0] == 100.0


def test_a_counter_that_does_not_tick_is_waited_for_so_long_only(clock: Clock) -> None:
    run = Run(clock, marks_s=(2.03,))
    run.poll(make_sensor(clock, update_period_s=10.0))
    assert np.diff(run.times_s(2.03, 2.03 + DENSE_LIMIT_S)).max() < 0.003
    assert run.times_s(2.05 + DENSE_LIMIT_S, 3.05 + DENSE_LIMIT_S).size <= 21


def test_a_stop_finishes_the_dense_stretch_of_the_last_window(clock: Clock) -> None:
    run = Run(clock, stop_s=2.03)
    run.poll(make_sensor(clock))
    assert clock.time_s == pytest.approx(2.1, abs=0.005)
    assert run.rows[-1][2] > run.rows[-2][2]


def test_a_sampled_sensor_is_never_read_densely(clock: Clock) -> None:
    run = Run(clock, marks_s=(2.03,), stop_s=3.0)
    run.poll(make_sensor(clock, method="sampled"))
    assert run.times_s().size <= 3.0 / POLL_S + 4


def test_a_failing_read_becomes_a_hole_and_is_reported_once(clock: Clock) -> None:
    run = Run(clock, stop_s=4.0)
    run.poll(make_sensor(clock, fails_from_s=2.0, fails_until_s=3.0), make_sensor(clock))
    failed = [row for row in run.rows if row[5]]
    assert len(failed) >= 18
    assert all(row[0] == 0 and 2.0 <= row[1] <= 3.01 for row in failed)
    assert all(math.isnan(row[2]) and math.isnan(row[3]) for row in failed)
    assert run.errors == [(0, "the synthetic sensor was told to fail")]
    assert run.times_s(2.0, 3.0, sensor=1).size >= 18


class Nonsense(SyntheticSensor):
    """Answers with what is no number, and fails without a word when asked for its state."""

    def read_energy_j(self) -> float | None:
        return math.inf

    def read_power_w(self) -> float | None:
        return math.nan

    def read_state(self) -> DeviceState | None:
        raise RuntimeError


def test_nonsense_becomes_a_hole_and_a_failing_state_is_passed_over(clock: Clock) -> None:
    run = Run(clock, stop_s=3.0)
    run.poll(Nonsense(clock=clock.now_s))
    assert run.rows
    assert all(math.isnan(row[2]) and math.isnan(row[3]) for row in run.rows)
    assert run.states == []


def test_the_state_of_a_device_is_read_about_once_a_second_and_not_while_reads_are_dense(clock: Clock) -> None:
    state = DeviceState(temperature_c=50.0)
    run = Run(clock, stop_s=4.9)
    run.poll(make_sensor(clock, state=state), make_sensor(clock))
    assert run.states == [(0, state)] * len(run.states)
    assert 3 <= len(run.states) <= 4


def test_without_sensors_the_loop_ends_at_once(clock: Clock) -> None:
    run = Run(clock)
    run.poll()
    assert clock.time_s < 0.01
