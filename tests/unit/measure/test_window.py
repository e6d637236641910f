"""Windows in virtual time: only the test, and waiting for a tick, moves the clock."""

from __future__ import annotations

import threading

import pytest

from harness.core.records import Work
from harness.measure import Window
from tests.unit.measure.loads import constant, pulses
from tests.unit.measure.scene import Clock, Device, make_meter, open_meter


def codes(w: Window) -> list[str]:
    return [finding.code for finding in w.findings]


def test_a_window_has_its_time_its_energy_and_a_record(clock: Clock) -> None:
    load = pulses(100, 400, 2.0, phase_s=0.3)
    made, _ = open_meter(clock, load)
    with made.window("decode", repetition=3) as w:
        clock.sleep(3.0)
    assert (w.begin_s, w.duration_s, w.closed, w.synced) == (2.0, 3.0, True, False)
    (reading,) = w.readings
    truth_j = load.between_j(2.0, 5.0)
    assert w.energy_j == reading.energy_j == pytest.approx(truth_j, rel=0.005)
    assert reading.crosscheck_j == pytest.approx(truth_j, rel=0.05)
    assert codes(w) == []
    record = w.to_record(work=Work(unit="token", amount=5.0), peak_memory_bytes=7)
    assert record.energy == w.readings
    assert record.work is not None
    assert (record.phase, record.repetition, record.work.amount, record.peak_memory_bytes) == ("decode", 3, 5.0, 7)


def test_energy_so_far_follows_the_polls(clock: Clock) -> None:
    made, _ = open_meter(clock, constant(300))
    w = made.window("train")
    with w:
        assert w.energy_so_far_j() == pytest.approx(0.0, abs=30.1)
        clock.sleep(2.0)
        assert w.energy_so_far_j() == pytest.approx(600.0, abs=45.0)
    assert w.energy_so_far_j() == w.energy_j


def test_energy_so_far_of_power_is_its_integral(clock: Clock) -> None:
    device = Device(load=constant(250))
    made, _ = make_meter(clock, device, infos=(device.info("sampled"),))
    with made:
        clock.sleep(2.0)
        with made.window("prefill") as w:
            clock.sleep(2.0)
            assert w.energy_so_far_j() == pytest.approx(500.0, abs=15.0)
    (reading,) = w.readings
    assert reading.energy_j == pytest.approx(500.0)
    assert (reading.grade, reading.crosscheck_j) == ("B", None)


def test_a_reset_costs_the_window_it_falls_into_and_only_that_one(clock: Clock) -> None:
    made, _ = open_meter(clock, constant(300), reset_at_s=3.1)
    with made.window("a") as hit:
        clock.sleep(2.0)
        assert hit.energy_so_far_j() is None
    with made.window("b") as after:
        clock.sleep(2.0)
        assert after.energy_so_far_j() == pytest.approx(600.0, abs=45.0)
    assert hit.energy_j is None
    assert codes(hit) == ["counter_reset"]
    assert after.energy_j == pytest.approx(600.0, rel=0.005)
    assert codes(after) == []
    assert max(made.trace()["series"][0]["power_w"]) < 700


def test_windows_nest_overlap_and_run_in_threads(clock: Clock) -> None:
    made, _ = open_meter(clock, constant(100))
    outer, inner = made.window("outer"), made.window("inner")
    outer.__enter__()
    clock.sleep(1.0)
    thread = threading.Thread(target=inner.__enter__)
    thread.start()
    thread.join()
    clock.sleep(1.0)
    outer.__exit__(None, None, None)
    clock.sleep(0.5)
    inner.__exit__(None, None, None)
    assert outer.energy_j == pytest.approx(200.0, rel=0.005)
    assert inner.energy_j == pytest.approx(150.0, rel=0.005)
    assert (outer.begin_s, inner.begin_s) == (2.0, 3.0)


def test_each_edge_is_taken_after_the_synchronise_and_wakes_the_sampler(clock: Clock) -> None:
    made, sampler = open_meter(clock, constant(100))
    marks: list[float] = []
    sampler.on_mark = lambda: marks.append(clock.time_s)
    with made.window("decode", sync=lambda: clock.sleep(0.5)) as w:
        clock.sleep(1.0)
    assert (w.begin_s, w.duration_s) == (2.5, 1.5)
    assert marks == [2.5, 4.0]
    assert w.energy_j == pytest.approx(150.0, rel=0.005)
    assert w.synced
    assert w.to_record().synced


@pytest.mark.parametrize("fail_at", [1, 2])
def test_a_failing_synchronise_fails_the_window(clock: Clock, fail_at: int) -> None:
    calls = []

    def sync() -> None:
        calls.append(1)
        if len(calls) == fail_at:
            raise RuntimeError("device lost")

    made, _ = open_meter(clock, constant(100))
    w = made.window("decode", sync=sync)
    with pytest.raises(RuntimeError, match="device lost"), w:
        clock.sleep(1.0)
    assert made.trace()["windows"] == []
    assert (w.readings, w.findings, w.energy_j, w.synced, w.closed) == ((), (), None, False, False)
    with pytest.raises(RuntimeError, match="only a closed one"):
        w.to_record()


def test_a_failing_body_fails_the_window(clock: Clock) -> None:
    made, _ = open_meter(clock, constant(100))
    w = made.window("decode")
    with pytest.raises(ValueError, match="boom"), w:
        raise ValueError("boom")
    assert w.readings == ()
    assert w.energy_so_far_j() is None


def test_a_window_is_entered_once(clock: Clock) -> None:
    made, _ = open_meter(clock, constant(100))
    with made.window("decode") as w:
        clock.sleep(1.0)
    with pytest.raises(RuntimeError, match="entered once"):
        w.__enter__()
    assert w.energy_j == pytest.approx(100.0, rel=0.005)


def test_leaving_a_window_does_not_wait_and_its_readings_do(clock: Clock) -> None:
    made, _ = open_meter(clock, constant(300))
    with made.window("decode") as w:
        clock.sleep(1.0)
    assert clock.time_s == 3.0
    assert w.energy_j == pytest.approx(300.0, rel=0.005)
    assert 3.0 < clock.time_s <= 3.2
    waited_s = clock.time_s
    assert w.readings
    assert clock.time_s == waited_s
