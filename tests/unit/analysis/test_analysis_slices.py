"""Slices of equal budget: an interior minimum is found, an edge is called an edge."""

from __future__ import annotations

import math

import pytest

from harness.analysis.points import build_points
from harness.analysis.slices import cut_slices
from tests.unit.analysis.factory import make_record

SIZES = {"s": 1e6, "m": 2e6, "l": 4e6}


def slices_of(loss, sizes=SIZES, budgets=(1e12,), jitter=1.0):
    records = [
        make_record(size=size, seed=seed, flops=flops * (jitter if size == "m" else 1.0), loss=loss(params, flops),
                    active=int(params))
        for flops in budgets
        for size, params in sizes.items()
        for seed in (0, 1)
    ]  # fmt: skip
    return cut_slices(build_points(records)[0], ("dense", "moe"))


def parabola(best):
    return lambda params, flops: 2.0 + 0.1 * math.log(params / best) ** 2


def test_an_interior_minimum_is_where_the_parabola_has_it():
    (found,) = slices_of(parabola(2.3e6))
    assert (found.place, found.best_size) == ("interior", "m")
    assert found.optimum_params == pytest.approx(2.3e6)
    assert found.optimum_loss == pytest.approx(2.0)
    assert len(found.run_ids) == 6


@pytest.mark.parametrize(("best", "place"), [(0.5e6, "lower edge"), (9e6, "upper edge")])
def test_a_best_size_at_the_end_of_the_ladder_is_an_edge_without_an_optimum(best, place):
    (found,) = slices_of(parabola(best))
    assert (found.place, found.optimum_params, found.optimum_loss) == (place, None, None)


def test_two_sizes_are_too_few_and_one_makes_no_slice():
    (found,) = slices_of(parabola(1e6), {"s": 1e6, "m": 2e6})
    assert found.place == "too few sizes"
    assert slices_of(parabola(1e6), {"s": 1e6}) == ()


def test_budgets_rounded_to_whole_steps_are_one_slice_and_others_are_not():
    assert len(slices_of(parabola(2e6), jitter=1.01)) == 1
    assert [s.budget_flops for s in slices_of(parabola(2e6), budgets=(1e12, 2e12))] == pytest.approx([1e12, 2e12])


def test_sizes_without_parameters_have_no_order_and_no_nan():
    records = [
        make_record(size=size, loss=loss, params=None, run_id=f"r-{size}")
        for size, loss in (("s", 2.1), ("m", 2.0), ("l", 2.2))
    ]
    (piece,) = cut_slices(build_points(records)[0], ["dense"])
    assert piece.place == "unknown order"
    assert piece.best_size == "m"
    assert [params for _, params, _ in piece.sizes] == [None, None, None]
    assert piece.optimum_params is None
