"""Sampled power to joules: coverage, the sensor's lag, and loads that hide from a sensor that is blind at times."""

from __future__ import annotations

import numpy as np
import pytest

from harness.measure import integrate
from harness.measure.sampled import blind_share, find_lag_s, read_power
from tests.unit.measure.loads import Load, burst, constant, pulses, training
from tests.unit.measure.scene import POLL_S, Device, Span, take_samples

NAN = float("nan")


def array(*values: float) -> integrate.FloatArray:
    return np.array(values, dtype=float)


def codes(result: integrate.Integral) -> list[str]:
    return [finding.code for finding in result.findings]


def integral_of(device: Device, edges_s: Span, **changes: object) -> integrate.Integral:
    info = device.info("sampled", **changes)
    return read_power(info, take_samples(device, *edges_s, method="sampled"), edges_s, POLL_S, "bus error")


def test_constant_power_is_held_to_both_edges() -> None:
    """300 W for 5 s is 1500 J even though the first sample comes late and the last early."""
    times_s = np.arange(0.2, 4.9, 0.1)
    result = integrate.integrate_power(times_s, np.full(times_s.size, 300.0), 0.0, 5.0, max_hold_s=0.3)
    assert result.energy_j == pytest.approx(1500.0)
    assert result.findings == ()


def test_a_single_sample_covers_a_short_window() -> None:
    result = integrate.integrate_power(array(10.0), array(50.0), 10.0, 10.2, max_hold_s=0.3)
    assert result.energy_j == pytest.approx(10.0)


def test_samples_outside_the_window_add_nothing() -> None:
    """100 W and 400 W for a second each over 4 s is 1000 J; the second of 400 W alone is 400 J."""
    times_s = np.arange(0.0, 4.01, 0.25)
    power_w = np.where(times_s % 2 < 1, 100.0, 400.0)
    assert integrate.integrate_power(times_s, power_w, 0.0, 4.0, max_hold_s=0.75).energy_j == pytest.approx(1000.0)
    assert integrate.integrate_power(times_s, power_w, 1.0, 2.0, max_hold_s=0.75).energy_j == pytest.approx(400.0)


def test_irregular_samples_weigh_by_time() -> None:
    result = integrate.integrate_power(array(0, 0.1, 0.2, 1.0), array(10, 10, 10, 100), 0.0, 2.0, max_hold_s=1.0)
    assert result.energy_j == pytest.approx(110.0)


def test_poor_coverage_is_unknown_with_its_reason() -> None:
    """Half a window without samples is not filled in."""
    result = integrate.integrate_power(array(0, 1, 2), array(10, 10, 10), 0.0, 6.0, max_hold_s=1.0, last_error="lost")
    assert result.energy_j is None
    assert codes(result) == ["low_coverage"]
    assert result.findings[0].value == pytest.approx(0.5)
    assert "lost" in (result.reason or "")
    assert integrate.integrate_power(array(0, 1), array(NAN, NAN), 0.0, 2.0, max_hold_s=1.0).energy_j is None


def test_coverage_counts_the_time_after_samples() -> None:
    """Each sample covers what follows up to the hold; a window of no length has no coverage."""
    assert integrate.measure_coverage(array(0, 1, 5), 0.0, 6.0, 1.0) == pytest.approx(0.5)
    assert integrate.measure_coverage(array(), 0.0, 6.0, 1.0) == 0.0
    assert integrate.measure_coverage(array(1.0), 1.0, 1.0, 1.0) is None
    assert integrate.find_longest_gap_s(array(0, 1, 5), 0.0, 6.0) == pytest.approx(4.0)


def test_the_update_period_is_the_time_between_changes() -> None:
    times_s = np.arange(0.0, 2.0, 0.02)
    ticks = np.floor(times_s / 0.1 + 1e-9)
    assert integrate.estimate_update_period_s(times_s, ticks, 0.02) == pytest.approx(0.12)
    assert integrate.estimate_update_period_s(times_s[:12], ticks[:12], 0.02) is None
    assert integrate.estimate_update_period_s(times_s, np.full(times_s.size, 5.0), 0.02) is None


def test_the_lag_is_half_of_what_a_value_is_old() -> None:
    device = Device(load=constant(1), power_period_s=0.1, power_window_s=1.0)
    assert find_lag_s(device.info("sampled"), 0.05) == pytest.approx((1.0 + 0.1 + 0.05) / 2)
    assert find_lag_s(device.info("sampled", power_window_s=None), 0.05) == 0.0


@pytest.mark.parametrize("busy_s", [(2.0, 4.0), (2.033, 5.071)])
def test_a_mean_over_a_second_is_aligned_with_the_work_it_tells_of(busy_s: Span) -> None:
    """A window over a burst sees the burst's energy, not idle at its beginning; without the lag it would miss it."""
    device = Device(load=burst(*busy_s), power_window_s=1.0)
    truth_j = device.load.between_j(*busy_s)
    aligned = integral_of(device, busy_s)
    unaware = integral_of(device, busy_s, power_window_s=None)
    assert aligned.energy_j is not None
    assert unaware.energy_j is not None
    assert aligned.uncertainty_j is not None
    assert abs(aligned.energy_j - truth_j) <= aligned.uncertainty_j
    # what the mean smears over both edges is lost, an eighth of its width times the step at each
    assert truth_j - aligned.energy_j == pytest.approx(2 * 560 / 8, rel=0.2)
    assert truth_j - unaware.energy_j > 2 * (truth_j - aligned.energy_j)


@pytest.mark.parametrize("load", [constant(250), pulses(100, 400, 1.3), pulses(90, 700, 0.5, duty=0.15), training(3)])
def test_without_a_counter_the_bias_over_five_seconds_is_small(load: Load) -> None:
    device = Device(load=load)
    errors = []
    for k in range(6):
        edges_s = (2.0 + 0.171 * k, 7.0 + 0.171 * k)
        result = integral_of(device, edges_s)
        assert result.energy_j is not None
        assert result.uncertainty_j is not None
        assert abs(result.energy_j - load.between_j(*edges_s)) <= result.uncertainty_j
        errors.append(result.energy_j / load.between_j(*edges_s) - 1)
    assert abs(np.mean(errors)) <= 0.02


@pytest.mark.parametrize("phase_s", [0.0, 0.05])
def test_a_blind_sensor_locked_to_the_load_says_so_and_its_range_covers_the_truth(phase_s: float) -> None:
    """It sees 25 ms of each 100 ms; a 10 Hz load shows it one of its two levels only."""
    device = Device(load=pulses(100, 400, 0.1, phase_s=phase_s), power_window_s=0.025, power_phase_s=0.04)
    edges_s = (2.0, 7.0)
    result = integral_of(device, edges_s)
    truth_j = device.load.between_j(*edges_s)
    assert result.energy_j is not None
    assert result.uncertainty_j is not None
    assert abs(result.energy_j - truth_j) > 0.3 * truth_j
    assert abs(result.energy_j - truth_j) <= result.uncertainty_j
    assert codes(result) == ["blind_sensor"]
    assert result.findings[0].value == pytest.approx(0.75)


def test_a_sensor_that_sees_all_the_time_is_not_blind() -> None:
    device = Device(load=constant(1), power_period_s=0.1, power_window_s=0.1)
    assert blind_share(device.info("sampled")) == 0.0
    assert blind_share(device.info("sampled", power_window_s=None)) == 0.0
    assert codes(integral_of(device, (2.0, 4.0))) == []


def test_lost_samples_over_a_third_of_the_window_leave_it_unknown() -> None:
    device = Device(load=constant(250), lost_s=(3.0, 4.0))
    lost = integral_of(device, (2.0, 5.0))
    assert lost.energy_j is None
    assert codes(lost) == ["low_coverage"]
    assert "bus error" in (lost.reason or "")
    assert integral_of(device, (5.0, 7.0)).energy_j == pytest.approx(500.0)


def test_a_trace_keeps_the_energy_when_it_is_thinned_and_leaves_out_a_reset() -> None:
    times_s = np.linspace(0.0, 100.0, 5001)
    cumulative_j = 3.0 * times_s + np.sin(times_s)
    middles_s, power_w = integrate.average_trace(times_s, cumulative_j, 200)
    assert middles_s.size == 200
    assert float(np.sum(power_w * 0.5)) == pytest.approx(cumulative_j[-1])
    middles_s, power_w = integrate.average_trace(array(0, 1, 2, 3), array(0, 10, 5, 15), 10)
    assert (middles_s.tolist(), power_w.tolist()) == ([0.5, 2.5], [10.0, 10.0])


def test_a_trace_passes_over_reads_that_lie_too_close_and_keeps_the_whole_energy() -> None:
    times_s = array(0.0, 1.0, 1.002, 2.0, 2.999, 3.0)
    cumulative_j = array(0.0, 20.0, 20.0, 40.0, 60.0, 60.0)
    middles_s, mean_w = integrate.average_trace(times_s, cumulative_j, 100, min_step_s=0.05)
    assert middles_s.tolist() == pytest.approx([0.5, 1.5, 2.5])
    assert mean_w.tolist() == pytest.approx([20.0, 20.0, 20.0])
    _, jagged_w = integrate.average_trace(times_s, cumulative_j, 100)
    assert jagged_w.min() == 0.0
