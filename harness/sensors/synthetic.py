"""A simulated sensor with a known waveform, for tests and demonstrations; its readings never yield a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from harness.core.clock import now_s
from harness.core.errors import SensorError
from harness.core.readings import Domain, SensorInfo
from harness.sensors.base import DeviceState, Sensor, SensorStatus, status_of


class SyntheticSensor(Sensor):
    """A square wave between `low_w` and `high_w` of period `wave_s` and half duty; equal powers make it constant.

    As a counter it shows the exact integral, sampled and held every `update_period_s` (0: always exact). As a sampled
    sensor it shows power only. `reset_at_s` sets the counter back to zero once; between `fails_from_s` and
    `fails_until_s` every read raises `SensorError`. Times are in seconds since the sensor was made, on `clock`.
    `state` is what the device is said to do, always the same.
    """

    def __init__(
        self,
        *,
        low_w: float = 100.0,
        high_w: float = 100.0,
        wave_s: float = 1.0,
        method: Literal["counter", "sampled"] = "counter",
        update_period_s: float = 0.0,
        domain: Domain = "gpu",
        device_index: int = 0,
        reset_at_s: float = math.inf,
        fails_from_s: float = math.inf,
        fails_until_s: float = math.inf,
        with_power: bool = True,
        state: DeviceState | None = None,
        clock: Callable[[], float] = now_s,
    ) -> None:
        self._low_w, self._high_w, self._wave_s = low_w, high_w, wave_s
        self._period_s = update_period_s
        self._reset_at_s = reset_at_s
        self._fails_s = (fails_from_s, fails_until_s)
        self._with_power = with_power
        self._state = state
        self._clock = clock
        self._start_s = clock()
        self.info = SensorInfo(
            name="synthetic",
            domain=domain,
            device=f"square wave {low_w:g}-{high_w:g} W",
            device_index=device_index,
            method=method,
            grade="A" if method == "counter" else "B",
            update_period_s=update_period_s,
            source="simulated waveform",
            simulated=True,
        )

    def energy_at_j(self, time_s: float) -> float:
        """Return the exact integral of the wave from 0 to `time_s`, in joules."""
        num_waves, rest_s = divmod(time_s, self._wave_s)
        half_s = self._wave_s / 2
        whole_j = num_waves * half_s * (self._low_w + self._high_w)
        return whole_j + self._low_w * min(rest_s, half_s) + self._high_w * max(0.0, rest_s - half_s)

    def read_energy_j(self) -> float | None:
        """Return the counter, or ``None`` for a sampled sensor."""
        time_s = self._read_time_s()
        if self.info.method != "counter":
            return None
        energy_j = self.energy_at_j(time_s)
        return energy_j - self.energy_at_j(self._reset_at_s) if time_s >= self._reset_at_s else energy_j

    def read_power_w(self) -> float | None:
        """Return the wave's value as the sensor last saw it."""
        time_s = self._read_time_s()
        if not self._with_power:
            return None
        return self._low_w if time_s % self._wave_s < self._wave_s / 2 else self._high_w

    def read_state(self) -> DeviceState | None:
        """Return the state that the sensor was made with."""
        return self._state

    def _read_time_s(self) -> float:
        time_s = self._clock() - self._start_s
        if self._fails_s[0] <= time_s < self._fails_s[1]:
            raise SensorError("the synthetic sensor was told to fail")
        return math.floor(time_s / self._period_s) * self._period_s if self._period_s else time_s


class Synthetic:
    """One simulated counter with the default wave."""

    def probe(self) -> list[SensorStatus]:
        """Describe the simulated sensor; it is always there and only used when named."""
        return [status_of(SyntheticSensor().info, reason="simulated, opened only by name")]

    def open(self) -> list[Sensor]:
        """Open the simulated sensor."""
        return [SyntheticSensor()]
