"""A budget of energy ends training where it is spent, before any window has closed."""

from __future__ import annotations

from pathlib import Path

from harness.core.config import Budget
from harness.core.store import Store
from harness.measure.totals import total_energy_j
from tests.unit.run.tiny import DENSE, run_here, tiny_run


def test_joules_are_counted_from_the_first_step(tmp_path: Path) -> None:
    """The made-up sensor shows 100 W; without the budget this would train for minutes."""
    budget = Budget(tokens=10_000_000, joules=20.0)
    record = run_here(tiny_run(DENSE, train={"budget": budget}), Store(tmp_path))
    assert "stopped_by_budget" in {finding.code for finding in record.findings}
    assert record.path is not None
    spent_j = total_energy_j(record.path.energy)
    assert spent_j is not None
    assert 20.0 <= spent_j < 200.0
    assert len(record.windows_of("pretrain")) == 1
