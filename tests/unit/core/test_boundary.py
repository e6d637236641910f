"""The headline boundary: chosen by kind of reading, and a sum that is worth no more than its worst window."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from harness.analysis.task_costs import measure_task
from harness.core.boundary import add_boundaries, select_boundary, sum_boundary
from harness.core.readings import EnergyReading, Grade
from tests.unit.analysis.factory import make_record, reading
from tests.unit.analysis.inference.factory import with_suite


def test_equal_kinds_are_chosen_alike_and_each_window_keeps_its_own_joules() -> None:
    first = (reading(1.0, "C", "cpu"), reading(2.0, "C", "dram"), reading(9.0, "C", "system"))
    second = tuple(dataclasses.replace(r, energy_j=10.0) for r in first)
    assert [r.energy_j for r in select_boundary(first)] == [1.0, 2.0]
    assert (sum_boundary(first).energy_j, sum_boundary(second).energy_j) == (3.0, 20.0)
    assert sum_boundary(first).domains == ("cpu", "dram")


def test_of_two_sensors_the_better_grade_counts_in_any_order() -> None:
    readings = (reading(1.0, "B"), reading(2.0, "A"), reading(4.0, "A", device_index=1))
    for order in itertools.permutations(readings):
        assert sum_boundary(order).energy_j == 6.0
        assert sum_boundary(order).grade == "A"


def test_an_unknown_part_and_a_simulated_one_are_told() -> None:
    unknown = sum_boundary((reading(1.0), reading(None, device_index=1, reason="the counter was reset")))
    assert (unknown.energy_j, unknown.net_energy_j, unknown.reason) == (None, None, "the counter was reset")
    assert sum_boundary((reading(1.0, simulated=True), reading(1.0, device_index=1))).grade == "D"
    assert sum_boundary(()).energy_j is None


@pytest.mark.parametrize(("grades", "worst"), [(("A", "A"), "A"), (("A", "C"), "C"), (("B", "A"), "B")])
def test_windows_add_up_to_the_worst_of_their_grades(grades: tuple[Grade, Grade], worst: Grade) -> None:
    parts = [sum_boundary((reading(joules, grade),)) for joules, grade in zip((1.0, 2.0), grades, strict=True)]
    whole = add_boundaries(parts)
    assert (whole.energy_j, whole.grade) == (3.0, worst)
    assert add_boundaries([*parts, sum_boundary(())]).energy_j is None
    assert add_boundaries([]).energy_j is None


def test_a_task_one_of_whose_windows_was_only_modelled_has_that_grade() -> None:
    """The better sensor of one window says nothing of another window: a task read by both is modelled in part."""
    record = with_suite(make_record("dense"), {"sorting": 1.0}, {"sorting": 0.5})

    def model(energy: EnergyReading) -> EnergyReading:
        return dataclasses.replace(energy, grade="C", method="modelled", sensor="codecarbon")

    windows = list(record.windows)
    place = max(place for place, w in enumerate(windows) if w.regime is not None and w.regime.kind == "sorting")
    windows[place] = dataclasses.replace(windows[place], energy=tuple(map(model, windows[place].energy)))
    mixed = dataclasses.replace(record, windows=tuple(windows))
    assert measure_task(record).grade == "A"
    assert measure_task(mixed).grade == measure_task(mixed, "sorting").grade == "C"
