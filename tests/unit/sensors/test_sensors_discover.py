"""Listing and choosing sensors, over stand-in backends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.core.config import SensorConfig
from harness.core.errors import ConfigError, SensorError
from harness.core.records import Domain
from harness.sensors import discover
from harness.sensors.base import Sensor, SensorStatus, status_of
from harness.sensors.synthetic import SyntheticSensor


class Stub:
    """A backend that offers the given domains, or refuses."""

    def __init__(self, name: str, domains: tuple[Domain, ...], refused: tuple[SensorStatus, ...] = ()) -> None:
        self.name, self.domains, self.refused = name, domains, refused
        self.opened: list[Any] = []

    def __call__(self) -> Stub:
        return self

    def probe(self) -> list[SensorStatus]:
        return [status_of(SyntheticSensor(domain=d).info) for d in self.domains] + list(self.refused)

    def open(self) -> list[Sensor]:
        if not self.domains:
            raise SensorError(f"{self.name} is not here")
        sensors = []
        for domain in self.domains:
            sensor = SyntheticSensor(domain=domain)
            sensor.closed = 0  # type: ignore[attr-defined]
            sensor.close = lambda s=sensor: setattr(s, "closed", s.closed + 1)  # type: ignore[method-assign,misc]
            sensors.append(sensor)
        self.opened.extend(sensors)
        return list(sensors)


def install(monkeypatch: pytest.MonkeyPatch, *stubs: Stub) -> None:
    table = {stub.name: stub for stub in stubs}
    monkeypatch.setattr(discover, "_load_backend", lambda name: table[name])


def domains_of(sensors: list[Sensor]) -> list[str]:
    return [sensor.info.domain for sensor in sensors]


def test_model_fills_only_what_counters_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a CPU counter the model gives DRAM alone, and its CPU sensor is closed again."""
    model = Stub("codecarbon", ("cpu", "dram"))
    install(monkeypatch, Stub("nvml", ("gpu",)), Stub("rapl", ("cpu",)), model)
    sensors = discover.open_sensors(SensorConfig())
    assert domains_of(sensors) == ["gpu", "cpu", "dram"]
    assert [sensor.closed for sensor in model.opened] == [1, 0]


def test_model_is_not_loaded_when_counters_cover_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Package and DRAM counters make the model unnecessary."""
    model = Stub("codecarbon", ("cpu", "dram"))
    install(monkeypatch, Stub("nvml", ()), Stub("rapl", ("cpu", "dram")), model)
    assert domains_of(discover.open_sensors(SensorConfig())) == ["cpu", "dram"]
    assert model.opened == []


def test_auto_without_anything_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` promises nothing; what was missing comes back beside the empty list."""
    no_gpu = SensorStatus(name="nvml", available=False, domain="gpu", reason="no driver")
    install(monkeypatch, Stub("nvml", (), (no_gpu,)), Stub("rapl", ()), Stub("codecarbon", ()))
    sensors, refused = discover.discover_sensors(SensorConfig())
    assert sensors == []
    assert no_gpu in refused


def test_a_refused_device_is_reported_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is there and cannot be read is not forgotten because another one can."""
    split = SensorStatus(name="nvml", available=False, domain="gpu", device="split GPU", reason="MIG")
    install(monkeypatch, Stub("nvml", ("gpu",), (split,)), Stub("rapl", ("cpu", "dram")), Stub("codecarbon", ("cpu",)))
    assert discover.discover_sensors(SensorConfig())[1] == [split]


def test_asking_by_name_raises_and_closes_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A named sensor that cannot be read ends the run with one line, and nothing stays open."""
    first = Stub("nvml", ("gpu",))
    install(monkeypatch, first, Stub("rapl", ()))
    with pytest.raises(SensorError, match="rapl is not here"):
        discover.open_sensors(SensorConfig(names=["nvml", "rapl"]))
    assert [sensor.closed for sensor in first.opened] == [1]


def test_unknown_name_suggests_the_nearest() -> None:
    """A misspelt sensor is a user's mistake with a hint."""
    with pytest.raises(ConfigError, match="Did you mean 'rapl'"):
        discover.open_sensors(SensorConfig(names=["rappl"]))


def test_listing_survives_a_broken_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that raises becomes one unavailable line."""

    class Broken:
        def probe(self) -> list[SensorStatus]:
            raise OSError("no such bus")

    monkeypatch.setattr(discover, "_load_backend", lambda _: Broken())
    statuses = discover.list_sensors()
    assert {s.name for s in statuses} == set(discover.SENSORS)
    assert all(not s.available and "no such bus" in (s.reason or "") for s in statuses)


def test_layers_import_without_torch_and_vendor_libraries() -> None:
    """A laptop rebuilds a report: importing measure loads neither torch nor a vendor's library."""
    program = (
        "import sys, harness.measure, harness.sensors.nvml, harness.sensors.codecarbon\n"
        "bad = {'torch', 'pynvml', 'codecarbon', 'psutil', 'harness.models', 'harness.train'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])
