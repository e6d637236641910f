"""From records to costs at a loss: the boundary of energy, the envelope, and no extrapolation."""

from __future__ import annotations

import dataclasses
import math

import pytest

from harness.analysis.boundary import select_boundary, sum_boundary
from harness.analysis.frontier import Frontier, is_at_edge, order_ladder
from harness.analysis.points import build_points
from tests.unit.analysis.factory import BUDGETS, make_record, make_records, reading, true_loss


def points_of(*records):
    points, excluded = build_points(records)
    assert not excluded
    return points


def test_on_a_gpu_machine_the_boundary_is_the_accelerator_alone():
    readings = [reading(5.0, domain="gpu"), reading(7.0, domain="cpu"), reading(1.0, "C", domain="dram")]
    energy = sum_boundary(readings)
    assert (energy.energy_j, energy.domains, energy.grade) == (5.0, ("gpu",), "A")


def test_without_a_gpu_cpu_and_dram_add_up_and_carry_the_worse_grade():
    energy = sum_boundary([reading(7.0, "A", "cpu"), reading(1.0, "C", "dram")])
    assert (energy.energy_j, energy.domains, energy.grade) == (8.0, ("cpu", "dram"), "C")


def test_one_unknown_part_makes_the_sum_unknown_and_never_smaller():
    assert sum_boundary([reading(7.0, "A", "cpu"), reading(None, "A", "dram", reason="lost")]).energy_j is None


def test_of_two_sensors_of_one_device_only_the_better_counts():
    chosen = select_boundary([reading(9.0, "C", "cpu"), reading(7.0, "A", "cpu")])
    assert [r.energy_j for r in chosen] == [7.0]


def test_a_measured_system_counts_only_where_its_parts_are_modelled():
    meter = reading(60.0, "B", "system", method="sampled")
    model = [reading(7.0, "C", "cpu", method="modelled"), reading(1.0, "C", "dram", method="modelled")]
    assert select_boundary([*model, meter]) == (meter,)
    rapl = reading(8.0, "A", "cpu", method="counter")
    assert select_boundary([rapl, model[1], meter]) == (rapl, model[1])
    modelled_system = reading(60.0, "C", "system", method="modelled")
    assert select_boundary([*model, modelled_system]) == tuple(model)
    assert select_boundary([meter]) == (meter,)


def test_simulated_readings_are_named_and_never_count_as_hardware():
    energy = sum_boundary([reading(7.0, "A", simulated=True)])
    assert (energy.simulated, energy.grade) == (True, "D")
    (point,) = points_of(
        dataclasses.replace(
            make_record(), path=dataclasses.replace(make_record().path, energy=(reading(1.0, simulated=True),))
        )
    )
    assert point.simulated


def test_failed_runs_and_runs_without_a_loss_are_left_out_with_their_reason_and_trunks_silently():
    failed = make_record(run_id="a", status="failed", error="out of memory", path=None)
    no_loss = dataclasses.replace(
        make_record(run_id="b"), quality=(dataclasses.replace(make_record().quality[0], value=None, reason="diverged"),)
    )
    no_path = make_record(run_id="c", path=None)
    points, excluded = build_points([failed, no_loss, no_path, make_record(run_id="d", role="trunk")])
    assert not points
    reasons = dict(excluded)
    assert set(reasons) == {"a", "b", "c"}
    assert "out of memory" in reasons["a"]
    assert "diverged" in reasons["b"]


def test_between_budgets_log_cost_is_linear_in_loss_and_beyond_them_there_is_none():
    frontier = Frontier(points_of(make_record(flops=1e12, loss=3.0), make_record(flops=4e12, loss=2.0)))
    assert frontier.cost_at(2.5, "flops").cost == pytest.approx(2e12)
    assert frontier.cost_at(3.0, "flops").cost == pytest.approx(1e12)
    assert frontier.cost_at(2.0, "flops").cost == pytest.approx(4e12)
    assert frontier.cost_at(1.99, "flops") is None
    assert frontier.cost_at(3.01, "flops") is None


def test_a_budget_that_did_worse_than_a_cheaper_one_is_passed_over():
    frontier = Frontier(
        points_of(
            make_record(flops=1e12, loss=3.0), make_record(flops=2e12, loss=3.2), make_record(flops=4e12, loss=2.0)
        )
    )
    assert frontier.cost_at(2.5, "flops").cost == pytest.approx(2e12)


def test_budgets_of_different_sizes_are_never_joined_and_the_cheapest_size_counts():
    frontier = Frontier(
        points_of(
            make_record(size="s", flops=1e12, loss=3.0),
            make_record(size="s", flops=4e12, loss=2.0),
            make_record(size="m", flops=1e12, loss=2.9),
            make_record(size="m", flops=3e12, loss=2.0),
        )
    )
    assert frontier.cost_at(2.0, "flops").size == "m"
    assert frontier.cost_at(2.95, "flops").size == "s"
    apart = Frontier(points_of(make_record(size="s", loss=3.0), make_record(size="m", flops=4e12, loss=2.0)))
    assert apart.cost_at(2.5, "flops") is None


def test_interpolation_is_off_by_little_where_budgets_double():
    frontier = Frontier(points_of(*(make_record(flops=flops) for flops in BUDGETS)))
    for flops in (1.4e12, 2.8e12, 5.6e12):
        assert frontier.cost_at(true_loss(flops), "flops").cost == pytest.approx(flops, rel=0.02)


def test_peak_memory_is_read_off_where_flops_are_cheapest():
    records = [make_record("moe", flops=flops) for flops in BUDGETS]
    assert Frontier(points_of(*records)).cost_at(true_loss(3e12), "peak_memory").cost == pytest.approx(2e6)


def test_an_end_of_the_ladder_or_a_short_ladder_is_an_edge():
    records = [make_record(size=size, active=n) for size, n in (("l", 9), ("s", 1), ("m", 4))]
    ladder = order_ladder(points_of(*records), "dense")
    assert ladder == ("s", "m", "l")
    assert not is_at_edge(ladder, ["m", "m"])
    assert is_at_edge(ladder, ["m", "l"])
    assert is_at_edge(ladder[:2], ["m"])


def test_a_point_carries_the_whole_path():
    (point,) = points_of(make_records(seeds=(4,), budgets={"moe": [1e12]})[0])
    assert (point.flops, point.seed, point.energy_grade) == (1e12, 4, "A")
    assert point.energy_j == pytest.approx(10.0)
    assert math.isclose(point.net_energy_j, 8.0)
