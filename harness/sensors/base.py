"""What a sensor is: joules since some start, watts now, or neither with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from harness.core.errors import SensorError
from harness.core.readings import Domain, Grade, Method, SensorInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """What a device was doing beside drawing power; ``None`` is a quantity that it does not tell.

    `throttle_reasons` names why clocks are held down (empty: they are not); `process_ids` are the processes that
    compute on the device, the measured one among them, as the driver numbers them.
    """

    temperature_c: float | None = None
    sm_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    utilisation: float | None = None
    throttle_reasons: tuple[str, ...] | None = None
    process_ids: tuple[int, ...] | None = None


class Sensor(Protocol):
    """One energy source of one device and domain; the base gives a sensor that reads nothing.

    A read returns ``None`` for a quantity that the sensor does not have, and raises `SensorError` for one that it has
    and could not read this time. Reads come from several threads, one at a time. `answer_s` is how long
    a read waits for the answer of a network or a program (s), ``None`` for one that does not; a sensor that waits is
    polled from a thread of its own.
    """

    info: SensorInfo
    answer_s: float | None = None

    def read_energy_j(self) -> float | None:
        """Return the energy since an arbitrary start, in joules; only differences mean anything."""
        return None

    def read_power_w(self) -> float | None:
        """Return the power that the sensor reports now, in watts."""
        return None

    def read_state(self) -> DeviceState | None:
        """Return what the device is doing; slow, read about once a second."""
        return None

    def close(self) -> None:
        """Let go of the device; a closed sensor is not read again."""
        return


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorStatus:
    """One line of the list of sensors: what there is, or why not (`reason`) and what would mend it (`fix`).

    `grade`, `method`, `domain` and `device` are ``None`` where the vendor's library gave nothing to describe.
    """

    name: str
    available: bool
    grade: Grade | None = None
    method: Method | None = None
    domain: Domain | None = None
    device: str | None = None
    device_index: int | None = None
    reason: str | None = None
    fix: str | None = None
    simulated: bool = False

    def explain(self) -> str:
        """Return the reason and the fix as one line."""
        reason = self.reason or "it cannot be read"
        where = f"{self.name} ({self.device})" if self.device else self.name
        return f"{where}: {reason}" + (f"; {self.fix}" if self.fix else "")


class Backend(Protocol):
    """All sensors of one registered name."""

    def probe(self) -> list[SensorStatus]:
        """Describe every device of this kind, readable or not; leaves nothing open."""
        ...

    def open(self) -> list[Sensor]:
        """Open every readable sensor.

        Raises:
            SensorError: none can be read; the message says why and what to do.
        """
        ...


def status_of(info: SensorInfo, reason: str | None = None) -> SensorStatus:
    """Return the status of a sensor that can be read."""
    return SensorStatus(
        name=info.name,
        available=True,
        grade=info.grade,
        method=info.method,
        domain=info.domain,
        device=info.device,
        device_index=info.device_index,
        reason=reason,
        simulated=info.simulated,
    )


def raise_unavailable(name: str, statuses: list[SensorStatus]) -> None:
    """Raise `SensorError` that explains why nothing named `name` can be read."""
    reasons = "; ".join(status.explain() for status in statuses if not status.available)
    raise SensorError(f"sensor '{name}' cannot be read: {reasons or 'it found no device'}.")
