"""A window's energy by a counter: whatever the counter does, a wrong number never passes without a word."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from harness.measure.counter import read_counter
from harness.measure.integrate import Integral
from harness.measure.samples import ROW, Samples
from harness.measure.ticks import Period, measure_period
from tests.unit.measure.loads import constant, pulses, training
from tests.unit.measure.scene import Device, Span, take_samples

SPAN = (2.31, 4.44)
LOAD = pulses(100, 400, 0.73)


def read(device: Device, span: Span = SPAN, *, why: str | None = None) -> Integral:
    samples = take_samples(device, *span)
    return read_counter(device.info(), samples, span, measure_period(samples), why)


def codes(result: Integral) -> list[str]:
    return [finding.code for finding in result.findings]


def assert_true(result: Integral, truth_j: float) -> None:
    assert result.energy_j is not None, result.reason
    assert result.uncertainty_j is not None
    assert abs(result.energy_j - truth_j) <= result.uncertainty_j


def assert_unknown(result: Integral, code: str, words: str) -> None:
    assert (result.energy_j, result.uncertainty_j) == (None, None)
    assert codes(result) == [code]
    assert words in (result.reason or "")
    assert result.findings[0].text == result.reason


@pytest.mark.parametrize("tick_s", [0.0, 0.02, 0.1])
def test_a_counter_gives_the_energy_between_the_edges_whatever_its_rate(tick_s: float) -> None:
    result = read(Device(load=LOAD, tick_s=tick_s))
    assert_true(result, LOAD.between_j(*SPAN))
    assert result.energy_j == pytest.approx(LOAD.between_j(*SPAN), rel=0.01)
    assert codes(result) == []


@pytest.mark.parametrize("reset_at_s", [0.7, 1.95, 4.7, 5.2])
def test_a_reset_outside_the_window_is_harmless(reset_at_s: float) -> None:
    assert_true(read(Device(load=LOAD, reset_at_s=reset_at_s)), LOAD.between_j(*SPAN))


@pytest.mark.parametrize("reset_at_s", [2.45, 3.0, 4.3])
def test_a_reset_inside_the_window_is_unknown(reset_at_s: float) -> None:
    assert_unknown(read(Device(load=LOAD, reset_at_s=reset_at_s)), "counter_reset", "reset")


def test_a_reset_is_found_even_when_the_end_lies_above_the_beginning() -> None:
    device = Device(load=constant(300), reset_at_s=1.0, tick_s=0.02)
    samples = take_samples(device, 0.9, 5.0)
    result = read_counter(device.info(), samples, (0.9, 5.0), measure_period(samples), None)
    assert_unknown(result, "counter_reset", "fell by")


def changed(device: Device, change: dict[Span, float], *, add: bool) -> tuple[Samples, Period | None]:
    """Return samples whose counter is changed within spans of time."""
    original = take_samples(device, *SPAN)
    rows = original.between(-math.inf, math.inf)
    for (begin_s, end_s), value_j in change.items():
        hit = (rows["time_s"] >= begin_s) & (rows["time_s"] < end_s)
        rows["energy_j"][hit] = rows["energy_j"][hit] + value_j if add else value_j
    samples = Samples()
    samples.extend(rows)
    return samples, measure_period(original)


def test_a_negative_step_inside_the_window_is_unknown() -> None:
    device = Device(load=LOAD)
    samples, period = changed(device, {(3.2, math.inf): -50.0}, add=True)
    assert_unknown(read_counter(device.info(), samples, SPAN, period, None), "counter_reset", "fell by")


@pytest.mark.parametrize("limit_w", [700.0, None])
def test_a_jump_that_no_device_could_draw_is_unknown(limit_w: float | None) -> None:
    device = Device(load=LOAD)
    samples, period = changed(device, {(3.2, math.inf): 1e6}, add=True)
    result = read_counter(device.info(power_limit_w=limit_w), samples, SPAN, period, None)
    assert_unknown(result, "counter_jump", "more than the device can draw")


@pytest.mark.parametrize(("tick_s", "seed", "begin_s"), [(0.05, 31, 2.5), (0.0502, 19, 2.9)])
def test_a_counter_as_fast_as_the_polls_is_not_taken_for_one_that_jumps(
    tick_s: float, seed: int, begin_s: float
) -> None:
    chance = random.Random(seed)
    device = Device(load=training(seed), tick_s=tick_s, tick_phase_s=chance.uniform(0, tick_s))
    spans = [(2.1 + 0.4 * n, 2.1 + 0.4 * n + chance.choice([0.05, 0.3, 1, 2])) for n in range(4)]
    samples = take_samples(device, *(edge_s for span in spans for edge_s in span), seed=seed)
    span = next(span for span in spans if span[0] == pytest.approx(begin_s))
    result = read_counter(device.info(), samples, span, measure_period(samples), None)
    assert_true(result, device.load.between_j(*span))


@pytest.mark.parametrize("lost_s", [(4.0, 5.9), (0.0, 20.0), (-1.0, 2.7)], ids=["end", "all", "start"])
def test_a_counter_that_cannot_be_read_at_an_edge_is_unknown_with_the_sensors_words(lost_s: Span) -> None:
    result = read(Device(load=LOAD, lost_s=lost_s), why="bus error")
    assert result.energy_j is None
    assert "bus error" in (result.reason or "")
    assert codes(result) == ["sensor_failed"]


@pytest.mark.parametrize("lost_s", [(2.0, 2.7), (2.0, 3.3), (4.2, 4.9)])
def test_reads_lost_on_both_sides_of_an_edge_widen_the_range(lost_s: Span) -> None:
    result = read(Device(load=LOAD, lost_s=lost_s))
    assert_true(result, LOAD.between_j(*SPAN))
    assert (result.uncertainty_j or 0.0) > 50.0


def test_reads_that_failed_between_the_edges_cost_nothing() -> None:
    assert_true(read(Device(load=LOAD, lost_s=(2.9, 3.9))), LOAD.between_j(*SPAN))


def test_reads_that_failed_are_not_a_counter_that_stood_still() -> None:
    assert codes(read(Device(load=LOAD, lost_s=(2.9, 3.9)))) == []


@pytest.mark.parametrize("stuck_s", [(0.0, 20.0), (2.0, 20.0), (2.0, 5.9)])
def test_a_counter_that_stands_still_over_the_window_is_unknown_never_zero(stuck_s: Span) -> None:
    result = read(Device(load=LOAD, stuck_s=stuck_s))
    assert_unknown(result, "counter_stuck", "did not move")


@pytest.mark.parametrize("begins_s", [1.0, 2.8, 3.5])
def test_a_counter_that_stops_for_good_inside_the_window_is_unknown(begins_s: float) -> None:
    assert read(Device(load=LOAD, stuck_s=(begins_s, 20.0))).energy_j is None


def test_a_counter_that_pauses_inside_the_window_says_so() -> None:
    """It catches up afterwards, so the energy is right; the reader is told."""
    result = read(Device(load=LOAD, stuck_s=(2.8, 3.8)))
    assert codes(result) == ["counter_stuck"]
    assert result.findings[0].value == pytest.approx(1.0, abs=0.2)
    assert_true(result, LOAD.between_j(*SPAN))


@pytest.mark.parametrize("begin_s", np.linspace(2.3, 2.39, 5).tolist())
@pytest.mark.parametrize("duration_s", [0.01, 0.05])
def test_a_window_shorter_than_a_tick_is_bounded_and_not_zero(begin_s: float, duration_s: float) -> None:
    device = Device(load=training(4))
    span = (begin_s, begin_s + duration_s)
    result = read(device, span)
    assert_true(result, device.load.between_j(*span))
    assert result.energy_j is not None
    assert result.energy_j > 0


def test_without_samples_the_energy_is_unknown() -> None:
    device = Device(load=LOAD)
    assert_unknown(read_counter(device.info(), Samples(), SPAN, None, None), "sensor_failed", "beginning")


def test_one_read_alone_is_no_energy() -> None:
    samples = Samples()
    samples.append(3.0, 5.0, 100.0)
    result = read_counter(Device(load=LOAD).info(), samples, SPAN, None, None)
    assert result.energy_j is None
    assert result.reason


def test_samples_hold_the_integral_of_power_and_the_latest_counter() -> None:
    """However the rows come in, each power holds to the next that could be read."""
    rows = np.zeros(5, ROW)
    rows["time_s"] = [0.0, 1.0, 2.0, 4.0, 5.0]
    rows["energy_j"] = [0.0, 10.0, math.nan, 30.0, math.nan]
    rows["power_w"] = [10.0, math.nan, 20.0, math.nan, 5.0]
    for cut in range(6):
        samples = Samples()
        samples.extend(rows[:cut])
        samples.extend(rows[cut:])
        _, _, held_j = samples.cumulative()
        assert held_j.tolist() == [0.0, 10.0, 20.0, 60.0, 80.0]
        assert samples.latest() == (5.0, 30.0, 80.0)
        assert samples.latest(2.5) == (2.0, 10.0, 20.0)
        assert samples.latest(-1.0) is None
