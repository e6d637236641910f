"""The energy at a window's edges between two ticks, and whether the stated interval holds, in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from harness.measure.counter import read_counter
from harness.measure.edges import (
    EdgeEnergy,
    bound_course_j,
    combine_edges_j,
    energy_at,
    widen_range_w,
)
from harness.measure.ticks import Period, Ticks, measure_period
from tests.unit.measure.loads import Load, burst, constant, pulses, ramps, training
from tests.unit.measure.scene import Device, Span, take_samples

TICK_S = 0.1
PERIOD = Period(TICK_S, 0.0)
NO_POWER = np.empty(0)


@dataclass(frozen=True)
class Outcomes:
    """Errors, stated half-widths and truths (J) of many windows; a window that is unknown fails the test."""

    errors_j: np.ndarray
    halves_j: np.ndarray
    truths_j: np.ndarray

    @property
    def coverage(self) -> float:
        return float(np.mean(np.abs(self.errors_j) <= self.halves_j))

    @property
    def bias(self) -> float:
        return float(self.errors_j.mean() / self.truths_j.mean())

    @property
    def p95_j(self) -> float:
        return float(np.quantile(np.abs(self.errors_j), 0.95))


def simulate(make_load: Callable[[random.Random], Load], duration_s: float, scenes: int, **device: float) -> Outcomes:
    """Measure six windows of about `duration_s` in each of several scenes of random phases."""
    found = []
    for seed in range(scenes):
        at_random = random.Random(seed)
        load = make_load(at_random)
        scene = Device(
            load=load, tick_phase_s=at_random.uniform(0, TICK_S), power_phase_s=at_random.uniform(0, 0.1), **device
        )
        begins_s = [2.0 + 0.37 * n + at_random.uniform(0, 0.3) for n in range(6)]
        spans = [(begin_s, begin_s + duration_s * at_random.uniform(0.8, 1.2)) for begin_s in begins_s]
        samples = take_samples(scene, *(edge_s for span in spans for edge_s in span), seed=seed)
        period = measure_period(samples)
        for span in spans:
            result = read_counter(scene.info(), samples, span, period, None)
            assert result.energy_j is not None, result.reason
            assert result.uncertainty_j is not None
            truth_j = load.between_j(*span)
            found.append((result.energy_j - truth_j, result.uncertainty_j, truth_j))
    return Outcomes(*np.array(found).T)


LOADS: dict[str, Callable[[random.Random], Load]] = {
    "constant": lambda r: constant(300.0),
    "square 0.73": lambda r: pulses(100, 400, 0.73, phase_s=r.uniform(0, 0.73)),
    "square 0.25": lambda r: pulses(100, 400, 0.25, phase_s=r.uniform(0, 0.25)),
    "square 4": lambda r: pulses(100, 400, 4.0, phase_s=r.uniform(0, 4)),
    "ramp": lambda r: ramps(100, 400, 1.0, phase_s=r.uniform(0, 1)),
    "bursts": lambda r: pulses(90, 700, 0.5, phase_s=r.uniform(0, 0.5), duty=0.15),
    "training": lambda r: training(r.randrange(1000)),
}


def pool(duration_s: float, scenes: int) -> Outcomes:
    parts = [
        simulate(make_load, duration_s, scenes, power_window_s=window_s)
        for make_load in LOADS.values()
        for window_s in (0.025, 0.1)
    ]
    return Outcomes(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("errors_j", "halves_j", "truths_j"))
    )


def test_over_windows_of_two_seconds_the_interval_holds_and_is_not_bloated() -> None:
    pooled = pool(2.0, scenes=5)
    assert pooled.errors_j.size >= 300
    assert pooled.coverage >= 0.93
    assert pooled.halves_j.mean() <= 2 * pooled.p95_j
    assert abs(pooled.bias) <= 0.005


def test_over_short_windows_the_interval_holds() -> None:
    pooled = pool(0.3, scenes=4)
    assert pooled.errors_j.size >= 300
    assert pooled.coverage >= 0.93


def test_over_windows_of_five_seconds_errors_stay_below_one_percent() -> None:
    pooled = pool(5.0, scenes=3)
    assert float(np.quantile(np.abs(pooled.errors_j) / pooled.truths_j, 0.95)) <= 0.01


@pytest.mark.parametrize("jitter_s", [0.0, 0.004])
def test_constant_power_is_exact_but_for_the_time_of_ticks(jitter_s: float) -> None:
    outcomes = simulate(LOADS["constant"], 1.0, scenes=5, jitter_s=jitter_s)
    assert outcomes.coverage >= 0.93
    assert outcomes.p95_j <= 300.0 * (0.001 + jitter_s)


@pytest.mark.parametrize("offset_s", np.linspace(0.0, 0.09, 7).tolist())
def test_a_window_that_holds_one_burst_of_work_follows_its_steps(offset_s: float) -> None:
    """The load begins and ends with the window, as work between two synchronises does."""
    span: Span = (2.0 + offset_s, 4.05)
    device = Device(load=burst(*span))
    samples = take_samples(device, *span)
    result = read_counter(device.info(), samples, span, measure_period(samples), None)
    truth_j = device.load.between_j(*span)
    assert result.energy_j == pytest.approx(truth_j, abs=650 * 0.0015)
    assert result.uncertainty_j is not None
    assert abs(result.energy_j - truth_j) <= result.uncertainty_j <= 0.02 * truth_j


@pytest.mark.parametrize("gap_ms", [25, 10, 60])
def test_a_burst_across_a_tick_shorter_than_one_is_covered(gap_ms: int) -> None:
    """50 ms of work, `gap_ms` of it before a tick: next to nothing is known of its course, and the range says so."""
    tick_s = 2.037
    span = (tick_s - gap_ms / 1000, tick_s + 0.05 - gap_ms / 1000)
    device = Device(load=burst(*span))
    samples = take_samples(device, *span)
    result = read_counter(device.info(), samples, span, measure_period(samples), None)
    assert result.energy_j is not None
    assert result.uncertainty_j is not None
    assert abs(result.energy_j - device.load.between_j(*span)) <= result.uncertainty_j


def ticks_of(load: Load, count: int = 20, half_s: float = 0.0) -> Ticks:
    times_s = TICK_S * np.arange(count)
    return Ticks(times_s, np.full(count, half_s), np.array([load.between_j(-5.0, t) for t in times_s]))


@pytest.mark.parametrize("step_s", [0.91, 0.95, 0.999])
@pytest.mark.parametrize("edge_s", [0.905, 0.93, 0.96, 0.995])
def test_a_step_of_power_inside_a_tick_is_followed_exactly(step_s: float, edge_s: float) -> None:
    load = Load([-5.0, step_s], [90.0, 650.0])
    at_edge = energy_at(edge_s, ticks_of(load), PERIOD, NO_POWER)
    assert at_edge is not None
    assert at_edge.energy_j == pytest.approx(load.between_j(-5.0, edge_s), abs=1e-6)
    assert at_edge.timing_j == 0.0


def test_at_a_tick_nothing_is_open_and_between_two_it_is() -> None:
    ticks = ticks_of(pulses(100, 400, 0.17))
    at_tick, between = (energy_at(edge_s, ticks, PERIOD, NO_POWER) for edge_s in (float(ticks.times_s[9]), 0.95))
    assert at_tick is not None
    assert between is not None
    assert at_tick.open_j == pytest.approx(0.0, abs=1e-6)
    assert between.open_j > 1.0


def test_the_time_of_ticks_that_is_not_known_widens_the_edge_by_the_power_there() -> None:
    at_edge = energy_at(0.95, ticks_of(constant(300), half_s=0.002), PERIOD, NO_POWER)
    assert at_edge is not None
    assert 300 * 0.002 <= at_edge.timing_j <= 300 * 0.002 * 1.5


def test_power_samples_outside_the_levels_of_the_counter_widen_the_edge() -> None:
    """The counter's steps are even, power shows 700 W: the load alternates inside a tick."""
    ticks = ticks_of(constant(250))
    calm = energy_at(0.95, ticks, PERIOD, np.array([250.0, 255.0]))
    hidden = energy_at(0.95, ticks, PERIOD, np.array([700.0, 700.0]))
    assert calm is not None
    assert hidden is not None
    assert calm.open_j == pytest.approx(0.0, abs=1e-6)
    assert hidden.open_j > 5.0
    assert (hidden.low_w, hidden.high_w) == (0.0, 700.0)
    assert widen_range_w(250.0, 250.0, 250.0, NO_POWER) == (250.0, 250.0)
    assert widen_range_w(250.0, 250.0, 250.0, np.array([100.0])) == (100.0, 400.0)


def test_an_edge_past_the_last_tick_goes_on_for_a_period_and_a_half_only() -> None:
    ticks = ticks_of(constant(300))
    last_s = float(ticks.times_s[-1])
    near = energy_at(last_s + 0.1, ticks, PERIOD, NO_POWER)
    assert near is not None
    assert near.energy_j == pytest.approx(constant(300).between_j(-5.0, last_s + 0.1))
    assert near.open_j == pytest.approx(30.0)
    assert energy_at(last_s + 0.2, ticks, PERIOD, NO_POWER) is None
    assert energy_at(float(ticks.times_s[0]) - 0.2, ticks, PERIOD, NO_POWER) is None
    assert energy_at(0.0, ticks_of(constant(300), count=1), PERIOD, NO_POWER) is None


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_the_bound_of_a_course_is_reached_by_the_extreme_course(share: float) -> None:
    """All of the high level first, then the low one: no course of those levels lies farther from the even one."""
    high_share = 0.4
    step_j = TICK_S * (400 * high_share + 100 * (1 - high_share))
    first_j = TICK_S * (400 * min(share, high_share) + 100 * max(0.0, share - high_share))
    last_j = step_j - TICK_S * (400 * min(1 - share, high_share) + 100 * max(0.0, 1 - share - high_share))
    even_j = share * step_j
    bound_j = bound_course_j(share, step_j, TICK_S, 100.0, 400.0)
    assert bound_j == pytest.approx(max(first_j - even_j, even_j - last_j))


def test_a_short_window_is_bounded_by_what_the_device_can_draw() -> None:
    edges = [EdgeEnergy(energy_j, 0.0, 0.0, 100, 100, n, 0.5, 10.0, TICK_S) for n, energy_j in ((3, 35.0), (5, 55.0))]
    short_j = combine_edges_j(*edges, 0.2, 700.0)
    assert short_j > 5.0
    assert combine_edges_j(*edges, 0.2, None) < 0.01
    assert combine_edges_j(*edges, 0.7, 700.0) < 0.01
