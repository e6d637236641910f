"""The meter over simulated sensors and a clock that only the test moves."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from harness.core.config import MeasureConfig, SensorConfig
from harness.core.errors import SensorError
from harness.core.records import SensorInfo, Work
from harness.measure import Meter, Window, check_idle_drift, window
from harness.measure.sampler import ThreadSampler
from harness.sensors import Sensor, SensorStatus
from harness.sensors.synthetic import SyntheticSensor

POLL_S = 0.125


class Bench:
    """A clock and a meter that polls exactly when the clock passes a poll."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time_s = 1000.0
        self.sampler: ThreadSampler
        monkeypatch.setattr(window, "now_s", lambda: self.time_s)

    def clock(self) -> float:
        return self.time_s

    def sensor(self, **settings: Any) -> SyntheticSensor:
        return SyntheticSensor(clock=self.clock, **settings)

    def meter(self, *sensors: Sensor) -> Meter:
        def make_sampler(sensors: Sequence[Sensor], poll_interval_s: float) -> ThreadSampler:
            self.sampler = ThreadSampler(sensors, poll_interval_s, clock=self.clock)
            self.sampler.start = lambda: None  # type: ignore[method-assign]
            return self.sampler

        return Meter(MeasureConfig(poll_interval_s=POLL_S), sensors=list(sensors), make_sampler=make_sampler)

    def run(self, duration_s: float, poll: bool = True) -> None:
        """Let time pass, polling on the way."""
        end_s = self.time_s + duration_s
        while self.time_s < end_s:
            self.time_s = min(end_s, self.time_s + POLL_S)
            if poll:
                self.sampler.sample_now()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def codes(w: Window) -> list[str]:
    return [finding.code for finding in w.findings]


def test_counter_over_a_square_wave_is_exact(bench: Bench) -> None:
    """1.5 periods of 100 and 400 W of 2 s: 100 + 400 + 100 J, with the power's integral beside it."""
    with bench.meter(bench.sensor(low_w=100, high_w=400, wave_s=2)) as meter:
        bench.run(2.0)
        with meter.window("decode", repetition=3) as w:
            bench.run(3.0)
    (reading,) = w.readings
    assert w.energy_j == reading.energy_j == pytest.approx(600.0)
    assert reading.crosscheck_j == pytest.approx(600.0)
    assert (reading.grade, reading.method, reading.simulated) == ("A", "counter", True)
    assert (w.begin_s, w.duration_s) == (2.0, 3.0)
    assert reading.coverage == 1.0
    assert w.findings == ()


def test_counter_that_holds_is_bounded(bench: Bench) -> None:
    """A 0.4 s counter misses at most P T; the bound is stated and a short window is told so."""
    with bench.meter(bench.sensor(low_w=300, high_w=300, update_period_s=0.4)) as meter:
        bench.run(0.25)
        with meter.window("decode") as w:
            bench.run(1.0)
    (reading,) = w.readings
    assert reading.uncertainty_j == pytest.approx(120.0)
    assert reading.energy_j is not None
    assert 0 < abs(reading.energy_j - 300.0) <= 120.0
    assert "edge_uncertainty" in codes(w)


def test_sampled_sensor_is_integrated_and_has_no_crosscheck(bench: Bench) -> None:
    """Grade B power at a constant 250 W for 2 s is 500 J."""
    with bench.meter(bench.sensor(low_w=250, high_w=250, method="sampled")) as meter, meter.window("prefill") as w:
        bench.run(2.0)
        so_far_j = w.energy_so_far_j()
    (reading,) = w.readings
    assert so_far_j == pytest.approx(500.0)
    assert reading.energy_j == pytest.approx(500.0)
    assert (reading.grade, reading.crosscheck_j) == ("B", None)


def test_reset_inside_a_window_is_unknown_and_outside_is_harmless(bench: Bench) -> None:
    """A counter reset costs the window it falls into, and only that one."""
    with bench.meter(bench.sensor(reset_at_s=2.1, with_power=False)) as meter:
        with meter.window("a") as hit:
            bench.run(3.0)
            assert hit.energy_so_far_j() is None
        with meter.window("b") as after:
            bench.run(3.0)
        trace = meter.trace()
    assert hit.energy_j is None
    assert codes(hit) == ["counter_reset"]
    assert "reset" in (hit.readings[0].reason or "")
    assert after.energy_j == pytest.approx(300.0)
    assert max(trace["series"][0]["power_w"]) == pytest.approx(100.0)


def test_sensor_failing_at_the_end_leaves_energy_unknown_but_the_run_goes_on(bench: Bench) -> None:
    """The reason says what the sensor said; another sensor keeps its number and the total is unknown."""
    broken = bench.sensor(fails_from_s=1.0)
    with bench.meter(broken, bench.sensor(domain="cpu")) as meter, meter.window("pretrain") as w:
        bench.run(2.0)
        assert w.energy_so_far_j() is None
    lost, kept = w.readings
    assert lost.energy_j is None
    assert "told to fail" in (lost.reason or "")
    assert kept.energy_j == pytest.approx(200.0)
    assert w.energy_j is None
    assert {"sensor_failed", "sampling_gap"} <= set(codes(w))
    assert "nan" not in str(meter.trace()).lower()


@pytest.mark.parametrize("method", ["counter", "sampled"])
def test_missing_samples_show_as_gap_and_coverage(bench: Bench, method: str) -> None:
    """A counter survives a gap; sampled power over less than 90% of the window does not. Both say so."""
    sensor = bench.sensor(method=method, fails_from_s=1.0, fails_until_s=3.0)
    with bench.meter(sensor) as meter, meter.window("pretrain") as w:
        bench.run(4.0)
    (reading,) = w.readings
    assert "sampling_gap" in codes(w)
    assert reading.coverage is not None
    assert reading.coverage < 0.7
    if method == "counter":
        assert reading.energy_j == pytest.approx(400.0)
    else:
        assert reading.energy_j is None
        assert "low_coverage" in codes(w)


def test_counter_and_power_that_disagree_are_flagged(bench: Bench) -> None:
    """A counter that shows half of the integrated power gets a finding with the gap."""

    class Halved(SyntheticSensor):
        def read_energy_j(self) -> float | None:
            energy_j = super().read_energy_j()
            return None if energy_j is None else energy_j / 2

    with bench.meter(Halved(clock=bench.clock)) as meter, meter.window("decode") as w:
        bench.run(4.0)
    assert codes(w) == ["crosscheck_gap"]
    assert w.findings[0].value == pytest.approx(1.0)


def test_windows_nest_overlap_and_run_in_threads(bench: Bench) -> None:
    """Each window has its own edges; their energies add up where they should."""
    with bench.meter(bench.sensor()) as meter:
        outer, inner = meter.window("outer"), meter.window("inner")
        outer.__enter__()
        bench.run(1.0)
        thread = threading.Thread(target=inner.__enter__)
        thread.start()
        thread.join()
        bench.run(1.0)
        outer.__exit__(None, None, None)
        bench.run(0.5)
        inner.__exit__(None, None, None)
    assert outer.energy_j == pytest.approx(200.0)
    assert inner.energy_j == pytest.approx(150.0)
    assert inner.begin_s == 1.0


def test_sum_over_devices(bench: Bench) -> None:
    """Two GPUs add up; they are not averaged."""
    sensors = [bench.sensor(low_w=p, high_w=p, device_index=i) for i, p in enumerate((100, 200))]
    with bench.meter(*sensors) as meter, meter.window("decode") as w:
        bench.run(2.0)
    assert w.energy_j == pytest.approx(600.0)


def test_sync_runs_before_each_edge(bench: Bench) -> None:
    """Work still in flight when the body ends belongs to the window."""

    def sync() -> None:
        bench.run(0.5)

    with bench.meter(bench.sensor()) as meter:
        with meter.window("decode", sync=sync) as w:
            bench.run(1.0)
        record = w.to_record(work=Work(unit="token", amount=5.0), peak_memory_bytes=7)
    assert (w.begin_s, w.duration_s) == (0.5, 1.5)
    assert w.energy_j == pytest.approx(150.0)
    assert record.synced
    assert record.energy == w.readings
    assert record.work is not None
    assert (record.work.amount, record.peak_memory_bytes, record.phase) == (5.0, 7, "decode")


@pytest.mark.parametrize("fail_at", [1, 2])
def test_a_failing_sync_fails_the_window(bench: Bench, fail_at: int) -> None:
    """The device's error reaches the caller and no reading is left to be believed."""
    calls = []

    def sync() -> None:
        calls.append(1)
        if len(calls) == fail_at:
            raise RuntimeError("device lost")

    with bench.meter(bench.sensor()) as meter:
        w = meter.window("decode", sync=sync)
        with pytest.raises(RuntimeError, match="device lost"), w:
            bench.run(1.0)
        assert meter.trace()["windows"] == []
    assert w.readings == ()
    assert w.energy_j is None
    assert not w.synced
    with pytest.raises(RuntimeError, match="only a closed one"):
        w.to_record()


def test_a_failing_body_fails_the_window(bench: Bench) -> None:
    """Half a phase has no record."""
    with bench.meter(bench.sensor()) as meter:
        w = meter.window("decode")
        with pytest.raises(ValueError, match="boom"), w:
            raise ValueError("boom")
    assert w.readings == ()


def test_no_sensor_gives_no_readings_and_a_finding() -> None:
    """Nothing measured is said, not recorded as zero."""
    with Meter(MeasureConfig(sensor=SensorConfig(names=[]))) as meter, meter.window("pretrain") as w:
        assert w.energy_so_far_j() is None
    assert w.readings == ()
    assert w.energy_j is None
    assert codes(w) == ["no_sensor"]
    assert [finding.code for finding in meter.findings] == ["no_sensor"]


def test_refused_devices_become_findings_of_the_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that cannot be read must not be missing in silence."""
    split = SensorStatus(name="nvml", available=False, domain="gpu", device="GPU 0", reason="MIG", fix="no MIG")
    monkeypatch.setattr(window, "discover_sensors", lambda _: ([SyntheticSensor()], [split]))
    with Meter() as meter:
        (finding,) = meter.findings
    assert finding.code == "sensor_unavailable"
    assert "MIG; no MIG" in finding.text


def test_named_sensor_that_is_missing_stops_the_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who asks for a counter does not silently get less."""

    def refuse(_: SensorConfig) -> None:
        raise SensorError("sensor 'rapl' cannot be read: no permission.")

    monkeypatch.setattr(window, "discover_sensors", refuse)
    with pytest.raises(SensorError, match="rapl"), Meter():
        pass


def test_net_energy_subtracts_the_idle_window(bench: Bench) -> None:
    """Idle at 100 W, then 400 W for 2 s: 800 J gross, 600 J net; before the baseline there is no net energy."""
    sensor = bench.sensor(low_w=100, high_w=400, wave_s=4)
    with bench.meter(sensor) as meter:
        with meter.window("idle_before") as idle:
            bench.run(2.0)
        with pytest.raises(RuntimeError, match="close it"):
            meter.set_idle(meter.window("idle_before"))
        meter.set_idle(idle)
        with meter.window("decode") as w:
            bench.run(2.0)
        with meter.window("idle_after") as after:
            bench.run(3.0)
    assert idle.readings[0].net_energy_j is None
    (reading,) = w.readings
    assert reading.idle_w == pytest.approx(100.0)
    assert reading.energy_j == pytest.approx(800.0)
    assert reading.net_energy_j == pytest.approx(600.0)
    (drift,) = check_idle_drift(idle, after)
    assert drift.value == pytest.approx(1.0)
    assert check_idle_drift(idle, idle) == ()


def test_modelled_sensor_has_no_crosscheck_and_no_bound(bench: Bench) -> None:
    """A model's number carries no measurement's uncertainty."""

    class Modelled(Sensor):
        info = SensorInfo(
            name="model",
            domain="cpu",
            device="CPU",
            device_index=0,
            method="modelled",
            grade="C",
            update_period_s=0.5,
            source="test",
        )

        def read_energy_j(self) -> float | None:
            return 8.0 * bench.time_s

        def read_power_w(self) -> float | None:
            return 8.0

    with bench.meter(Modelled()) as meter, meter.window("decode") as w:
        bench.run(2.0)
    (reading,) = w.readings
    assert reading.energy_j == pytest.approx(16.0)
    assert (reading.crosscheck_j, reading.uncertainty_j, reading.grade) == (None, None, "C")
    assert bench.sampler.intervals_s == (0.5,)


def test_trace_is_relative_thinned_and_keeps_the_energy(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored picture has the run's time axis and the run's area."""
    monkeypatch.setattr(window, "MAX_TRACE_POINTS", 10)
    with bench.meter(bench.sensor(low_w=100, high_w=400, wave_s=2)) as meter:
        with meter.window("pretrain", repetition=1) as w:
            bench.run(20.0)
        trace = meter.trace()
    (series,) = trace["series"]
    assert len(series["times_s"]) == len(series["power_w"]) == 10
    assert 0 <= series["times_s"][0] <= 2.0
    assert sum(series["power_w"]) * 2.0 == pytest.approx(w.energy_j, rel=0.01)  # stretches are not all equally long
    assert trace["windows"] == [{"phase": "pretrain", "repetition": 1, "begin_s": 0.0, "end_s": 20.0}]


def wait_until(condition: Callable[[], bool]) -> bool:
    """Give another thread time; the limit is only there to end a test that fails."""
    event = threading.Event()
    for _ in range(1000):
        if condition():
            return True
        event.wait(0.01)
    return False


def test_thread_polls_survives_failures_and_stops() -> None:
    """The real thread takes samples by itself, turns errors and nonsense into NaN, and ends with the meter."""

    class Moody(SyntheticSensor):
        calls = 0

        def read_power_w(self) -> float | None:
            self.calls += 1
            if self.calls % 3 == 1:
                raise OSError("bus error")
            return math.inf if self.calls % 3 == 2 else 5.0

    sensor = Moody(method="sampled")
    with Meter(MeasureConfig(poll_interval_s=0.005), sensors=[sensor]) as meter:
        samples = meter.sampler.samples[0]
        assert wait_until(lambda: samples.size >= 300)
    stopped_at = samples.size
    times_s, _, power_w, _ = samples.between(0)
    assert samples.last_error == "bus error"
    assert sorted({str(p) for p in power_w}) == ["5.0", "nan"]
    assert (times_s[1:] >= times_s[:-1]).all()
    assert threading.active_count() == 1 or all(t.name != "isojoule-sampler" for t in threading.enumerate())
    assert samples.size == stopped_at
