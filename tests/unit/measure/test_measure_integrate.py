"""From samples to joules, against waveforms whose integral is known."""

from __future__ import annotations

import numpy as np
import pytest

from harness.measure import integrate

NAN = float("nan")


def array(*values: float) -> integrate.FloatArray:
    return np.array(values, dtype=float)


def codes(result: integrate.Integral) -> list[str]:
    return [finding.code for finding in result.findings]


def test_counter_takes_last_minus_first_and_ignores_lost_reads_between() -> None:
    """A poll that failed inside the window costs a counter nothing."""
    assert integrate.difference_counter(array(10, NAN, 25, 40)).energy_j == 30


@pytest.mark.parametrize(
    ("energy_j", "code", "reason"),
    [
        ([NAN, 20, 30], "sensor_failed", "beginning: bus error"),
        ([10, 20, NAN], "sensor_failed", "end: bus error"),
        ([], "sensor_failed", "beginning"),
        ([10, 20, 5, 50], "counter_reset", "fell by 15 J"),
        ([10, 20, NAN, 5], "counter_reset", "fell by 15 J"),
        ([10, 10, 10], "counter_stuck", "did not move"),
    ],
)
def test_counter_is_unknown_with_a_reason_never_zero(energy_j: list[float], code: str, reason: str) -> None:
    """Lost edges, resets (even when the end lies above the beginning) and stuck counters give None."""
    result = integrate.difference_counter(array(*energy_j), "bus error")
    assert result.energy_j is None
    assert reason in (result.reason or "")
    assert codes(result) == [code]


def test_constant_power_is_held_to_both_edges() -> None:
    """300 W for 5 s is 1500 J even though the first sample comes late and the last early."""
    times_s = np.arange(0.2, 4.9, 0.1)
    result = integrate.integrate_power(times_s, np.full(times_s.size, 300.0), 0.0, 5.0, max_hold_s=0.3)
    assert result.energy_j == pytest.approx(1500.0)
    assert result.findings == ()


def test_single_sample_covers_a_short_window() -> None:
    """One power sample is enough where it may hold for the whole window."""
    assert integrate.integrate_power(array(10.0), array(50.0), 10.0, 10.2, max_hold_s=0.3).energy_j == pytest.approx(
        10.0
    )


def test_square_wave_is_exact_when_steps_fall_on_samples() -> None:
    """100 W and 400 W for a second each over 4 s is 1000 J; samples before and after the window do not add."""
    times_s = np.arange(0.0, 4.01, 0.25)
    power_w = np.where(times_s % 2 < 1, 100.0, 400.0)
    assert integrate.integrate_power(times_s, power_w, 0.0, 4.0, max_hold_s=0.75).energy_j == pytest.approx(1000.0)
    assert integrate.integrate_power(times_s, power_w, 1.0, 2.0, max_hold_s=0.75).energy_j != pytest.approx(1000.0)


def test_irregular_samples_weigh_by_time() -> None:
    """A value counts for as long as it holds, not once per sample."""
    result = integrate.integrate_power(array(0, 0.1, 0.2, 1.0), array(10, 10, 10, 100), 0.0, 2.0, max_hold_s=1.0)
    assert result.energy_j == pytest.approx(110.0)


def test_poor_coverage_is_unknown() -> None:
    """Half a window without samples is not filled in."""
    result = integrate.integrate_power(array(0, 1, 2), array(10, 10, 10), 0.0, 6.0, max_hold_s=1.0, last_error="lost")
    assert result.energy_j is None
    assert codes(result) == ["low_coverage"]
    assert result.findings[0].value == pytest.approx(0.5)
    assert "lost" in (result.reason or "")
    assert integrate.integrate_power(array(0, 1), array(NAN, NAN), 0.0, 2.0, max_hold_s=1.0).energy_j is None


def test_coverage_counts_time_after_samples() -> None:
    """Each sample covers what follows up to the hold; a window of no length has no coverage."""
    assert integrate.measure_coverage(array(0, 1, 5), 0.0, 6.0, 1.0) == pytest.approx(0.5)
    assert integrate.measure_coverage(array(), 0.0, 6.0, 1.0) == 0.0
    assert integrate.measure_coverage(array(1.0), 1.0, 1.0, 1.0) is None
    assert integrate.find_longest_gap_s(array(0, 1, 5), 0.0, 6.0) == pytest.approx(4.0)


def test_update_period_is_the_time_between_changes() -> None:
    """A counter that ticks every 100 ms polled every 20 ms gives 100 ms and one poll; too few ticks give None."""
    times_s = np.arange(0.0, 2.0, 0.02)
    ticks = np.floor(times_s / 0.1 + 1e-9)
    assert integrate.estimate_update_period_s(times_s, ticks, 0.02) == pytest.approx(0.12)
    assert integrate.estimate_update_period_s(times_s[:12], ticks[:12], 0.02) is None
    assert integrate.estimate_update_period_s(times_s, np.full(times_s.size, 5.0), 0.02) is None


def test_power_range_prefers_samples_and_ignores_ticks_between_close_reads() -> None:
    """A tick caught by an edge read 1 ms after a poll is not a kilowatt."""
    times_s = array(0.0, 0.1, 0.2, 0.201, 0.3, 0.4)
    energy_j = array(0, 10, 20, 30, 30, 40)
    no_power = np.full(6, NAN)
    assert integrate.find_power_range_w(times_s, energy_j, array(90, 80, 120, NAN, 100, 100), 0.1) == (80, 120)
    found = integrate.find_power_range_w(times_s, energy_j, no_power, 0.1)
    assert found is not None
    assert found[1] < 250
    assert integrate.find_power_range_w(array(), array(), array(), 0.1) is None


@pytest.mark.parametrize("phase", np.linspace(0, 0.99, 7).tolist())
def test_counter_bound_holds_at_any_phase(phase: float) -> None:
    """The true energy of a window lies within the stated bound, wherever the window falls between two ticks."""
    power_w, period_s, begin_s, end_s = 300.0, 0.1, 0.1 * phase, 0.1 * phase + 0.55
    shown_j = [power_w * period_s * np.floor(t / period_s) for t in (begin_s, end_s)]
    energy_j = integrate.difference_counter(array(*shown_j)).energy_j
    bound_j = integrate.bound_counter_edges_j((power_w, power_w), period_s)
    assert energy_j is not None
    assert bound_j == pytest.approx(30.0)
    assert abs(energy_j - power_w * (end_s - begin_s)) <= bound_j + 1e-9


def test_bounds_are_unknown_without_a_period() -> None:
    """No period, no bound: None, not zero."""
    assert integrate.bound_counter_edges_j((1.0, 2.0), None) is None
    assert integrate.bound_power_edges_j(None, 0.1) is None
    assert integrate.bound_power_edges_j((100.0, 400.0), 0.1) == pytest.approx(60.0)


def test_trace_keeps_the_energy_when_it_is_thinned() -> None:
    """Fewer points, same area; a stretch over a reset is left out."""
    times_s = np.linspace(0.0, 100.0, 5001)
    cumulative_j = 3.0 * times_s + np.sin(times_s)
    middles_s, power_w = integrate.average_trace(times_s, cumulative_j, 200)
    assert middles_s.size == 200
    assert float(np.sum(power_w * 0.5)) == pytest.approx(cumulative_j[-1])
    middles_s, power_w = integrate.average_trace(array(0, 1, 2, 3), array(0, 10, 5, 15), 10)
    assert middles_s.tolist() == [0.5, 2.5]
    assert power_w.tolist() == [10.0, 10.0]


def test_a_trace_passes_over_readings_that_lie_too_close_and_keeps_the_whole_energy() -> None:
    times_s = np.array([0.0, 1.0, 1.002, 2.0, 2.999, 3.0])
    cumulative_j = np.array([0.0, 20.0, 20.0, 40.0, 60.0, 60.0])  # the clock of a reading jitters by milliseconds
    middles_s, mean_w = integrate.average_trace(times_s, cumulative_j, 100, min_step_s=0.05)
    assert middles_s.tolist() == pytest.approx([0.5, 1.5, 2.5])
    assert mean_w.tolist() == pytest.approx([20.0, 20.0, 20.0])
    _, jagged_w = integrate.average_trace(times_s, cumulative_j, 100)
    assert jagged_w.min() == 0.0
