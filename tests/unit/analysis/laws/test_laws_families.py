"""One irreducible loss or several: tested, never assumed; and studies become points arm by arm."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from harness.analysis.laws.diagnostics import diagnose_fit, list_warnings
from harness.analysis.laws.families import compare_irreducible_losses
from harness.analysis.laws.fit import fit_apart, fit_law
from harness.analysis.laws.points import LawPoints, points_from_frontier
from harness.analysis.points import build_points
from tests.unit.analysis.factory import make_records
from tests.unit.analysis.laws.synthetic import make_compute_points, make_points


def compare(first, second):
    return compare_irreducible_losses(fit_apart([first, second], resamples=400), resamples=400)


def test_a_shared_floor_is_not_rejected_and_its_difference_covers_zero():
    found = compare(
        make_points(120, family="dense", seed=1, noise=0.002),
        make_points(120, family="moe", seed=2, noise=0.002, factor=0.8),
    )
    (pair,) = found.pairs
    assert (pair.first, pair.second) == ("dense", "moe")
    assert pair.difference.interval.low < 0 < pair.difference.interval.high
    assert found.rejected is False
    assert found.objective_increase >= -1e-12
    assert found.fits[0].vector[0] == found.fits[1].vector[0]


def test_floors_that_differ_are_told_apart():
    found = compare(
        make_points(120, family="dense", seed=1, noise=0.002),
        make_points(120, family="moe", seed=2, noise=0.002, E=1.6),
    )
    (pair,) = found.pairs
    assert found.rejected is True
    assert pair.p_value < 0.05
    assert pair.difference.interval.low < 0.2172 < pair.difference.interval.high


def test_the_p_value_and_the_interval_say_the_same():
    for floor in (1.75, 1.78, 1.8, 1.81):
        found = compare(make_points(60, family="a", seed=3), make_points(60, family="b", seed=4, E=floor))
        interval = found.pairs[0].difference.interval
        assert (found.pairs[0].p_value < 0.05) == (not interval.low <= 0 <= interval.high)


def test_several_pairs_are_judged_by_holm():
    families = [make_compute_points(family=name, seed=i) for i, name in enumerate("abc")]
    fits = fit_apart(families, resamples=200)
    three = compare_irreducible_losses(fits, resamples=200)
    two = compare_irreducible_losses(fits[:2], resamples=200)
    assert len(three.pairs) == 3
    assert three.pairs[0].p_value >= two.pairs[0].p_value


def warnings_of(points):
    fit = fit_law(points, resamples=200)
    return " | ".join(list_warnings(fit, diagnose_fit(fit)))


def test_a_pure_power_law_says_that_its_floor_is_not_identified():
    assert "E is not identified: its interval reaches 0" in warnings_of(
        make_compute_points(irreducible=0.0, noise=0.01)
    )


def test_a_good_study_gives_no_warning():
    assert warnings_of(make_points(240, noise=0.002)) == ""


def test_few_sizes_and_lack_of_fit_are_warned_of():
    params, tokens = (axis.ravel() for axis in np.meshgrid([1e8, 2e8, 4e8], np.geomspace(1e9, 3e11, 6)))
    points = make_points(18, seeds=3, noise=0.001)
    kinked = 2 + 400 * params**-0.35 + 2000 * tokens**-0.36 + 0.05 * (tokens > 1e10)
    rng = np.random.default_rng(0)
    loss = np.repeat(kinked, 3) * np.exp(0.001 * rng.standard_normal(54))
    points = LawPoints(
        family=None, form=points.form, loss=loss, params=np.repeat(params, 3), tokens=np.repeat(tokens, 3)
    )
    said = warnings_of(points)
    assert "fewer distinct params (3) than parameters (5)" in said
    assert "lack of fit" in said


def test_pure_error_is_what_seeds_differ_by():
    diagnostics = diagnose_fit(fit_law(make_points(60, seeds=3, noise=0.003), resamples=20))
    assert diagnostics.lack_of_fit.seed_noise == pytest.approx(0.003, rel=0.2)
    assert diagnostics.lack_of_fit.p_value > 0.01
    single = diagnose_fit(fit_law(make_points(60), resamples=20))
    assert single.lack_of_fit.p_value is None
    assert "no configuration has repeated seeds" in single.lack_of_fit.reason


def frontier_points():
    points, _ = build_points(make_records(2.0, noise=lambda *_: 0.0))
    return points


def test_an_arm_with_few_sizes_gives_a_reason_instead_of_numbers():
    found = points_from_frontier(frontier_points())
    assert set(found) == {"dense", "moe"}
    assert all("at least 3 distinct sizes" in reason for reason in found.values())


def test_an_arm_with_enough_sizes_becomes_points_of_active_parameters():
    base = frontier_points()[0]
    points = [
        dataclasses.replace(
            base, size=f"s{i}", seed=seed, active_params=10**6 * 2**i, total_params=10**9, tokens=10**7 * 3**j
        )
        for seed in range(2)
        for i in range(3)
        for j in range(3)
    ]
    points = [dataclasses.replace(point, loss=3 - 0.1 * k) for k, point in enumerate(points)]
    (law,) = points_from_frontier(points).values()
    assert sorted(set(law.params)) == [1e6, 2e6, 4e6]
    assert law.flops is not None
    assert "active parameters" in law.notes[0]
    assert (law.num_configurations, law.num_units) == (9, 6)
    single = points_from_frontier([point for point in points if point.seed == 0])
    assert "at least 6 trunks, and there are 3" in single["dense"]


def test_unknown_active_parameters_are_said():
    points = [dataclasses.replace(point, active_params=None) for point in frontier_points()]
    assert "active parameters are unknown" in points_from_frontier(points)["dense"]
