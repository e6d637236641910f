"""The meter in virtual time: several devices, idle power, trace, states, and a sampler that ends."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from harness.core.errors import SensorError
from harness.measure import Window, check_idle_drift, measure_idle, meter
from harness.measure.sampler import StateSample
from harness.sensors import DeviceState, SensorStatus
from tests.unit.measure.loads import Load, constant, pulses
from tests.unit.measure.scene import Clock, Device, make_meter, open_meter


def codes(w: Window) -> list[str]:
    return [finding.code for finding in w.findings]


def test_a_counter_that_stands_still_is_not_waited_for_for_ever(clock: Clock) -> None:
    made, _ = open_meter(clock, constant(300), stuck_s=(2.5, math.inf))
    with made.window("decode") as w:
        clock.sleep(1.0)
    assert w.energy_j is None
    assert "counter_stuck" in codes(w)
    assert clock.time_s < 3.0 + 1.5


def test_two_devices_add_up_and_a_lost_one_leaves_the_sum_unknown(clock: Clock) -> None:
    devices = (Device(load=constant(100)), Device(load=constant(200), tick_phase_s=0.081, lost_s=(5.0, math.inf)))
    made, _ = make_meter(clock, *devices)
    with made:
        clock.sleep(2.0)
        with made.window("both") as both:
            clock.sleep(2.0)
        assert both.energy_j == pytest.approx(600.0, rel=0.005)
        assert both.energy_j == sum(reading.energy_j or 0.0 for reading in both.readings)
        with made.window("one") as one:
            clock.sleep(2.0)
            assert one.energy_so_far_j() is not None  # up to the last read
    kept, lost = one.readings
    assert kept.energy_j == pytest.approx(200.0, rel=0.005)
    assert lost.energy_j is None
    assert one.energy_j is None
    assert {"sensor_failed", "sampling_gap"} <= set(codes(one))
    assert "nan" not in str(made.trace()).lower()


def test_net_energy_subtracts_the_idle_window_and_drift_is_told(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle at 100 W, then 400 W for 2 s: 800 J gross, 600 J net; then idle is at 200 W."""
    monkeypatch.setattr("harness.measure.baseline.time", SimpleNamespace(sleep=clock.sleep))
    made, _ = open_meter(clock, Load([-5.0, 5.0, 7.0], [100.0, 400.0, 200.0]))
    idle = measure_idle(made, 2.0)
    with pytest.raises(RuntimeError, match="close it"):
        made.set_idle(made.window("idle_before"))
    made.set_idle(idle)
    clock.time_s = 5.0
    with made.window("decode") as w:
        clock.sleep(2.0)
    clock.time_s = 7.5
    after = measure_idle(made, 2.0, "idle_after")
    assert idle.readings[0].net_energy_j is None
    (reading,) = w.readings
    assert reading.idle_w == pytest.approx(100.0, rel=0.005)
    assert reading.energy_j == pytest.approx(800.0, rel=0.005)
    assert reading.net_energy_j == pytest.approx(600.0, rel=0.01)
    (drift,) = check_idle_drift(idle, after)
    assert drift.value == pytest.approx(1.0, rel=0.01)
    assert check_idle_drift(idle, idle) == ()


def test_the_trace_has_the_runs_time_axis_and_area(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "MAX_TRACE_POINTS", 10)
    load = pulses(100, 400, 2.0)
    clock.time_s = 1000.0
    shifted = Load([start_s + 1000.0 for start_s in load.starts_s], load.levels_w)
    made, _ = open_meter(clock, shifted)
    with made.window("pretrain", repetition=1) as w:
        clock.sleep(20.0)
    trace = made.trace()
    (series,) = trace["series"]
    assert (series["sensor"], series["domain"], series["device_index"]) == ("scene", "gpu", 0)
    assert len(series["times_s"]) == len(series["power_w"]) == 10
    assert 0 <= series["times_s"][0] <= 2.5
    assert max(series["times_s"]) <= 22.0
    assert sum(series["power_w"]) / 10 == pytest.approx((w.energy_j or 0.0) / 20.0, rel=0.05)
    assert trace["windows"] == [{"phase": "pretrain", "repetition": 1, "begin_s": 2.0, "end_s": 22.0}]


def test_the_state_of_the_device_gives_temperature_and_findings(clock: Clock) -> None:
    made, sampler = open_meter(clock, constant(100))
    for time_s, temperature_c in ((0.5, 90.0), (2.5, 61.0), (3.5, 64.0), (8.0, 95.0)):
        state = DeviceState(temperature_c=temperature_c, throttle_reasons=("power cap",), process_ids=(1,))
        sampler.states.append(StateSample(0, time_s, state))
    with made.window("decode") as w:
        clock.sleep(2.0)
    assert w.to_record().temperature_c == 64.0
    assert codes(w) == ["throttled", "device_shared"]
    assert "power cap" in w.findings[0].text
    assert w.findings[0].text.startswith("window decode 0, scene gpu 0")


def test_a_sampler_that_ended_is_told_and_windows_after_it_are_unknown(clock: Clock) -> None:
    made, sampler = open_meter(clock, constant(100))
    with made.window("hit") as hit:
        clock.sleep(1.0)
        sampler.refresh()
        sampler.ended = "the sampler was killed by signal 9"
        clock.sleep(1.0)
    began_s = clock.time_s
    assert hit.energy_j is None
    assert clock.time_s == began_s  # nothing to wait for
    assert "killed by signal 9" in (hit.readings[0].reason or "")
    (finding,) = made.findings
    assert (finding.code, finding.text) == ("sampler_ended", sampler.ended)


def test_refused_devices_become_findings_of_the_meter(clock: Clock) -> None:
    made, sampler = open_meter(clock, constant(100))
    sampler.refused = (
        SensorStatus(name="nvml", available=False, domain="gpu", device="GPU 0", reason="MIG", fix="no MIG"),
        SensorStatus(name="rapl", available=False, reason="no such hardware"),
    )
    (finding,) = made.findings
    assert finding.code == "sensor_unavailable"
    assert "MIG; no MIG" in finding.text


def test_closing_the_meter_waits_for_the_last_tick_and_stops_the_sampler(clock: Clock) -> None:
    made, sampler = open_meter(clock, constant(300))
    with made.window("decode") as w:
        clock.sleep(1.0)
    made.__exit__(None, None, None)
    assert sampler.stopped
    stopped_s = clock.time_s
    assert w.energy_j == pytest.approx(300.0, rel=0.005)
    assert clock.time_s == stopped_s


def test_a_sensor_that_cannot_be_opened_stops_the_meter(clock: Clock) -> None:
    made, sampler = make_meter(clock, Device(load=constant(1)))

    def refuse() -> None:
        raise SensorError("sensor 'rapl' cannot be read: no permission.")

    sampler.start = refuse  # type: ignore[method-assign]
    with pytest.raises(SensorError, match="rapl"), made:
        pass
