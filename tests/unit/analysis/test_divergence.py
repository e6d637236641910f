"""Divergence: told from the loss alone, and not from noise, short curves or other failures."""

from __future__ import annotations

import dataclasses
import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.divergence import MAX_RISE, MIN_STRETCH, STRETCH, has_diverged
from harness.core.records import RunRecord
from tests.unit.analysis.factory import make_record


def curved(losses: list[float]) -> RunRecord:
    return dataclasses.replace(make_record(), loss_curve=tuple((1000 * i, loss) for i, loss in enumerate(losses, 1)))


def falling(n: int, noise: float = 0.0) -> list[float]:
    rng = random.Random(0)
    return [2 + 3 * math.exp(-5 * i / n) + rng.gauss(0, noise) for i in range(n)]


def test_a_falling_curve_with_noise_has_not_diverged() -> None:
    assert has_diverged(curved(falling(200, noise=0.1))) is None


def test_a_spike_that_the_run_recovers_from_is_no_divergence() -> None:
    losses = falling(200)
    losses[100:105] = [6.0] * 5
    assert has_diverged(curved(losses)) is None


def test_a_run_that_ends_far_above_its_lowest_stretch_has_diverged() -> None:
    losses = falling(200)
    losses[150:] = [3.5] * 50
    assert "ended at 3.5" in (has_diverged(curved(losses)) or "")


def test_a_rise_within_a_tenth_is_none() -> None:
    losses = falling(200)
    losses[150:] = [losses[149] * 1.08] * 50
    assert has_diverged(curved(losses)) is None


def test_a_curve_too_short_to_average_tells_nothing() -> None:
    assert has_diverged(curved([3.0, 2.0, 2.0, 9.0, 9.0])) is None
    assert has_diverged(curved([])) is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_has_diverged(bad: float) -> None:
    assert has_diverged(curved([3.0, bad, 2.0])) == "its training loss is not finite"


def test_a_held_out_loss_that_is_not_finite_has_diverged() -> None:
    record = make_record()
    first = dataclasses.replace(record.quality[0], value=None, reason="the validation loss is not finite")
    assert has_diverged(dataclasses.replace(record, quality=(first, record.quality[1]))) == first.reason


def test_a_loss_far_above_guessing_has_diverged_however_short_the_curve() -> None:
    assert "guessing" in (has_diverged(make_record(loss=40.0)) or ""), "256 bytes alike are 8 bits per byte"
    assert has_diverged(make_record(loss=8.3)) is None, "training that was too short to learn is no divergence"


def test_a_failed_run_diverged_only_where_its_loss_was_the_reason() -> None:
    failed = dataclasses.replace(make_record(), status="failed", quality=(), path=None)
    nan = "the training loss is nan at step 40; lower train.learning_rate."
    assert has_diverged(dataclasses.replace(failed, error=nan)) == nan
    assert has_diverged(dataclasses.replace(failed, error="the worker was killed by SIGKILL")) is None
    assert has_diverged(dataclasses.replace(failed, error=None)) is None


@given(st.lists(st.floats(min_value=0.1, max_value=10), min_size=6, max_size=60))
def test_the_end_is_held_against_the_lowest_stretch_of_all(losses: list[float]) -> None:
    length = max(MIN_STRETCH, round(len(losses) * STRETCH))
    means = [statistics.fmean(losses[first : first + length]) for first in range(len(losses) - length + 1)]
    rose = means[-1] > min(means) * (1 + MAX_RISE)
    assert ("ended at" in (has_diverged(curved(losses)) or "")) == rose
