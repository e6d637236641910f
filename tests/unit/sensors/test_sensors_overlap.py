"""Which readings a total adds up, and the list of sensors in words."""

from __future__ import annotations

import pytest

from harness.core.config import ExternalMeterConfig, SensorConfig
from harness.core.readings import Domain, Method, SensorInfo
from harness.sensors.base import SensorStatus, status_of
from harness.sensors.describe import can_measure_energy, sensors_to_json, sensors_to_text
from harness.sensors.overlap import domains_to_sum
from harness.sensors.synthetic import SyntheticSensor


def info(name: str, domain: Domain, index: int = 0, method: Method = "counter") -> SensorInfo:
    return SensorInfo(
        name=name,
        domain=domain,
        device="a device",
        device_index=index,
        method=method,
        grade="C" if method == "modelled" else "A",
        update_period_s=None,
        source="a test",
    )


PSYS, WALL, CPU = info("rapl", "system"), info("external", "system"), info("rapl", "cpu")
MODEL = info("codecarbon", "cpu", method="modelled")


@pytest.mark.parametrize(
    ("infos", "counted"),
    [
        ([], []),
        ([info("nvml", "gpu"), info("nvml", "gpu", 1), CPU, info("rapl", "cpu", 1)], [1, 1, 1, 1]),
        ([info("nvml", "gpu"), CPU, info("rapl", "dram"), PSYS], [1, 1, 1, 0]),
        ([WALL, info("nvml", "gpu"), MODEL], [0, 1, 1]),
        ([CPU, MODEL], [1, 0]),
        ([PSYS], [1]),
        ([PSYS, WALL], [0, 1]),
        ([WALL, MODEL], [1, 0]),
        ([info("codecarbon", "system", method="modelled"), MODEL], [0, 1]),
    ],
)
def test_a_total_counts_each_joule_once(infos: list[SensorInfo], counted: list[int]) -> None:
    """Components add up; what contains them stands beside, and counts where no component is measured."""
    assert domains_to_sum(infos) == tuple(bool(c) for c in counted)


def test_description_in_words_and_data() -> None:
    """The list names grade, domain, device, period, the problem and its fix; JSON holds the same."""
    locked = SensorStatus(name="rapl", available=False, domain="cpu", device="package-0", reason="no", fix="sudo it")
    nothing = SensorStatus(name="nvml", available=False, domain="gpu", reason="no driver")
    held = SyntheticSensor(update_period_s=0.1, domain="dram").info
    text = sensors_to_text([locked, nothing, status_of(held), status_of(PSYS), status_of(WALL)], infos=[held, PSYS])
    assert text.splitlines() == [
        "-  rapl        cpu: package-0 cannot be read: no",
        "               to get it: sudo it",
        "-  nvml        not there: no driver",
        "A  rapl        system: a device (hardware energy counter, update period not documented)",
        "A  external    system: a device (external meter, gain unknown)",
        "A  synthetic   dram: square wave 100-100 W (simulated, updated every 100 ms)",
    ]
    data = sensors_to_json([status_of(held), locked], infos=[held])
    assert [entry["update_period_s"] for entry in data] == [0.1, None]
    assert data[1]["fix"] == "sudo it"


def test_a_wall_meter_is_a_measurement_and_simulations_are_not() -> None:
    """Only a real sensor of grade A or B can carry an energy claim."""
    assert can_measure_energy([status_of(WALL)])
    assert not can_measure_energy([status_of(SyntheticSensor().info), status_of(MODEL)])


def test_the_list_opens_sensors_for_their_periods() -> None:
    """Without statuses every registered sensor is looked for, and the readable ones tell their periods."""
    config = SensorConfig(external=ExternalMeterConfig(command="echo 12", timeout_s=20))
    entries = {(entry["name"], entry["domain"]): entry for entry in sensors_to_json(config=config)}
    assert entries["synthetic", "gpu"]["update_period_s"] == 0.0
    meter = entries["external", "system"]
    assert (meter["available"], meter["grade"], meter["update_period_s"], meter["gain_error"]) == (
        True,
        "B",
        None,
        None,
    )
    assert "external    system: external meter" in sensors_to_text(config=config)
