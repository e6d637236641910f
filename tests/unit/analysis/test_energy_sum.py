"""Sums of readings: every joule once, the worst grade of the parts, and unknown as soon as a part is."""

from __future__ import annotations

from harness.analysis.energy_sum import add_sums, sum_all, sum_domain
from tests.unit.exports.factory import modelled, reading


def test_of_two_sensors_of_one_device_the_better_grade_counts() -> None:
    worse = reading(90.0, "cpu", sensor="codecarbon", grade="C")
    better = reading(100.0, "cpu", sensor="rapl")
    for readings in ((worse, better), (better, worse)):
        assert sum_domain(readings, "cpu").energy_j == 100.0
        assert sum_domain(readings, "cpu").word == "measured"


def test_a_wall_meter_contains_the_parts_and_is_not_added_to_them() -> None:
    wall = reading(500.0, "system", sensor="external", grade="B")
    assert sum_all((reading(300.0), wall)).energy_j == 300.0
    assert sum_all((modelled(40.0), wall)).energy_j == 500.0


def test_a_sum_of_windows_carries_the_worst_grade_and_every_sensor() -> None:
    total = add_sums((sum_all((reading(300.0),)), sum_all((modelled(40.0),))))
    assert (total.energy_j, total.grade, total.word) == (340.0, "C", "modelled")
    assert total.sensors == ("codecarbon cpu", "nvml gpu")


def test_an_unknown_part_makes_the_sum_unknown_and_net_is_unknown_on_its_own() -> None:
    lost = reading(None, reason="the counter stood still")
    total = add_sums((sum_all((reading(300.0),)), sum_all((lost,))))
    assert (total.energy_j, total.word) == (None, "unknown")
    assert total.reason == "nvml gpu 0: the counter stood still"
    without_idle = sum_all((reading(300.0), modelled(40.0)))
    assert (without_idle.energy_j, without_idle.net_energy_j) == (340.0, None)


def test_nothing_read_is_unknown_and_not_zero() -> None:
    assert (sum_all(()).energy_j, sum_all(()).reason) == (None, "no sensor was read")
    assert (add_sums(()).energy_j, add_sums(()).reason) == (None, "no window")


def test_simulated_energy_is_called_so_whatever_its_grade() -> None:
    total = sum_all((reading(300.0, simulated=True),))
    assert (total.grade, total.word) == ("D", "simulated")
