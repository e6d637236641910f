"""The routing table tells of training where records do, and says so where one does not."""

from __future__ import annotations

import dataclasses

from harness.report.sections.expert_load import routing_section
from tests.unit.report.factory import make_record


def headings(records):
    (figure,) = routing_section(records).figures
    return [column.title for column in figure.table.columns], figure


def test_training_has_columns_of_its_own_once_a_record_counted_it():
    old = make_record("moe", "s", 0, 1_000_000)
    assert "Dead in training" not in headings([old])[0]
    routing = dataclasses.replace(old.routing, num_dead_experts=3)
    new = dataclasses.replace(old, run_id="newer", training_routing=routing)
    names, figure = headings([old, new])
    assert names[-2:] == ["Max violation in training", "Dead in training"]
    cells = {row[0]: str(row[-1]) for row in figure.table.rows}
    assert ">3<" in cells["newer"]
    assert "loads of training were not counted" in cells[old.run_id]
