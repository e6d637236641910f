"""The polling loop: a fixed rate, and for a moment after each mark densely, so that a counter's next tick is timed.

It runs in the sampler's own process (`harness.measure.child`) or in a thread over sensors that are already open.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Literal

from harness.core.clock import now_s
from harness.measure.samples import FAILED_ENERGY, FAILED_POWER
from harness.sensors.base import DeviceState, Sensor

# Distance of dense reads, and for how long after a mark a counter that does not tick is waited for.
DENSE_INTERVAL_S = 0.001
DENSE_LIMIT_S = 0.35
# At the start counters are read densely for this long: their ticks give the update period.
STARTUP_S = 1.2
# A model's inputs (CPU times) move slowly.
MODELLED_INTERVAL_S = 0.5
STATE_INTERVAL_S = 1.0
# Before anything is measured, each counter is seen to tick this often, or so long (s) is waited for it.
FIRST_TICKS = 4
FIRST_TICKS_LIMIT_S = 0.6

# A sensor that waits for its answers is read so much less often than they take, and waited for so long (s) at the end.
SLOW_FACTOR = 1.5
SLOW_PATIENCE_S = 2.5

Signal = Literal["", "mark", "stop"]
# Takes one row: sensor, time (s), energy (J), power (W), length of the read (s), what failed.
WriteRow = Callable[[int, float, float, float, float, int], None]


class Poller:
    """Polls `sensors` every `poll_interval_s` until told to stop.

    Args:
        sensors: open sensors.
        poll_interval_s: the fixed rate; a model and a meter that answers slowly are read less often.
        write: takes one row as it is read.
        report: takes a sensor's place and the message of a read that failed, once for each new message.
        tell_state: takes a sensor's place and its `DeviceState`, about once a second.
    """

    def __init__(
        self,
        sensors: Sequence[Sensor],
        poll_interval_s: float,
        write: WriteRow,
        report: Callable[[int, str], None],
        tell_state: Callable[[int, DeviceState], None],
    ) -> None:
        self._sensors = tuple(sensors)
        self._write, self._report, self._tell_state = write, report, tell_state
        self._errors: dict[int, str] = {}  # the latest message of each sensor
        self._waiting: dict[int, float] = {}  # counter that must tick -> its value when the wait began
        self._wait_until_s = 0.0
        self.intervals_s = tuple(max(poll_interval_s, _shortest_interval_s(sensor)) for sensor in self._sensors)
        self._slow = tuple(i for i, sensor in enumerate(self._sensors) if sensor.answer_s is not None)
        self._quick = tuple(i for i in range(len(self._sensors)) if i not in self._slow)
        self._counters = tuple(i for i in self._quick if self._sensors[i].info.method == "counter")
        self._has_state = [True] * len(self._sensors)
        self._ended = threading.Event()

    def run(self, wait: Callable[[float], Signal]) -> None:
        """Poll until `wait(seconds)` answers ``stop``; ``mark`` starts a dense stretch.

        After a stop the last stretch is finished first, so that the window that just closed gets its tick.
        """
        threads = [threading.Thread(target=self._poll_slow, args=(i,), daemon=True) for i in self._slow]
        for thread in threads:
            thread.start()
        try:
            self._poll_quick(wait)
        finally:
            self._ended.set()
            for thread in threads:
                thread.join(SLOW_PATIENCE_S)

    def _poll_quick(self, wait: Callable[[float], Signal]) -> None:
        start_s = now_s()
        due_s = dict.fromkeys(self._quick, start_s)
        state_due_s = start_s + STARTUP_S
        stopping = False
        while self._sensors and not (stopping and not self._waiting):
            now = now_s()
            read_now = set()
            for i in self._quick:
                if now >= due_s[i]:
                    interval_s = self.intervals_s[i]
                    self.read(i)
                    read_now.add(i)
                    due_s[i] += interval_s * (math.floor((now - due_s[i]) / interval_s) + 1)
            dense = self._counters if now < start_s + STARTUP_S else tuple(self._waiting)
            for i in dense:
                if i not in read_now:
                    self.read(i, with_power=False)
            if now >= self._wait_until_s:
                self._waiting.clear()
            if not dense and now >= state_due_s:
                self._read_states()
                state_due_s = now_s() + STATE_INTERVAL_S
            sleep_s = DENSE_INTERVAL_S if dense else min(due_s.values(), default=now + MODELLED_INTERVAL_S) - now_s()
            if stopping:
                time.sleep(DENSE_INTERVAL_S)
                continue
            signal = wait(max(0.0, sleep_s))
            if signal:
                self._begin_dense()
            stopping = signal == "stop"

    def _poll_slow(self, i: int) -> None:
        """Read a sensor that waits for its answers, by itself: it holds up nothing else."""
        due_s = now_s()
        while not self._ended.wait(max(0.0, due_s - now_s())):
            self.read(i)
            interval_s = self.intervals_s[i]
            due_s += interval_s * max(1, math.ceil((now_s() - due_s) / interval_s))

    def begin(self) -> None:
        """Read everything, and counters densely until each has ticked a few times.

        The first window needs the ticks before it.
        """
        for i in range(len(self._sensors)):
            self.read(i)
        until_s = now_s() + FIRST_TICKS_LIMIT_S
        ticks_left = dict.fromkeys(self._counters, FIRST_TICKS)
        latest_j = dict.fromkeys(self._counters, math.nan)
        while ticks_left and now_s() < until_s:
            for i in tuple(ticks_left):
                energy_j = self.read(i, with_power=False)
                if energy_j != latest_j[i]:
                    ticks_left[i] -= not math.isnan(latest_j[i])
                    latest_j[i] = energy_j
                if not ticks_left[i]:
                    del ticks_left[i]
            time.sleep(DENSE_INTERVAL_S)

    def read(self, i: int, *, with_power: bool = True) -> float:
        """Read sensor `i` once and return its energy (J); a failure becomes NaN and is reported."""
        sensor = self._sensors[i]
        failed = 0
        before_s = now_s()
        energy_j = power_w = math.nan
        try:
            energy_j = _finite(sensor.read_energy_j())
        except Exception as error:  # noqa: BLE001 - a vendor's library must not end the measured run
            failed |= FAILED_ENERGY
            self._note(i, error)
        after_s = now_s()
        if with_power:
            try:
                power_w = _finite(sensor.read_power_w())
            except Exception as error:  # noqa: BLE001 - the same
                failed |= FAILED_POWER
                self._note(i, error)
            if math.isnan(energy_j):
                after_s = now_s()
        self._write(i, (before_s + after_s) / 2, energy_j, power_w, after_s - before_s, failed)
        before_j = self._waiting.get(i)
        if before_j is not None and energy_j != before_j and not math.isnan(energy_j):
            if math.isnan(before_j):
                self._waiting[i] = energy_j
            else:
                del self._waiting[i]
        return energy_j

    def _begin_dense(self) -> None:
        """Read everything at once, then wait for each counter's next tick."""
        self._waiting = dict.fromkeys(self._counters, math.nan)
        self._wait_until_s = now_s() + DENSE_LIMIT_S
        for i in self._quick:
            self.read(i)

    def _read_states(self) -> None:
        for i, sensor in enumerate(self._sensors):
            if not self._has_state[i]:
                continue
            try:
                state = sensor.read_state()
            except Exception:  # noqa: BLE001, S112 - a label beside the energy; its failure is not the energy's
                continue
            if state is None:
                self._has_state[i] = False
            else:
                self._tell_state(i, state)

    def _note(self, i: int, error: Exception) -> None:
        text = str(error) or type(error).__name__
        if self._errors.get(i) != text:
            self._errors[i] = text
            self._report(i, text)


def _shortest_interval_s(sensor: Sensor) -> float:
    """Return how often at most a sensor is worth reading: a model slowly, a meter no more often than it answers."""
    if sensor.info.method == "modelled":
        return MODELLED_INTERVAL_S
    return SLOW_FACTOR * (sensor.answer_s or 0.0)


def _finite(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else math.nan
