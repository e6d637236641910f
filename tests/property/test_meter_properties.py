"""Properties of measured energy that hold for any load, any window and any place of a reset."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.core.readings import SensorInfo
from harness.measure.counter import read_counter
from harness.measure.integrate import Integral
from harness.measure.sampled import read_power
from harness.measure.samples import RowArray, Samples
from harness.measure.ticks import Period, measure_period
from tests.unit.measure.loads import Load, constant
from tests.unit.measure.scene import POLL_S, Device, Span, take_samples

FEW = settings(max_examples=100, deadline=None, derandomize=True)
LOSSLESS = 1e-9
# Stated half-widths are 95% ones, and a search for counter-examples finds the other 5%.
SLACK = 3.0

# a dozen levels over eight seconds, changing at any place
loads = st.builds(
    lambda starts_s, levels_w: Load([-5.0, *sorted(starts_s)], levels_w),
    st.lists(st.floats(0.0, 8.0), min_size=11, max_size=11),
    st.lists(st.floats(20.0, 700.0), min_size=12, max_size=12),
)
edges = st.tuples(st.floats(2.0, 3.0), st.floats(3.1, 4.2), st.floats(4.4, 6.0))
phases = st.floats(0.0, 0.099)


def by_counter(device: Device, samples: Samples, span: Span, period: Period | None) -> Integral:
    return read_counter(device.info(), samples, span, period, None)


def by_power(info: SensorInfo, samples: Samples, span: Span) -> Integral:
    return read_power(info, samples, span, POLL_S, None)


def known_j(result: Integral) -> float:
    assert result.energy_j is not None, result.reason
    return result.energy_j


def rows_of(samples: Samples) -> RowArray:
    return samples.between(-math.inf, math.inf)


def samples_of(rows: RowArray) -> Samples:
    samples = Samples()
    samples.extend(rows[np.argsort(rows["time_s"], kind="stable")])
    return samples


@given(loads, edges, phases)
@FEW
def test_energy_is_additive_over_adjacent_windows(
    load: Load, edges_s: tuple[float, float, float], phase_s: float
) -> None:
    first_s, middle_s, last_s = edges_s
    spans = [(first_s, middle_s), (middle_s, last_s), (first_s, last_s)]
    device = Device(load=load, tick_phase_s=phase_s)
    samples = take_samples(device, *edges_s)
    period = measure_period(samples)
    one, two, both = (known_j(by_counter(device, samples, span, period)) for span in spans)
    assert math.isclose(one + two, both, rel_tol=LOSSLESS)
    sampled = take_samples(device, *edges_s, method="sampled")
    one, two, both = (known_j(by_power(device.info("sampled"), sampled, span)) for span in spans)
    assert math.isclose(one + two, both, rel_tol=LOSSLESS)


@given(loads, edges, phases, st.integers(-(2**10), 2**20))
@FEW
def test_energy_does_not_depend_on_when_the_clock_began(
    load: Load, edges_s: tuple[float, float, float], phase_s: float, shift_s: int
) -> None:
    device = Device(load=load, tick_phase_s=phase_s)
    span = (edges_s[0], edges_s[2])
    samples = take_samples(device, *span)
    rows = rows_of(samples)
    rows["time_s"] += shift_s
    shifted, later = samples_of(rows), (span[0] + shift_s, span[1] + shift_s)
    here, there = (
        by_counter(device, chosen, at, measure_period(chosen)) for chosen, at in ((samples, span), (shifted, later))
    )
    assert math.isclose(known_j(here), known_j(there), rel_tol=1e-6)
    assert math.isclose(here.uncertainty_j or 0.0, there.uncertainty_j or 0.0, rel_tol=1e-3, abs_tol=1e-3)
    info = device.info("sampled")
    assert math.isclose(known_j(by_power(info, samples, span)), known_j(by_power(info, shifted, later)), rel_tol=1e-6)


@given(loads, edges, st.lists(st.floats(1.0, 7.0), min_size=1, max_size=40, unique=True))
@FEW
def test_repeats_of_a_held_power_change_nothing(
    load: Load, edges_s: tuple[float, float, float], extra_s: list[float]
) -> None:
    device = Device(load=load)
    span = (edges_s[0], edges_s[2])
    samples = take_samples(device, *span, method="sampled")
    rows = rows_of(samples)
    inside_s = [time_s for time_s in extra_s if rows["time_s"][0] < time_s < rows["time_s"][-1]]
    held = np.searchsorted(rows["time_s"], inside_s, side="right") - 1
    repeats = rows[held].copy()
    repeats["time_s"] = inside_s
    more = samples_of(np.concatenate([rows, repeats]))
    info = device.info("sampled")
    assert math.isclose(known_j(by_power(info, samples, span)), known_j(by_power(info, more, span)), rel_tol=LOSSLESS)


@given(st.floats(1.0, 700.0), edges, st.lists(st.floats(1.0, 6.9), min_size=1, max_size=40, unique=True))
@FEW
def test_more_reads_of_an_exact_counter_on_a_line_change_nothing(
    power_w: float, edges_s: tuple[float, float, float], extra_s: list[float]
) -> None:
    device = Device(load=constant(power_w), tick_s=0.0, unit_j=0.0)
    span = (edges_s[0], edges_s[2])
    samples = take_samples(device, *span)
    period = measure_period(samples)
    rows = rows_of(samples)
    extra = np.repeat(rows[:1], len(extra_s))
    extra["time_s"], extra["power_w"] = extra_s, math.nan
    extra["energy_j"] = [device.counter_j(time_s) for time_s in extra_s]
    few, more = (
        known_j(by_counter(device, chosen, span, period))
        for chosen in (samples, samples_of(np.concatenate([rows, extra])))
    )
    assert math.isclose(few, more, rel_tol=1e-6)
    assert math.isclose(few, device.load.between_j(*span), rel_tol=1e-3)


@given(loads, edges, st.integers(0, 11), st.floats(0.0, 300.0))
@FEW
def test_more_power_anywhere_is_never_less_energy_by_sampled_power(
    load: Load, edges_s: tuple[float, float, float], place: int, more_w: float
) -> None:
    raised = Load(load.starts_s, [w + more_w * (i == place) for i, w in enumerate(load.levels_w)])
    span = (edges_s[0], edges_s[2])
    energies_j = []
    for chosen in (load, raised):
        device = Device(load=chosen)
        samples = take_samples(device, *span, method="sampled")
        energies_j.append(known_j(by_power(device.info("sampled"), samples, span)))
    assert energies_j[1] >= energies_j[0] - LOSSLESS * energies_j[0]


@given(loads, edges, phases, st.integers(0, 11), st.floats(0.0, 300.0))
@FEW
def test_more_power_anywhere_is_never_less_energy_by_a_counter(
    load: Load, edges_s: tuple[float, float, float], phase_s: float, place: int, more_w: float
) -> None:
    """Within the stated uncertainty: a step at an edge may be followed to another side of it."""
    raised = Load(load.starts_s, [w + more_w * (i == place) for i, w in enumerate(load.levels_w)])
    span = (edges_s[0], edges_s[2])
    results = []
    for chosen in (load, raised):
        device = Device(load=chosen, tick_phase_s=phase_s)
        samples = take_samples(device, *span)
        results.append(by_counter(device, samples, span, measure_period(samples)))
    lower, higher = results
    slack_j = SLACK * math.hypot(lower.uncertainty_j or 0.0, higher.uncertainty_j or 0.0)
    assert known_j(higher) >= known_j(lower) - slack_j


@given(loads, edges, phases, st.floats(1.0, 3.0))
@FEW
def test_all_power_in_proportion_is_energy_in_proportion(
    load: Load, edges_s: tuple[float, float, float], phase_s: float, factor: float
) -> None:
    span = (edges_s[0], edges_s[2])
    energies_j = []
    for scale in (1.0, factor):
        scaled = Load(load.starts_s, [scale * level_w for level_w in load.levels_w])
        device = Device(load=scaled, tick_phase_s=phase_s, unit_j=0.0)
        samples = take_samples(device, *span)
        energies_j.append(known_j(by_counter(device, samples, span, measure_period(samples))))
    assert math.isclose(factor * energies_j[0], energies_j[1], rel_tol=1e-6)


def with_and_without_reset(load: Load, span: Span, reset_at_s: float, **settings: Any) -> tuple[Integral, Integral]:
    results = []
    for at_s in (reset_at_s, math.inf):
        device = Device(load=load, reset_at_s=at_s, **settings)
        samples = take_samples(device, *span)
        results.append(by_counter(device, samples, span, measure_period(samples)))
    return results[0], results[1]


@given(loads, edges, phases, st.floats(0.0, 1.0))
@FEW
def test_a_reset_at_any_place_inside_the_window_leaves_it_unknown(
    load: Load, edges_s: tuple[float, float, float], phase_s: float, place: float
) -> None:
    """Inside is where a tick after the beginning and one before the end show it."""
    span = (edges_s[0], edges_s[2])
    reset_at_s = span[0] + 0.11 + place * (span[1] - span[0] - 0.33)
    hit, _ = with_and_without_reset(load, span, reset_at_s, tick_phase_s=phase_s)
    assert hit.energy_j is None
    assert [finding.code for finding in hit.findings] == ["counter_reset"]


@given(loads, edges, phases, st.one_of(st.floats(0.3, 1.85), st.floats(6.25, 6.9)))
@FEW
def test_a_reset_at_any_place_outside_the_window_costs_nothing(
    load: Load, edges_s: tuple[float, float, float], phase_s: float, reset_at_s: float
) -> None:
    span = (edges_s[0], edges_s[2])
    hit, whole = with_and_without_reset(load, span, reset_at_s, tick_phase_s=phase_s)
    slack_j = SLACK * math.hypot(hit.uncertainty_j or 0.0, whole.uncertainty_j or 0.0)
    assert abs(known_j(hit) - known_j(whole)) <= slack_j


@given(loads, edges, phases, st.floats(0.2, 7.0))
@FEW
def test_a_reset_at_any_place_is_unknown_or_harmless_and_never_negative(
    load: Load, edges_s: tuple[float, float, float], phase_s: float, reset_at_s: float
) -> None:
    """Also where it lies within a tick of an edge."""
    span = (edges_s[0], edges_s[2])
    hit, whole = with_and_without_reset(load, span, reset_at_s, tick_phase_s=phase_s)
    assume(hit.energy_j is not None)
    slack_j = SLACK * math.hypot(hit.uncertainty_j or 0.0, whole.uncertainty_j or 0.0)
    assert known_j(hit) > 0
    assert abs(known_j(hit) - known_j(whole)) <= slack_j
