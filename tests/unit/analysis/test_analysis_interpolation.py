"""Between budgets: an exponential is followed exactly, its decay is found, and too little data falls back to chords."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.analysis.frontier import Frontier
from harness.analysis.interpolation import estimate_decay, invert_share, share_at
from harness.analysis.points import build_points
from tests.unit.analysis.factory import BUDGETS, make_record


def points_on(law, budgets=BUDGETS, seeds=(0, 1, 2), sizes=("s", "m"), noise=lambda: 0.0):
    records = [
        make_record(arm, size=size, seed=seed, flops=flops, loss=law(flops, size) + noise())
        for arm in ("dense", "moe")
        for size in sizes
        for seed in seeds
        for flops in budgets
    ]
    return build_points(records)[0]


def power_law(decay):
    return lambda flops, size: {"s": 2.0, "m": 1.8}[size] + (flops / 1e12) ** -decay


@pytest.mark.parametrize("decay", [0.05, 0.3, 0.8])
def test_the_decay_of_a_power_law_is_found_and_its_losses_are_interpolated_exactly(decay):
    law = power_law(decay)
    points = points_on(law)
    found = estimate_decay(points, ("dense", "moe"))
    assert found == pytest.approx(decay, abs=1e-3)
    frontier = Frontier([p for p in points if (p.arm, p.seed, p.size) == ("dense", 0, "s")], found)
    for flops in (1.2e12, 1.7e12, 3.1e12, 7.9e12):
        assert frontier.cost_at(law(flops, "s"), "flops").cost == pytest.approx(flops, rel=1e-3)
        assert frontier.loss_at(flops, "flops").loss == pytest.approx(law(flops, "s"), abs=1e-4)


def test_a_chord_would_ask_for_too_much_cost():
    law = power_law(0.3)
    points = [p for p in points_on(law) if (p.arm, p.seed, p.size) == ("dense", 0, "s")]
    excess = Frontier(points).cost_at(law(1.4e12, "s"), "flops").cost / 1.4e12 - 1
    assert 0.005 < excess < 0.02


def test_too_few_budgets_give_chords_whatever_the_noise_says():
    rng = np.random.default_rng(1)
    points = points_on(power_law(0.5), BUDGETS[:2], noise=lambda: 0.01 * rng.standard_normal())
    assert estimate_decay(points, ("dense", "moe")) == 0.0
    one_curve = [p for p in points_on(power_law(0.5), BUDGETS[:3]) if (p.arm, p.size) == ("dense", "s")]
    assert estimate_decay(one_curve, ("dense", "moe")) == 0.0


def test_cells_that_lack_a_seed_do_not_bend_the_mean_curve():
    points = points_on(power_law(0.3), seeds=(0, 1))
    lucky = [p for p in points if not (p.seed == 1 and p.flops == BUDGETS[1])]
    shifted = [p if p.seed == 0 else p.__class__(**{**_fields(p), "loss": p.loss + 0.3}) for p in lucky]
    assert estimate_decay(shifted, ("dense", "moe")) == pytest.approx(0.3, abs=1e-3)


def _fields(point):
    return {name: getattr(point, name) for name in point.__dataclass_fields__}


@pytest.mark.parametrize("decay", [0.0, 1e-9, 0.2, 1.0])
@pytest.mark.parametrize("width", [0.1, math.log(2), 3.0])
def test_share_and_position_are_inverses_and_keep_their_ends(decay, width):
    for share in (0.0, 0.25, 0.5, 0.9, 1.0):
        position = invert_share(share, width, decay)
        assert -1e-12 <= position <= width * (1 + 1e-9)
        assert share_at(position, width, decay) == pytest.approx(share, abs=1e-9)


def test_loss_at_a_cost_is_not_extrapolated_and_memory_is_refused():
    frontier = Frontier(points_on(power_law(0.3), seeds=(0,), sizes=("s",)), 0.3)
    assert frontier.loss_at(BUDGETS[0] * 0.99, "flops") is None
    assert frontier.loss_at(BUDGETS[-1] * 1.01, "flops") is None
    with pytest.raises(ValueError, match="memory"):
        frontier.loss_at(1e6, "peak_memory")
