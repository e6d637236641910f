"""Constants of a step are found again where they are known, and unknown with a reason where nothing tells them."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from harness.analysis.roofline.fit import fit_steps, list_constants
from harness.analysis.roofline.observations import group_workloads
from harness.analysis.roofline.observe import collect_observations, join_observed, observe
from harness.analysis.roofline.results import TERMS, ObservedBoundary, StepFit
from harness.core.records import RunRecord
from tests.unit.analysis.factory import reading
from tests.unit.analysis.roofline.factory import SWEEP, TRUTH, make_run, step_window


def fit(records: list[RunRecord], power_limit_w: float | None = None) -> StepFit:
    return fit_steps(collect_observations(records)[0], "dense", "decode", power_limit_w)


def test_known_constants_are_found_again_exactly() -> None:
    found = fit([make_run()])
    assert list_constants(found) == pytest.approx(TRUTH, rel=1e-9)
    assert found.rms == pytest.approx(0, abs=1e-9)
    assert found.held_out_rms == pytest.approx(0, abs=1e-9)
    assert found.own_ratio == pytest.approx(1)
    assert (found.num_observations, found.num_regimes, found.num_workloads) == (16, 8, 8)
    assert (found.word, found.mixed, found.reason) == ("measured", (), None)


def test_windows_observed_in_parts_are_those_of_the_whole_in_any_order() -> None:
    runs = [make_run(arm, seed=seed, noise=0.02) for arm in ("dense", "moe") for seed in (0, 1, 2)]
    odd = dataclasses.replace(runs[1].windows[0], regime=None)
    runs[1] = dataclasses.replace(runs[1], windows=(odd, *runs[1].windows[1:]))
    sweeps = [(2, 512), *SWEEP[:2]]
    runs.append(make_run(seed=7, sweep=sweeps))
    whole, left_out = collect_observations(runs)
    for cut in (0, 1, 4, len(runs)):
        for order in (runs, runs[::-1]):
            joined, also_left_out = join_observed([observe(order[:cut]), observe(order[cut:])])
            assert also_left_out == left_out
            for name in ("runs", "regimes", "boundaries"):
                assert getattr(joined, name) == getattr(whole, name)
            for name in ("run", "regime", "boundary", "phase", "joules", "seconds", "num_bytes", "flops"):
                assert getattr(joined, name).tolist() == getattr(whole, name).tolist()
    some, _ = join_observed([observe(runs)], {run.run_id for run in runs if run.arm == "moe"})
    other, _ = collect_observations([run for run in runs if run.arm == "moe"])
    assert (some.runs, some.regimes, some.joules.tolist()) == (other.runs, other.regimes, other.joules.tolist())
    nothing, reasons = join_observed([])
    assert (len(nothing), nothing.runs, reasons) == (0, (), [])


def test_prefill_and_decode_are_fitted_apart() -> None:
    other = (2.0, 40e-12, 9e-12)
    run = make_run()
    prefill = make_run(constants=other, phases=("prefill",)).windows
    run = dataclasses.replace(run, windows=(*run.windows_of("decode"), *prefill))
    observations, _ = collect_observations([run])
    assert list_constants(fit_steps(observations, "dense", "decode")) == pytest.approx(TRUTH, rel=1e-9)
    assert list_constants(fit_steps(observations, "dense", "prefill")) == pytest.approx(other, rel=1e-9)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = dict.fromkeys(TERMS, 0)
    num = 200
    for draw in range(num):
        found = fit([make_run(seed=seed, noise=0.02, draw=draw, phases=("decode",)) for seed in (0, 1, 2)])
        assert found.constants is not None
        assert 0.01 < (found.rms or 0) < 0.03
        for term, truth in zip(TERMS, TRUTH, strict=True):
            interval = found.constants[term].interval
            assert interval is not None
            covered[term] += interval.low <= truth <= interval.high
    assert all(0.90 <= count / num <= 0.995 for count in covered.values()), covered


def test_held_out_error_is_that_of_workloads_not_seen() -> None:
    # one regime costs half as much again: the fit bends towards it, and a fit without it is off by a third there
    odd = [
        dataclasses.replace(w, energy=tuple(dataclasses.replace(e, energy_j=1.5 * (e.energy_j or 0)) for e in w.energy))
        if w.regime is not None and w.regime.batch_size == 8
        else w
        for w in make_run().windows
    ]
    found = fit([dataclasses.replace(make_run(), windows=tuple(odd))])
    assert found.rms is not None
    assert found.held_out_rms is not None
    assert found.held_out_rms > found.rms > 0.02


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_constant_of_zero_is_at_the_bound_and_named(place: int) -> None:
    truth = tuple(0.0 if at == place else value for at, value in enumerate(TRUTH))
    found = fit([make_run(constants=truth)])
    assert found.constants is not None
    assert [term for term in TERMS if found.constants[term].at_bound] == [TERMS[place]]
    assert found.constants[TERMS[place]].value == 0.0
    assert list_constants(found) == pytest.approx(truth, rel=1e-6, abs=1e-18)


def test_an_interval_of_a_constant_at_the_bound_is_not_a_point() -> None:
    found = fit([make_run(constants=(0.0, *TRUTH[1:]), noise=0.02, seed=seed) for seed in range(4)])
    assert found.constants is not None
    interval = found.constants["j_per_step"].interval
    assert interval is not None
    assert interval.low == 0.0 < interval.high


def test_bytes_that_go_with_flops_are_named_as_not_told_apart() -> None:
    # one context: bytes are weights and a multiple of FLOPs, so that step, byte and FLOP have one combination too many
    line = [(batch, 128) for batch in (1, 2, 4, 8, 16, 32)]
    found = fit([make_run(sweep=line, noise=0.01)])
    assert found.correlation == pytest.approx(1)
    assert found.condition is None or found.condition > 1e6
    assert {"j_per_step", "j_per_byte"} <= set(found.mixed)
    assert found.constants is not None
    assert all(c.interval is None and c.reason == "not told apart" for c in found.constants.values())
    assert found.held_out_rms is not None
    assert found.held_out_rms < 0.05


def test_too_few_workloads_give_no_constants_and_a_reason() -> None:
    found = fit([make_run(sweep=SWEEP[:3])])
    assert (found.constants, found.rms, found.held_out_rms) == (None, None, None)
    assert "3 regimes" in str(found.reason)
    assert fit([]).reason == "no window has all that a fit needs"
    assert fit([make_run(sweep=SWEEP[:4])]).constants is not None


def test_kinds_of_the_same_work_are_one_workload() -> None:
    run = make_run(sweep=SWEEP[:3])
    twins = [
        dataclasses.replace(w, regime=dataclasses.replace(w.regime, kind=kind))
        for w in run.windows
        for kind in ("a", "b", "c")
        if w.regime is not None
    ]
    found = fit([dataclasses.replace(run, windows=tuple(twins))])
    assert (found.num_regimes, found.num_workloads, found.constants) == (9, 3, None)


def test_energy_of_different_devices_is_not_fitted_together() -> None:
    run, other = make_run(), make_run(seed=1)
    cpu = tuple(dataclasses.replace(w, energy=(reading(1.0, domain="cpu"),)) for w in other.windows)
    found = fit([run, dataclasses.replace(other, windows=cpu)])
    assert found.constants is None
    assert "covers other devices" in str(found.reason)


def test_the_power_limit_caps_what_is_predicted_and_is_counted() -> None:
    observations, _ = collect_observations([make_run()])
    free = fit_steps(observations, "dense", "decode")
    limit = 100.0  # of 0.01 s: 1 J
    above = int((observations.of("dense", "decode").joules > 1.0).sum())
    assert 0 < above < 16
    capped = fit_steps(observations, "dense", "decode", limit)
    assert (free.num_capped, capped.num_capped) == (0, above)
    assert list_constants(capped) == list_constants(free)
    assert (capped.rms or 0) > 0.1


def _without(**work: Any) -> RunRecord:
    run = make_run(phases=("decode",))
    return dataclasses.replace(run, windows=(*run.windows, step_window(2, 256, 1.0, **work)))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (_without(num_bytes=None), "the bytes of the window are unknown"),
        (_without(flops=None), "the FLOPs of the window are unknown"),
        (_without(num_steps=None), "the window does not count its steps"),
        (_without(num_steps=0), "steps, energy, time, bytes or FLOPs of the window are not above 0"),
    ],
)
def test_a_window_that_lacks_something_is_counted_with_its_reason(record: RunRecord, reason: str) -> None:
    observations, left_out = collect_observations([record])
    assert len(observations) == 16
    assert [(one.reason, one.num_windows, one.arm, one.phase) for one in left_out] == [(reason, 1, "dense", "decode")]


def test_windows_without_regime_work_or_energy_are_counted_too() -> None:
    whole = step_window(2, 256, 1.0)
    odd = (
        dataclasses.replace(whole, regime=None),
        dataclasses.replace(whole, work=None),
        dataclasses.replace(whole, energy=()),
        dataclasses.replace(whole, energy=(reading(None, reason="the counter was reset"),)),
        whole,
    )
    observations, left_out = collect_observations([_with(odd)])
    assert len(observations) == 1
    assert {one.reason for one in left_out} == {
        "the window names no regime",
        "the window holds no work",
        "the energy is unknown",
        "the counter was reset",
    }
    failed, nothing = collect_observations([dataclasses.replace(_with(odd), status="failed")])
    assert (len(failed), nothing) == (0, [])


def _with(windows: tuple[Any, ...]) -> RunRecord:
    return dataclasses.replace(make_run(), windows=windows)


def test_steps_are_those_of_the_window_and_energy_is_gross() -> None:
    found, _ = collect_observations([_with((step_window(2, 256, 1.25, seconds=0.02),))])
    assert (found.joules.tolist(), found.seconds.tolist()) == ([pytest.approx(1.25)], [pytest.approx(0.02)])
    assert found.list_boundaries() == [ObservedBoundary(("gpu",), "A", False, 1)]
    assert (found.num_gpus().tolist(), [run.arm for run in found.list_runs()]) == ([1], ["dense"])


def test_the_order_of_windows_does_not_move_a_digit() -> None:
    runs = [make_run(seed=seed, noise=0.05) for seed in range(3)]
    mixed = [dataclasses.replace(run, windows=tuple(reversed(run.windows))) for run in reversed(runs)]
    observations, _ = collect_observations(runs)
    places = list(range(len(observations)))
    random.Random(1).shuffle(places)
    assert [len(group) for group in group_workloads(observations.take(places))] == [12] * 8
    assert list_constants(fit(mixed)) == pytest.approx(list_constants(fit(runs)), rel=1e-12)
    assert fit(runs) == fit(list(reversed(runs)))
