"""Listing and choosing sensors, over stand-in backends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.core.config import ExternalMeterConfig, SensorConfig
from harness.core.errors import ConfigError, SensorError
from harness.core.readings import Domain
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
    monkeypatch.setattr(discover, "_load_backend", lambda name, _: table[name])


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

    monkeypatch.setattr(discover, "_load_backend", lambda *_: Broken())
    statuses = discover.list_sensors()
    assert {s.name for s in statuses} == set(discover.SENSORS)
    assert all(not s.available and "no such bus" in (s.reason or "") for s in statuses)


def test_layers_import_without_torch_and_vendor_libraries() -> None:
    """A laptop rebuilds a report: importing measure loads neither torch nor a vendor's library."""
    program = (
        "import sys, harness.measure, harness.sensors.nvml, harness.sensors.codecarbon, harness.sensors.carbon\n"
        "bad = {'torch', 'pynvml', 'codecarbon', 'psutil', 'harness.models', 'harness.train'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])


METER = SensorConfig(external=ExternalMeterConfig(command="meter"))


def refused_by(stub: Stub, reason: str) -> None:
    """Make the stub's opening fail."""

    def refuse() -> list[Sensor]:
        raise SensorError(reason)

    stub.open = refuse  # type: ignore[method-assign]


def test_a_configured_wall_meter_joins_auto_and_outranks_psys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a meter in the config `external` is not even asked; with one it is the only reading of the system."""
    install(
        monkeypatch,
        Stub("nvml", ("gpu",)),
        Stub("rapl", ("cpu", "dram", "system")),
        Stub("codecarbon", ()),
        meter := Stub("external", ("system",)),
    )
    assert domains_of(discover.open_sensors(SensorConfig())) == ["gpu", "cpu", "dram", "system"]
    assert meter.opened == []
    sensors, refused = discover.discover_sensors(METER)
    assert domains_of(sensors) == ["system", "gpu", "cpu", "dram"]
    assert sensors[0] in meter.opened
    assert refused == []


def test_a_component_meter_fills_what_counters_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU meter comes before the model; where a counter reads the CPU the meter is closed and this is said."""
    config = SensorConfig(external=ExternalMeterConfig(url="http://meter/", domain="cpu", device="bench"))
    model, meter = Stub("codecarbon", ("cpu", "dram")), Stub("external", ("cpu",))
    install(monkeypatch, Stub("nvml", ()), Stub("rapl", ()), meter, model)
    assert discover.open_sensors(config) == [meter.opened[0], model.opened[1]]
    install(monkeypatch, Stub("nvml", ()), Stub("rapl", ("cpu",)), meter, model)
    sensors, refused = discover.discover_sensors(config)
    (status,) = (s for s in refused if s.name == "external")
    assert domains_of(sensors) == ["cpu", "dram"]
    assert meter.opened[-1].closed == 1
    assert status.device == "bench"
    assert "names=[external,auto]" in status.explain()
    preferred = SensorConfig(names=["external", "auto"], external=config.external)
    assert discover.open_sensors(preferred)[0] is meter.opened[-1]
    assert len(meter.opened) == 3


def test_a_configured_meter_that_fails_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent meter is refused with a device, so that a run says so; a wrong key ends the run even in `auto`."""
    meter = Stub("external", ("system",))
    refused_by(meter, "external meter 'meter' failed")
    install(monkeypatch, Stub("nvml", ()), Stub("rapl", ("cpu", "dram")), Stub("codecarbon", ()), meter)
    sensors, refused = discover.discover_sensors(METER)
    (status,) = (s for s in refused if s.device is not None)
    assert domains_of(sensors) == ["cpu", "dram"]
    assert (status.name, status.device) == ("external", "external meter")
    monkeypatch.undo()
    with pytest.raises(ConfigError, match=r"external\.url is 'meter'"):
        discover.open_sensors(SensorConfig(external=ExternalMeterConfig(url="meter", power_path="W")))


def test_configured_sensors_are_opened_by_name(tmp_path: Path) -> None:
    """The meter and the trace come out of the configuration, through the real registry."""
    trace = tmp_path / "trace.csv"
    trace.write_text("time_s,power_w\n0,5\n60,5\n")
    config = SensorConfig(
        names=["external", "replay"],
        replay_file=str(trace),
        external=ExternalMeterConfig(command="echo 12", timeout_s=20),
    )
    sensors = discover.open_sensors(config)
    assert [(s.info.name, s.info.grade, s.info.simulated) for s in sensors] == [
        ("external", "B", False),
        ("replay", "A", True),
    ]
    with pytest.raises(ConfigError, match=r"set measure\.sensor\.external\.url="):
        discover.open_sensors(SensorConfig(names=["external"]))


def test_listing_uses_the_configuration() -> None:
    """Unconfigured sensors say what to set, configured ones are described."""
    lines = {status.name: status for status in discover.list_sensors()}
    assert "measure.sensor.external.url=" in (lines["external"].fix or "")
    assert "measure.sensor.replay_file=" in (lines["replay"].fix or "")
    config = SensorConfig(external=ExternalMeterConfig(command="echo 12", timeout_s=20))
    assert any(s.name == "external" and s.available for s in discover.list_sensors(config))
