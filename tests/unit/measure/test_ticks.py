"""When a counter ticked, told from reads in virtual time whose true ticks are known."""

from __future__ import annotations

import numpy as np
import pytest

from harness.measure.poller import STARTUP_S
from harness.measure.samples import ROW, RowArray, Samples
from harness.measure.ticks import FAST_PERIOD_S, find_brackets, locate_ticks, measure_period
from tests.unit.measure.loads import constant, training
from tests.unit.measure.scene import Device, Span, take_samples

EDGES_S = (2.31, 4.44)


def true_ticks_s(device: Device, begin_s: float, end_s: float) -> np.ndarray:
    count = int((end_s + 1) / device.tick_s)
    times_s = np.array([device.tick_time_s(n) for n in range(-20, count)])
    return times_s[(times_s > begin_s) & (times_s <= end_s)]


def rows_of(samples: Samples, span_s: Span = (-np.inf, np.inf)) -> RowArray:
    return samples.between(*span_s)


def rows_from(times_s: list[float], energy_j: list[float]) -> RowArray:
    rows = np.zeros(len(times_s), ROW)
    rows["time_s"], rows["energy_j"], rows["power_w"] = times_s, energy_j, np.nan
    return rows


@pytest.mark.parametrize("jitter_s", [0.0, 0.004])
@pytest.mark.parametrize("tick_s", [0.02, 0.1, 0.15])
def test_brackets_hold_every_tick_that_was_read_around(tick_s: float, jitter_s: float) -> None:
    device = Device(load=training(1), tick_s=tick_s, jitter_s=jitter_s)
    rows = rows_of(take_samples(device, *EDGES_S), (0.0, STARTUP_S))
    earliest_s, latest_s, energy_j = find_brackets(rows)
    ticks_s = true_ticks_s(device, rows["time_s"][0], rows["time_s"][-1])
    assert earliest_s.size == ticks_s.size
    assert (earliest_s <= ticks_s).all()
    assert (ticks_s <= latest_s).all()
    shown_j = [device.counter_j(tick_s) for tick_s in ticks_s + 1e-9]
    assert energy_j.tolist() == shown_j


def test_a_failed_read_widens_its_bracket_and_loses_no_tick() -> None:
    rows = rows_from([0.0, 0.1, 0.2, 0.3], [5.0, 5.0, np.nan, 7.0])
    earliest_s, latest_s, energy_j = find_brackets(rows)
    assert (earliest_s.tolist(), latest_s.tolist(), energy_j.tolist()) == ([0.1], [0.3], [7.0])


@pytest.mark.parametrize(
    "tick_s",
    [0.01, 0.02, 0.0253, 0.1, 0.2],
)
def test_the_update_period_is_measured_within_its_stated_error(tick_s: float) -> None:
    period = measure_period(take_samples(Device(load=training(2), tick_s=tick_s)))
    assert period is not None
    assert abs(period.period_s - tick_s) <= max(2 * period.error_s, 1e-4)
    assert period.error_s < 0.01 * tick_s
    assert period.jitter_s < 0.1 * tick_s


def test_a_counter_that_strays_from_its_rhythm_has_a_jitter() -> None:
    period = measure_period(take_samples(Device(load=constant(300), jitter_s=0.008)))
    assert period is not None
    assert period.period_s == pytest.approx(0.1, rel=0.04)
    assert 0.002 < period.jitter_s < 0.017


@pytest.mark.parametrize(
    "device",
    [
        Device(load=constant(300), tick_s=0.5),
        Device(load=constant(300), stuck_s=(0.0, 100.0)),
        Device(load=constant(300), lost_s=(0.0, 100.0)),
    ],
    ids=["slow", "stuck", "lost"],
)
def test_too_few_ticks_give_no_period(device: Device) -> None:
    assert measure_period(take_samples(device)) is None


def test_no_rows_give_no_period_and_no_ticks() -> None:
    assert measure_period(Samples()) is None
    assert locate_ticks(np.zeros(0, ROW), None).times_s.size == 0


@pytest.mark.parametrize("tick_s", [0.0, 0.0005])
def test_a_counter_faster_than_the_reads_is_known_at_every_read(tick_s: float) -> None:
    device = Device(load=constant(300), tick_s=tick_s)
    samples = take_samples(device, *EDGES_S)
    period = measure_period(samples)
    assert period is not None
    assert period.period_s <= FAST_PERIOD_S
    rows = rows_of(samples, EDGES_S)
    ticks = locate_ticks(rows, period)
    assert ticks.times_s.size == rows.size
    assert (ticks.halves_s <= FAST_PERIOD_S).all()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tick_s", [0.02, 0.1])
def test_located_ticks_lie_within_their_halves_and_the_rhythm_makes_these_narrow(tick_s: float, seed: int) -> None:
    device = Device(load=training(seed), tick_s=tick_s, tick_phase_s=0.0137 * seed)
    samples = take_samples(device, *EDGES_S, seed=seed)
    rows = rows_of(samples, (EDGES_S[1] - 1.0, EDGES_S[1] + 0.4))
    ticks = locate_ticks(rows, measure_period(samples))
    truth_s = true_ticks_s(device, rows["time_s"][0], rows["time_s"][-1])
    nearest_s = truth_s[np.abs(truth_s[None, :] - ticks.times_s[:, None]).argmin(axis=1)]
    assert (np.abs(nearest_s - ticks.times_s) <= ticks.halves_s + 1e-4).all()
    assert half_at(ticks.times_s, ticks.halves_s, EDGES_S[1]) < 0.005
    blurred = locate_ticks(rows, None)
    assert np.median(ticks.halves_s) < 0.7 * np.median(blurred.halves_s)
    assert (np.diff(ticks.times_s) > 0).all()
    assert (np.diff(ticks.energy_j) > 0).all()


def test_after_lost_reads_only_the_last_tick_has_the_new_value() -> None:
    device = Device(load=constant(300), lost_s=(2.5, 3.5))
    samples = take_samples(device, *EDGES_S)
    ticks = locate_ticks(rows_of(samples, (2.0, 4.0)), measure_period(samples))
    for time_s, half_s, energy_j in zip(ticks.times_s, ticks.halves_s, ticks.energy_j, strict=True):
        assert abs(device.counter_j(time_s + half_s + 2e-4) - energy_j) < 1e-6
    assert half_at(ticks.times_s, ticks.halves_s, 3.5) < 0.01


def half_at(times_s: np.ndarray, halves_s: np.ndarray, time_s: float) -> float:
    return float(halves_s[np.abs(times_s - time_s).argmin()])


def test_a_counter_that_leaves_its_rhythm_is_believed_over_it() -> None:
    """Ticks come 60 ms late from 1 s on: dense reads show it, and the rhythm must not pull the ticks back."""
    period = measure_period(take_samples(Device(load=constant(300))))
    times_s = np.arange(0.0, 2.0, 0.001)
    counted = np.where(times_s < 1.0, np.floor(times_s / 0.1), np.floor((times_s - 0.06) / 0.1))
    counted = np.maximum.accumulate(counted)
    ticks = locate_ticks(rows_from(times_s.tolist(), (30.0 * counted).tolist()), period)
    late_s = ticks.times_s[ticks.times_s > 1.0]
    assert late_s.tolist() == pytest.approx([1.06 + 0.1 * n for n in range(late_s.size)], abs=0.002)
    assert late_s.size == 10
