"""Energy of several machines: each device once, numbered on, unknown where one machine is blind."""

from __future__ import annotations

from typing import Any

import pytest

from harness.core.errors import SensorError
from harness.core.readings import EnergyReading, SensorInfo
from harness.measure.totals import total_energy_j
from harness.run.merge_readings import HostReadings, check_same_sensors, merge_infos, merge_readings


def reading(joules: float | None, domain: Any = "gpu", index: int = 0, device: str = "", sensor: str = "nvml") -> Any:
    return EnergyReading(
        sensor=sensor, domain=domain, device=device or f"{domain} {index}", device_index=index, energy_j=joules,
        grade="A", method="counter",
    )  # fmt: skip


def info(name: str, domain: Any = "gpu", index: int = 0) -> SensorInfo:
    return SensorInfo(
        name=name, domain=domain, device="", device_index=index, method="counter", grade="A", update_period_s=None,
        source="",
    )  # fmt: skip


def host(number: int, *readings: EnergyReading, gpus: set[int] | None = None) -> HostReadings:
    return HostReadings(number, readings, (), frozenset(gpus) if gpus else None)


def test_devices_of_all_hosts_are_added_and_numbered_on() -> None:
    merged = merge_readings(
        [
            host(0, reading(1.0), reading(2.0, index=1), reading(10.0, "cpu", sensor="rapl"), gpus={0, 1}),
            host(1, reading(4.0), reading(8.0, index=1), reading(20.0, "cpu", sensor="rapl"), gpus={0, 1}),
        ]
    )
    assert total_energy_j(merged) == 45.0
    assert [(r.domain, r.device_index) for r in merged] == [
        ("gpu", 0), ("gpu", 1), ("cpu", 0), ("gpu", 2), ("gpu", 3), ("cpu", 1),
    ]  # fmt: skip


def test_only_gpus_that_ranks_compute_on_count() -> None:
    seen = (reading(1.0), reading(2.0, index=1), reading(4.0, index=2), reading(10.0, "cpu", sensor="rapl"))
    assert total_energy_j(merge_readings([host(0, *seen, gpus={0, 2})])) == 15.0
    assert total_energy_j(merge_readings([host(0, *seen)])) == 17.0  # ranks on the CPU: as one process counts


def test_two_containers_of_one_machine_count_shared_devices_once() -> None:
    """Each has a GPU of its own, which both call 0, and sees the one CPU."""
    cpu = reading(10.0, "cpu", sensor="rapl")
    own, other = reading(1.0, device="H100 (GPU-a)"), reading(2.0, device="H100 (GPU-b)")
    merged = merge_readings([host(0, own, cpu, gpus={0}), host(0, other, cpu, gpus={0})])
    assert total_energy_j(merged) == 13.0
    same = merge_readings([host(0, own, cpu, gpus={0}), host(0, own, cpu, gpus={0})])
    assert total_energy_j(same) == 11.0


def test_a_host_without_a_sensor_makes_the_total_unknown_and_says_why() -> None:
    cpu = reading(10.0, "cpu", sensor="rapl")
    merged = merge_readings([host(0, reading(1.0), cpu, gpus={0}), host(1, reading(2.0), gpus={0})])
    assert total_energy_j(merged) is None
    assert "host 1 of 2" in str(next(r.reason for r in merged if r.energy_j is None))
    assert total_energy_j(merge_readings([host(0, cpu), host(1)])) is None
    assert total_energy_j(merge_readings([host(0, reading(1.0), cpu), host(1, cpu)])) == 21.0  # no GPU is computed on


def test_hosts_that_read_a_domain_differently_are_refused() -> None:
    with pytest.raises(SensorError, match="cpu by different sensors \\(codecarbon, rapl\\)"):
        check_same_sensors([(info("nvml"), info("rapl", "cpu")), (info("nvml"), info("codecarbon", "cpu"))])
    check_same_sensors([(info("nvml"), info("rapl", "cpu")), (info("nvml"),)])


def test_sensors_are_numbered_as_their_readings() -> None:
    hosts = [HostReadings(number, (), (info("nvml"), info("nvml", index=1)), frozenset({1})) for number in range(2)]
    assert [sensor.device_index for sensor in merge_infos(hosts)] == [1, 2]
