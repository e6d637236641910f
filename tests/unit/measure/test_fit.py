"""Fits over simulated traces: what a calibration finds is what the simulated GPU was given, and else nothing."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from harness.measure.fit import TraceFit, fit_trace
from harness.measure.loadplan import FULL_PLAN, QUICK_PLAN, lay_out
from harness.measure.response import find_updates, fit_response
from harness.measure.trace import BusyTime, Switch
from harness.sensors.profile import Fit, SignalFit
from tests.unit.measure.calibrated import READ_S, Gpu, Shown, play

SECOND_MEAN = Shown(0.1, 1.0, phase_s=0.021)
GENERATIONS = {
    "h100": Gpu({"instant": Shown(0.1, 0.025), "average": SECOND_MEAN, "usage": SECOND_MEAN}),
    "a100": Gpu({"instant": Shown(0.1, 0.025), "average": SECOND_MEAN, "usage": Shown(0.1, 0.025)}),
    "v100": Gpu({"usage": Shown(0.02, 0.01)}, counter_s=0.02),
    "turing": Gpu({"usage": Shown(0.1, 0.1)}),
    "delayed": Gpu({"instant": Shown(0.1, 0.05, delay_s=0.03), "usage": Shown(0.06, 0.3, delay_s=0.08)}),
}
# Nothing is known more finely than the reads; a fit may be off by its own half-width and one read more.
FLOOR_S = READ_S


def close(fit: Fit, truth: float, floor: float) -> bool:
    return fit.value is not None and fit.half is not None and abs(fit.value - truth) <= fit.half + floor


def signal(fit: TraceFit, name: str) -> SignalFit:
    return next(s for s in fit.signals if s.name == name)


@pytest.mark.parametrize("name", GENERATIONS)
def test_timing_of_every_generation_is_found(name: str) -> None:
    gpu = GENERATIONS[name]
    fit = fit_trace(*play(gpu))
    assert [s.name for s in fit.signals] == [n for n in ("instant", "average", "usage") if n in gpu.signals]
    assert close(fit.counter_period_s, gpu.counter_s, 1e-4 * gpu.counter_s)
    assert fit.counter_jitter_s.value is not None
    assert fit.counter_jitter_s.value < READ_S
    for found in fit.signals:
        true = gpu.signals[found.name]
        assert close(found.period_s, true.period_s, 2e-4 * true.period_s)
        assert close(found.window_s, true.window_s, FLOOR_S)
        assert close(found.delay_s, true.delay_s, FLOOR_S)
        assert close(found.lag_s, true.delay_s + (true.window_s + true.period_s) / 2, FLOOR_S)
        assert found.window_s.half is not None
        assert found.window_s.half < max(0.2 * true.window_s, 3 * READ_S)
        assert close(found.agreement["steady"], 1.0, 1e-4)
        assert close(found.agreement["1 Hz"], 1.0, 1e-3)


def test_noise_jitter_and_a_stalled_reader_widen_the_intervals_and_move_nothing() -> None:
    clean = Gpu({"instant": Shown(0.1, 0.025, 0.03), "average": SECOND_MEAN})
    noisy = dataclasses.replace(
        clean,
        signals={
            "instant": Shown(0.1, 0.025, 0.03, noise_w=5.0),
            "average": dataclasses.replace(SECOND_MEAN, noise_w=1.0),
        },
        jitter_s=0.004,
        stalls=((7.3, 0.05), (12.0, 0.15), (20.0, 0.27), (21.0, 0.03), (22.1, 0.08)),
    )
    calm, fit = fit_trace(*play(clean)), fit_trace(*play(noisy))
    for name, truth_s in (("instant", 0.025), ("average", 1.0)):
        found, sure = signal(fit, name).window_s, signal(calm, name).window_s
        assert close(found, truth_s, FLOOR_S)
        assert found.half is not None
        assert sure.half is not None
        assert found.half > sure.half
    # two ticks stray by up to twice the jitter of each
    assert fit.counter_jitter_s.value == pytest.approx(0.006, abs=0.0025)
    assert close(fit.counter_period_s, 0.1, 2e-5)


def test_a_gain_between_counter_and_power_shows_and_so_does_idle_drift() -> None:
    gpu = Gpu({"usage": Shown(0.1, 0.1, gain=0.95)}, drift_w=8.0)
    fit = fit_trace(*play(gpu))
    assert close(signal(fit, "usage").agreement["steady"], 1 / 0.95, 1e-3)
    assert close(fit.idle_w, gpu.idle_w, 0.05)
    assert close(fit.idle_drift_w, 8.0, 0.05)


def test_a_load_in_step_with_a_blind_signal_shows_as_disagreement_and_a_mean_is_not_fooled() -> None:
    agreement = {s.name: s.agreement for s in fit_trace(*play(GENERATIONS["h100"])).signals}
    fooled = [agreement["instant"][load].value or 1.0 for load in ("10 Hz", "10 Hz shifted")]
    assert max(abs(ratio - 1) for ratio in fooled) > 0.3
    for load in ("10 Hz", "10 Hz shifted"):
        assert close(agreement["average"][load], 1.0, 2e-3)


def test_without_a_counter_timing_is_found_and_agreement_has_its_reason() -> None:
    fit = fit_trace(*play(Gpu({"usage": Shown(0.02, 0.01)}, counter_s=0)))
    found = signal(fit, "usage")
    assert close(found.window_s, 0.01, FLOOR_S)
    assert close(fit.idle_w, 90.0, 0.01)
    for unknown in (fit.counter_period_s, fit.counter_jitter_s, *found.agreement.values()):
        assert unknown.value is None
        assert unknown.reason is not None
        assert "no energy counter" in unknown.reason


def test_a_signal_that_does_not_follow_the_load_has_no_window() -> None:
    """Noise alone has a rhythm, and a constant has nothing."""
    trace, phases, switches = play(Gpu({"usage": Shown(0.1, 0.1, gain=0.0, noise_w=5.0)}))
    found = signal(fit_trace(trace, phases, switches), "usage")
    assert close(found.period_s, 0.1, 1e-4)
    assert found.window_s.value is found.delay_s.value is found.lag_s.value is None
    assert "explains" in (found.window_s.reason or "")
    assert found.agreement["1 Hz"].value is None
    trace["usage_w"] = 55.0
    stuck = signal(fit_trace(trace, phases, switches), "usage")
    assert stuck.period_s.value is stuck.window_s.value is None
    assert "changed 0 times" in (stuck.period_s.reason or "")


def test_a_smooth_response_is_not_called_a_window() -> None:
    """A signal that creeps up over ten seconds is no mean over at most 2.5 s."""
    trace, phases, switches = play(Gpu({"usage": Shown(0.1, 10.0)}))
    found = signal(fit_trace(trace, phases, switches), "usage")
    assert found.window_s.value is None
    assert found.window_s.reason


def test_changes_at_every_read_or_without_rhythm_give_no_period() -> None:
    chance = np.random.default_rng(3)
    times_s = np.arange(0, 5, READ_S)
    fast, updates = find_updates(times_s, chance.normal(100, 1, times_s.size))
    assert fast.value is updates is None
    assert "every read" in (fast.reason or "")
    places = np.cumsum(chance.uniform(0.02, 0.3, 40))
    erratic, updates = find_updates(times_s, np.searchsorted(places, times_s).astype(float))
    assert erratic.value is updates is None
    assert "rhythm" in (erratic.reason or "")


def test_a_load_that_never_switched_tells_nothing_of_a_window() -> None:
    trace, _, _ = play(GENERATIONS["turing"])
    _, updates = find_updates(trace["time_s"], trace["usage_w"])
    assert updates is not None
    response = fit_response(updates, BusyTime([Switch(0.0, busy=True)]))
    assert response.window_s.value is None
    assert response.window_s.reason


def test_missing_phases_leave_their_results_unknown() -> None:
    trace, phases, switches = play(GENERATIONS["turing"])
    fit = fit_trace(trace, [phase for phase in phases if phase.name in ("1 Hz", "probe")], switches)
    assert close(signal(fit, "usage").window_s, 0.1, FLOOR_S)
    assert fit.idle_w.value is fit.idle_drift_w.value is None
    assert signal(fit, "usage").agreement["steady"].reason == "this load was not played"


def test_plans_keep_their_promise_of_time_and_are_gapless() -> None:
    assert QUICK_PLAN.duration_s <= 25
    assert FULL_PLAN.duration_s <= 120
    laid = lay_out(QUICK_PLAN, 3.0)
    assert laid[-1][0].end_s == pytest.approx(3.0 + QUICK_PLAN.duration_s, abs=0.1)
    for (phase, steps), (following, _) in itertools.pairwise(laid):
        assert phase.end_s == following.begin_s
        assert sum(step.duration_s for step in steps) == pytest.approx(phase.end_s - phase.begin_s)


def test_busy_time_counts_what_lies_between_switches() -> None:
    busy = BusyTime([Switch(1.0, busy=True), Switch(2.0, busy=False), Switch(4.0, busy=True)])
    assert busy.before_s(np.array([0.5, 1.5, 3.0, 5.0])).tolist() == pytest.approx([0.0, 0.5, 1.0, 2.0])
    assert busy.share(np.array([2.5]), 1.0).tolist() == pytest.approx([0.5])
