"""Prefill and decode against the whole generation: within their intervals, outside, or not to be told."""

from __future__ import annotations

import dataclasses

import pytest

from harness.analysis.inference.additivity import check_sums
from harness.analysis.inference.results import Additivity
from harness.core.records import WindowRecord
from tests.unit.analysis.inference.factory import make_model_record, sweep_windows


def check(whole: float, *, repetitions: int = 3, windows: list[WindowRecord] | None = None) -> Additivity:
    made = windows or sweep_windows(lambda b: (1.0, 0.1), batches=(4,), whole=whole, repetitions=repetitions)
    (found,) = check_sums(dataclasses.replace(make_model_record("dense"), windows=tuple(made)))
    return found


def test_parts_that_are_the_whole_pass_and_say_both() -> None:
    found = check(1.0)
    assert found.outcome == "pass"
    assert found.parts_j == pytest.approx(1.0)
    assert found.relative_gap == pytest.approx(0.0)
    assert "within their intervals" in found.text


def test_a_gap_beyond_what_edges_and_repetitions_leave_open_fails() -> None:
    # every window leaves 0.1% open; three repetitions and three windows leave 0.07% together
    assert check(1.0005).outcome == "pass"
    found = check(1.02)
    assert found.outcome == "fail"
    assert found.gap_j == pytest.approx(-0.02)
    assert "outside" in found.text


def test_spread_over_repetitions_counts_where_edges_are_silent() -> None:
    silent = [
        dataclasses.replace(
            window,
            energy=tuple(
                dataclasses.replace(r, uncertainty_j=None, energy_j=(r.energy_j or 0) * (1 + 0.01 * window.repetition))
                for r in window.energy
            ),
        )
        for window in sweep_windows(lambda b: (1.0, 0.1), batches=(4,), whole=1.01)
    ]
    assert check(1.0, windows=silent).outcome == "pass"


def test_one_repetition_without_edges_cannot_be_told() -> None:
    silent = [
        dataclasses.replace(w, energy=tuple(dataclasses.replace(r, uncertainty_j=None) for r in w.energy))
        for w in sweep_windows(lambda b: (1.0, 0.1), batches=(4,), repetitions=1)
    ]
    found = check(1.0, windows=silent)
    assert found.outcome == "unknown"
    assert "one repetition" in found.text


def test_a_missing_decode_is_unknown_not_zero() -> None:
    windows = [w for w in sweep_windows(lambda b: (1.0, 0.1), batches=(4,)) if w.phase != "decode"]
    found = check(1.0, windows=windows)
    assert (found.outcome, found.parts_j) == ("unknown", None)


def test_intervals_as_wide_as_the_whole_tell_nothing() -> None:
    noisy = [
        dataclasses.replace(
            w, energy=tuple(dataclasses.replace(r, energy_j=r.energy_j * (1 + w.repetition)) for r in w.energy)
        )  # type: ignore[operator]
        for w in sweep_windows(lambda b: (1.0, 0.1), batches=(4,), whole=1.5)
    ]
    found = check(1.5, windows=noisy)
    assert found.outcome == "unknown"
    assert "too wide to tell" in found.text


def test_sums_of_a_simulated_sensor_say_so() -> None:
    windows = sweep_windows(lambda b: (1.0, 0.1), batches=(4,))
    made_up = [
        dataclasses.replace(w, energy=tuple(dataclasses.replace(r, simulated=True) for r in w.energy)) for w in windows
    ]
    assert not check(1.0, windows=windows).simulated
    assert check(1.0, windows=made_up).simulated
