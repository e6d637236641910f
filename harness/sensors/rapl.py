"""CPU, DRAM and platform energy counters of Linux powercap (Intel and AMD RAPL).

A domain contains others: psys contains package, package contains core and uncore; DRAM lies outside the package. Read
are packages (domain ``cpu``), ``dram``, and psys as ``system``, which `overlap` keeps out of a sum with the others.
Source: kernel documentation, ``Documentation/power/powercap/powercap.rst``; package and DRAM registers are updated
about every millisecond (Intel SDM, vol. 3B, RAPL interfaces), for psys no period is documented. The gain error is not
published: unknown.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import SensorError
from harness.core.readings import Domain, SensorInfo
from harness.sensors.base import Sensor, SensorStatus, raise_unavailable, status_of

DEFAULT_ROOT = Path("/sys/class/powercap")
UPDATE_PERIOD_S = 0.001
_UJ_PER_J = 1e6
_PSYS = "psys"
_FIX_PERMISSION = "give read access with: sudo chmod a+r {path} (until the next boot), or run as root"


@dataclass(frozen=True, slots=True)
class _Zone:
    """One powercap zone that is read."""

    path: Path
    domain: Domain
    device: str
    device_index: int

    @property
    def energy_path(self) -> Path:
        return self.path / "energy_uj"


class RaplSensor(Sensor):
    """The counter of one package, of the DRAM beside it or of the platform; wraps are undone."""

    def __init__(self, zone: _Zone) -> None:
        self._path = zone.energy_path
        self._range_j = _read_range_j(zone.path)
        self._lock = threading.Lock()
        self._wrapped_j = 0.0
        self._previous_j: float | None = None
        self.info = SensorInfo(
            name="rapl",
            domain=zone.domain,
            device=zone.device,
            device_index=zone.device_index,
            method="counter",
            grade="A",
            update_period_s=None if zone.domain == "system" else UPDATE_PERIOD_S,
            source=f"Linux powercap zone {zone.path.name} (RAPL energy counter)",
        )

    def read_energy_j(self) -> float | None:
        """Return the counter in joules, continued over wraps.

        A counter that falls is taken as wrapped only where that implies a step of less than half its range; any other
        fall is a reset and is passed on as it is, for the window to flag. Reads must therefore come more often than
        the counter takes for half its range (minutes at full power).

        Raises:
            SensorError: the file cannot be read any more.
        """
        with self._lock:
            now_j = _read_uj(self._path) / _UJ_PER_J
            if self._previous_j is not None and now_j < self._previous_j and self._range_j is not None:
                step_j = self._range_j - self._previous_j + now_j
                if 0 <= step_j < self._range_j / 2:
                    self._wrapped_j += self._range_j
            self._previous_j = now_j
            return now_j + self._wrapped_j


class Rapl:
    """The RAPL zones under `root`."""

    def __init__(self, root: Path = DEFAULT_ROOT) -> None:
        self._root = root

    def probe(self) -> list[SensorStatus]:
        """Describe every package, DRAM and psys zone; one line when there are none."""
        zones = _find_zones(self._root)
        if not zones:
            return [
                SensorStatus(
                    name="rapl",
                    available=False,
                    domain="cpu",
                    reason="no RAPL zone under /sys/class/powercap (usual in virtual machines and containers)",
                    fix="run on bare metal Linux with the intel_rapl_msr module loaded",
                )
            ]
        return [_probe_zone(zone) for zone in zones]

    def open(self) -> list[Sensor]:
        """Open every readable zone.

        Raises:
            SensorError: none can be read; the message names the file and the command that opens it.
        """
        statuses = self.probe()
        sensors: list[Sensor] = [RaplSensor(zone) for zone in _find_zones(self._root) if _probe_zone(zone).available]
        if not sensors:
            raise_unavailable("rapl", statuses)
        return sensors


def _find_zones(root: Path) -> list[_Zone]:
    """Return packages, their DRAM and psys, each register once.

    ``intel-rapl`` and ``intel-rapl-mmio`` show the same package twice; the first (MSR) is kept. A psys that stands at 0
    belongs to a board that does not feed it, and is left out.
    """
    zones: dict[tuple[Domain, str], _Zone] = {}
    packages: dict[str, int] = {}
    for path in sorted(root.glob("intel-rapl*:*"), key=lambda p: (p.name.startswith("intel-rapl-mmio"), p.name)):
        label = _read_label(path)
        if label is None:
            continue
        if label == _PSYS:
            if not _stands_at_zero(path):
                zones.setdefault(("system", _PSYS), _Zone(path, "system", _PSYS, 0))
            continue
        package = label if label.startswith("package") else _read_label(path.parent / path.name.rpartition(":")[0])
        if label.startswith("package"):
            domain: Domain = "cpu"
        elif label == "dram" and package is not None and package.startswith("package"):
            domain = "dram"
        else:
            continue
        device = str(package)
        index = packages.setdefault(device, len(packages))
        zones.setdefault((domain, device), _Zone(path, domain, device, index))
    return list(zones.values())


def _probe_zone(zone: _Zone) -> SensorStatus:
    try:
        _read_uj(zone.energy_path)
    except SensorError as error:
        denied = isinstance(error.__cause__, PermissionError)
        return SensorStatus(
            name="rapl",
            available=False,
            grade="A",
            method="counter",
            domain=zone.domain,
            device=zone.device,
            device_index=zone.device_index,
            reason=str(error),
            fix=_FIX_PERMISSION.format(path=zone.energy_path) if denied else None,
        )
    return status_of(RaplSensor(zone).info)


def _read_label(path: Path) -> str | None:
    try:
        return (path / "name").read_text().strip()
    except OSError:
        return None


def _stands_at_zero(zone_path: Path) -> bool:
    try:
        return _read_uj(zone_path / "energy_uj") == 0
    except SensorError:
        return False  # the probe says why


def _read_uj(path: Path) -> int:
    try:
        return int(path.read_text())
    except PermissionError as error:
        raise SensorError(f"no permission to read {path.name} of zone {path.parent.name}") from error
    except (OSError, ValueError) as error:
        raise SensorError(f"cannot read {path.name} of zone {path.parent.name}: {error}") from error


def _read_range_j(zone_path: Path) -> float | None:
    """Return the value at which the counter starts again, or ``None``: then a wrap shows as a reset, not as energy."""
    try:
        range_j = int((zone_path / "max_energy_range_uj").read_text()) / _UJ_PER_J
    except (OSError, ValueError):
        return None
    return range_j if range_j > 0 else None
