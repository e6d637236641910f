"""The page says what an equal budget buys, what counts as equally good, and where a slice is an edge."""

from __future__ import annotations

from harness.analysis.match import match_study
from harness.core.study import MatchRule
from harness.report.sections import equality
from tests.unit.analysis.factory import BUDGETS, make_records, make_study, with_accuracies


def match_of(**study):
    records = with_accuracies(make_records(2.0, budgets={"dense": BUDGETS, "moe": BUDGETS}), multiplier=2.0)
    return match_study(records, make_study(records, **study))


def text_of(table):
    return "\n".join(" | ".join(str(cell) for cell in row) for row in table.rows)


def test_equal_budgets_name_the_better_arm_and_each_number_its_runs():
    match = match_of()
    section = equality.budgets_section(match)
    budgets, axes = section.tables
    assert len(budgets.rows) == len(match.budget_gaps)
    gap = next(g for g in reversed(match.budget_gaps) if g.resource == "flops")
    assert f'data-value="{gap.gap!r}"' in text_of(budgets)
    assert all(run_id in text_of(budgets) for run_id in gap.run_ids)
    assert "moe" in text_of(budgets)
    assert "Equal total parameters and tokens" in text_of(axes)


def test_quality_beyond_the_loss_has_tests_and_the_comparison_at_equal_accuracy():
    section = equality.equivalence_section(match_of(match=MatchRule(margin_accuracy=0.05)))
    tests, multipliers, ratios = section.tables
    assert "different" in text_of(tests) or "inconclusive" in text_of(tests) or "equivalent" in text_of(tests)
    assert "Training FLOPs" in text_of(multipliers)
    assert "Energy per task" in text_of(ratios)
    coarse = make_records(2.0)
    section = equality.equivalence_section(match_study(coarse, make_study(coarse)))
    assert "standard errors" in str(section.facts)
    assert "declared no margin" in text_of(section.tables[0])


def test_a_study_of_one_size_says_that_it_has_no_frontier_and_an_empty_one_has_no_tables():
    assert "size-matched" in str(equality.slices_section(match_of()).lead)
    nothing = match_study([], None)
    for section in (equality.budgets_section, equality.slices_section, equality.equivalence_section):
        assert section(nothing).tables == ()


def test_budgets_have_units_and_their_intervals_say_once_how_they_are_made():
    match = match_of()
    section = equality.budgets_section(match)
    budgets, axes = section.tables
    largest = next(gap for gap in reversed(match.budget_gaps) if gap.resource == "energy")
    assert f'data-value="{largest.budget!r}"' in str(axes.rows[2][1])
    assert "e+" not in "".join(str(row[1]) for row in axes.rows[:3] if "data-value" not in str(row[1]))
    assert str(axes.rows[2][1]).endswith(" J</span>")
    method = largest.interval.method
    assert sum(method in str(note) for note in section.notes) == 1
    assert method not in text_of(budgets)
    assert f'data-value="{largest.interval.low!r}"' in text_of(budgets)
