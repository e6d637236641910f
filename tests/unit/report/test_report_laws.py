"""Laws on the page: figures whose marks name rows of their tables, and the reason where there is no law."""

from __future__ import annotations

import re
import statistics

from harness.analysis.laws.matched import fit_matched
from harness.analysis.laws.runs import fit_runs
from harness.analysis.match import match_study
from harness.report.sections.laws import laws_section
from tests.unit.analysis.factory import make_records, make_study
from tests.unit.analysis.laws.test_laws_matched import match_of


def test_fit_and_residuals_are_drawn_with_a_row_for_each_configuration():
    match = match_of(lambda n, d, arm: 1.0 + 60 * n**-0.3 + 60 * (d * (2 if arm == "moe" else 1)) ** -0.3)
    laws = fit_matched(match, 50)
    section = laws_section(laws, match.points)
    fit, residuals = section.figures
    assert len(fit.table.rows) == len(residuals.table.rows) == 2 * 4 * 4
    assert "96 runs of dense and moe at 8 sizes" in str(fit.svg)
    assert re.search(
        r"dense: log residuals of 48 runs, at most 0\.\d+%; \d+ of 48 lie inside the band", str(residuals.svg)
    )
    first = [run for run in fit_runs(laws.study.families[0].fit, match.points) if run.size == "s"][:3]
    assert len({run.flops for run in first}) == 1
    cells = residuals.table.rows[0]
    assert f'data-value="{statistics.fmean(run.log_residual for run in first)!r}"' in str(cells[4])
    for run in first:
        assert f'data-value="{run.log_residual!r}" data-source="{run.run_id}"' in str(cells[5])
    assert ">projected</span>" in "".join(str(cell) for table in section.tables for row in table.rows for cell in row)


def test_without_a_law_there_is_a_reason_and_no_axes():
    records = make_records(2.0)
    match = match_study(records, make_study(records))
    section = laws_section(fit_matched(match), match.points)
    assert (section.figures, section.tables) == ((), ())
    assert all("no law" in note for note in section.notes)
