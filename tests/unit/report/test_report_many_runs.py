"""Sections of thousands of runs stay short, say how many they leave out, and read one power trace."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from harness.core.readings import Finding
from harness.report.sections.environment import sources_section
from harness.report.sections.findings import MAX_TEXTS, findings_section
from harness.report.sections.power import trace_section
from harness.report.sections.run_lists import MAX_NAMED, list_runs


def test_a_few_runs_are_all_named_and_of_many_the_first_and_their_number() -> None:
    few = [f"run-{i:03d}" for i in range(MAX_NAMED)]
    assert list_runs(few[:1]) == few[0]
    assert all(run in list_runs(few) for run in few)
    many = [f"run-{i:03d}" for i in range(100)]
    shown = str(list_runs(many, [*many, "other"]))
    assert f"{100 - MAX_NAMED} more" in shown
    assert "100 runs" in shown
    assert many[MAX_NAMED - 1] in shown
    assert many[MAX_NAMED] not in shown
    assert list_runs(many, many) == "all 100 runs"


def test_run_ids_are_data() -> None:
    shown = str(list_runs([f"<b>{i}</b>" for i in range(100)]))
    assert "<b>" not in shown
    assert "&lt;b&gt;0" in shown


def test_one_environment_of_all_runs_is_one_row_that_says_so(factory: ModuleType) -> None:
    records = factory.make_records()
    environments = next(table for table in sources_section(records).tables if table.id == "environments")
    assert len(environments.rows) == len({repr(r.environment) for r in records if r.environment is not None})
    assert sum(1 for r in records if r.environment is not None) > MAX_NAMED
    assert str(environments.rows[0][-1]).startswith("all ")


def test_texts_with_a_figure_of_their_run_share_a_row_beyond_the_first(factory: ModuleType) -> None:
    records = factory.make_records()
    num = MAX_TEXTS + 5
    assert len(records) >= num
    records = [
        dataclasses.replace(r, findings=(Finding(code="device_shared", severity="warning", text=f"{i} others"),))
        for i, r in enumerate(records[:num])
    ]
    match = dataclasses.replace(factory.make_match(records), findings=())
    table = next(t for t in findings_section(records, match, (), None).tables if t.id == "findings")
    assert len(table.rows) == MAX_TEXTS + 1
    assert str(table.rows[-1][1]).startswith("5 more texts of this code")
    named = " ".join(str(row[-1]) for row in table.rows)
    assert all(record.run_id in named for record in records)


class _Counting(Mapping[str, Mapping[str, Any]]):
    """Traces that say which of them were read."""

    def __init__(self, traces: dict[str, Mapping[str, Any]]) -> None:
        self.traces = traces
        self.read: set[str] = set()

    def __getitem__(self, run_id: str) -> Mapping[str, Any]:
        self.read.add(run_id)
        return self.traces[run_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.traces)

    def __len__(self) -> int:
        return len(self.traces)


def test_only_the_trace_that_is_shown_and_broken_ones_before_it_are_read(factory: ModuleType) -> None:
    records = factory.make_records()
    order = sorted(records, key=lambda r: (r.arm != "moe", -len(r.windows), r.run_id))
    traces = _Counting({record.run_id: factory.make_trace() for record in records})
    traces.traces[order[0].run_id] = {}
    section = trace_section(records, traces, "moe")
    assert section.figures[0].svg is not None
    assert order[1].run_id in str(section.lead)
    assert traces.read == {order[0].run_id, order[1].run_id}
