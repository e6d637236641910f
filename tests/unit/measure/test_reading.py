"""From samples to a reading: what stands beside the energy, and what a reader is told about it."""

from __future__ import annotations

import pytest

from harness.core.readings import EnergyReading, Finding
from harness.measure.reading import mean_power_w, read_window, subtract_idle
from harness.measure.samples import Samples
from harness.measure.ticks import Period, measure_period
from tests.unit.measure.loads import Load, constant, pulses, training
from tests.unit.measure.scene import POLL_S, Device, Span, take_samples

SPAN = (2.0, 7.0)
LOCKED = pulses(100, 400, 0.1)  # ten times a second, in step with a sensor that updates as often


def read(device: Device, span: Span = SPAN, **changes: object) -> tuple[EnergyReading, list[Finding]]:
    samples = take_samples(device, *span)
    return read_window(device.info(**changes), samples, span, POLL_S, measure_period(samples))


def read_sampled(device: Device, span: Span = SPAN, ended: str | None = None) -> tuple[EnergyReading, list[Finding]]:
    samples = take_samples(device, *span, method="sampled")
    return read_window(device.info("sampled"), samples, span, POLL_S, None, ended)


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def a100(load: Load, **settings: float) -> Device:
    """Return a device whose power sensor sees 25 ms of every 100 ms."""
    return Device(load=load, power_period_s=0.1, power_window_s=0.025, **settings)


@pytest.mark.parametrize("power_phase_s", [0.04, 0.09])
def test_a_load_in_step_with_a_blind_sensor_is_exact_by_the_counter_and_aliased_beside_it(
    power_phase_s: float,
) -> None:
    reading, findings = read(a100(LOCKED, power_phase_s=power_phase_s))
    truth_j = LOCKED.between_j(*SPAN)
    assert reading.energy_j == pytest.approx(truth_j, rel=0.005)
    assert reading.uncertainty_j is not None
    assert abs(reading.energy_j - truth_j) <= reading.uncertainty_j
    assert reading.crosscheck_j is not None
    assert abs(reading.crosscheck_j - truth_j) > 0.3 * truth_j
    assert codes(findings) == ["crosscheck_gap", "aliasing"]
    assert findings[0].value == pytest.approx(reading.crosscheck_j / reading.energy_j - 1)
    assert "the counter is the reading" in findings[1].text


def test_a_counter_that_agrees_with_the_power_beside_it_has_no_finding() -> None:
    load = pulses(100, 400, 1.3)
    reading, findings = read(Device(load=load))
    assert findings == []
    assert reading.crosscheck_j == pytest.approx(load.between_j(*SPAN), rel=0.03)
    assert (reading.grade, reading.method, reading.coverage, reading.reason) == ("A", "counter", 1.0, None)
    assert reading.num_samples >= 99
    assert reading.peak_power_w == pytest.approx(400.0, rel=0.02)


def test_a_counter_that_shows_half_of_the_power_disagrees_but_is_not_called_aliasing() -> None:
    device = Device(load=constant(300))
    rows = take_samples(device, *SPAN).between(-1.0, 20.0)
    rows["energy_j"] /= 2
    samples = Samples()
    samples.extend(rows)
    reading, findings = read_window(device.info(), samples, SPAN, POLL_S, measure_period(samples))
    assert codes(findings) == ["crosscheck_gap"]
    assert findings[0].value == pytest.approx(1.0, abs=0.01)
    assert reading.energy_j == pytest.approx(750.0, rel=0.005)


def test_a_short_window_says_that_its_edges_leave_much_open() -> None:
    device = a100(pulses(100, 400, 0.17))
    reading, findings = read(device, (2.31, 2.46))
    assert codes(findings) == ["edge_uncertainty"]
    assert findings[0].value == pytest.approx((reading.uncertainty_j or 0) / (reading.energy_j or 1))
    assert "measure for longer" in findings[0].text


def test_a_sampled_sensor_has_no_crosscheck() -> None:
    reading, findings = read_sampled(Device(load=constant(250)))
    assert reading.energy_j == pytest.approx(1250.0)
    assert (reading.grade, reading.crosscheck_j) == ("B", None)
    assert findings == []


@pytest.mark.parametrize("method", ["counter", "sampled"])
def test_lost_samples_show_as_gap_and_coverage(method: str) -> None:
    """A counter survives a gap, sampled power over less than 90% of the window does not; both say so."""
    device = Device(load=constant(250), lost_s=(3.0, 5.0))
    reading, findings = read(device) if method == "counter" else read_sampled(device, ended="the sampler was killed")
    assert "sampling_gap" in codes(findings)
    assert reading.coverage == pytest.approx(1 - (2.0 - 3 * POLL_S) / 5, abs=0.03)
    if method == "counter":
        assert reading.energy_j == pytest.approx(1250.0, rel=0.005)
    else:
        assert reading.energy_j is None
        assert "low_coverage" in codes(findings)
        assert "the sampler was killed" in (reading.reason or "")


def test_an_unknown_energy_keeps_its_crosscheck_and_says_why() -> None:
    device = Device(load=constant(300), reset_at_s=4.0)
    reading, findings = read(device)
    assert reading.energy_j is None
    assert reading.uncertainty_j is None
    assert codes(findings) == ["counter_reset"]
    assert reading.crosscheck_j == pytest.approx(1500.0)
    assert reading.reason == findings[0].text


@pytest.mark.parametrize("tick_s", [0.0, 0.1])
def test_without_power_the_peak_comes_from_the_counter(tick_s: float) -> None:
    reading, findings = read(Device(load=pulses(100, 400, 1.0), tick_s=tick_s, has_power=False))
    assert findings == []
    assert reading.crosscheck_j is None
    assert reading.peak_power_w == pytest.approx(400.0, rel=0.05)


@pytest.mark.parametrize("tick_s", [0.02, 0.5])
def test_the_peak_is_nothing_that_the_device_did_not_draw(tick_s: float) -> None:
    for seed in range(40):
        device = Device(load=training(seed), tick_s=tick_s, tick_phase_s=0.0137 * seed % tick_s, has_power=False)
        span = (2.1, 2.4 + 0.05 * seed)
        samples = take_samples(device, *span, seed=seed)
        reading, _ = read_window(device.info(), samples, span, POLL_S, measure_period(samples) or Period(tick_s, 0.0))
        assert reading.peak_power_w is None or reading.peak_power_w <= 1.1 * max(device.load.levels_w)


def test_the_gain_of_the_sensor_stands_beside_the_uncertainty_and_not_in_it() -> None:
    plain, _ = read(Device(load=constant(300)))
    gained, _ = read(Device(load=constant(300)), gain_error=0.05)
    assert gained.gain_error == 0.05
    assert gained.uncertainty_j == plain.uncertainty_j


def modelled(times_s: list[float], energy_j: list[float]) -> Samples:
    samples = Samples()
    for time_s, value_j in zip(times_s, energy_j, strict=True):
        samples.append(time_s, value_j, 8.0)
    return samples


def test_a_model_is_a_line_between_its_answers_and_carries_no_measured_uncertainty() -> None:
    info = Device(load=constant(8)).info("modelled")
    times_s = [0.5 * n for n in range(20)]
    reading, findings = read_window(info, modelled(times_s, [8.0 * t for t in times_s]), (2.2, 4.3), 0.5, None)
    assert reading.energy_j == pytest.approx(8.0 * 2.1)
    assert (reading.crosscheck_j, reading.uncertainty_j, reading.grade) == (None, None, "C")
    assert findings == []


@pytest.mark.parametrize(
    ("times_s", "slope_w", "code"),
    [([0.0, 0.5, 1.0], 8.0, "sensor_failed"), ([1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0], 0.0, "counter_stuck")],
)
def test_a_model_that_does_not_answer_or_rise_is_unknown(times_s: list[float], slope_w: float, code: str) -> None:
    info = Device(load=constant(8)).info("modelled")
    reading, findings = read_window(info, modelled(times_s, [slope_w * t for t in times_s]), (2.2, 4.3), 0.5, None)
    assert reading.energy_j is None
    assert code in codes(findings)


def test_net_energy_is_above_idle_and_unknown_with_its_parts() -> None:
    reading, _ = read(Device(load=constant(300)))
    net = subtract_idle(reading, 100.0, 5.0)
    assert net.net_energy_j == pytest.approx(1000.0, rel=0.005)
    assert net.idle_w == 100.0
    assert subtract_idle(reading, None, 5.0).net_energy_j is None
    assert mean_power_w(reading, 5.0) == pytest.approx(300.0, rel=0.005)
    assert mean_power_w(reading, 0.0) is None
    lost, _ = read(Device(load=constant(300), lost_s=(0.0, 20.0)))
    assert subtract_idle(lost, 100.0, 5.0).net_energy_j is None
    assert mean_power_w(lost, 5.0) is None
