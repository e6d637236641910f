"""Whether the comparison was fair: the checks, failing ones first."""

from __future__ import annotations

from markupsafe import Markup

from harness.analysis.inference.results import InferenceResult
from harness.analysis.results import Check, MatchResult
from harness.report.page.blocks import Section, Table, text_columns

OUTCOMES = {"pass": "✓ pass", "fail": "✗ fail", "unknown": "? unknown"}


def checks_section(match: MatchResult | InferenceResult) -> Section:
    """Return the fairness checks, failing ones first."""
    order = {"fail": 0, "unknown": 1, "pass": 2}
    rows = tuple(
        (
            Markup('<span class="outcome {}">{}</span>').format(c.outcome, OUTCOMES[c.outcome]),
            c.title,
            f"{c.text}{_scope(c)}",
        )
        for c in sorted(match.checks, key=lambda c: (order[c.outcome], c.code))
    )
    table = Table(
        id="checks", caption="Fairness checks", columns=text_columns("Outcome", "Check", "What was found"), rows=rows
    )
    lead = (
        "Made by the program over the records. A failing check turns a directional verdict "
        "into “inconclusive”, unless it says that it only discloses."
    )
    return Section(
        id="checks-section",
        title="Was the comparison fair?",
        lead=lead,
        tables=(table,) if rows else (),
        notes=() if rows else ("No check could be made: there were no finished runs to check.",),
    )


def _scope(check: Check) -> str:
    if not check.blocking:
        return " (this only discloses)"
    return " (counts for claims about energy)" if check.energy_only else ""
