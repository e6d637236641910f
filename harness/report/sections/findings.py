"""Everything that went wrong or was left out: findings, failures, exclusions."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.inference.results import InferenceResult
from harness.analysis.results import MatchResult
from harness.core.records import RunRecord
from harness.core.study import StudyInfo
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Section, Table, text_columns


def findings_section(
    records: Sequence[RunRecord],
    match: MatchResult | InferenceResult,
    unreadable: Sequence[str],
    study: StudyInfo | None,
) -> Section:
    """Return everything that went wrong or was left out; nothing is hidden."""
    failed = [r for r in records if r.status == "failed"]
    seen = {r.run_id for r in records}
    never = [p.run_id for p in study.runs if p.run_id not in seen] if study is not None else []
    tables: list[Table] = []
    found = [(f, "the study") for f in match.findings] + [(f, r.run_id) for r in records for f in r.findings]
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for finding, where in found:
        grouped.setdefault((finding.severity, finding.code, finding.text), []).append(where)
    rank = {"error": 0, "warning": 1, "info": 2}
    if grouped:
        rows: tuple[tuple[Cell, ...], ...] = tuple(
            (
                Markup('<span class="severity {}">{}</span>').format(key[0], key[0]),
                key[2],
                Markup("<code>{}</code>").format(key[1]),
                n.where(where),
            )
            for key, where in sorted(grouped.items(), key=lambda item: (rank[item[0][0]], item[0]))
        )
        tables.append(
            Table(
                id="findings",
                caption="Findings",
                columns=text_columns("Severity", "Finding", "Code", "Where"),
                rows=rows,
            )
        )
    if failed:
        rows = tuple((r.run_id, r.arm, r.size, r.error or "no error text recorded") for r in failed)
        tables.append(
            Table(
                id="failures", caption="Failed runs", columns=text_columns("Run", "Family", "Size", "Error"), rows=rows
            )
        )
    if match.excluded:
        tables.append(
            Table(
                id="excluded",
                caption="Left out of the comparison",
                columns=text_columns("Run", "Why"),
                rows=tuple(match.excluded),
            )
        )
    if unreadable:
        tables.append(
            Table(
                id="unreadable",
                caption="Files that cannot be read",
                columns=text_columns("Problem"),
                rows=tuple((line,) for line in unreadable),
            )
        )
    if never:
        tables.append(
            Table(
                id="never",
                caption="Planned runs without a record",
                columns=text_columns("Run"),
                rows=tuple((run,) for run in never),
            )
        )
    patterns = ("{} failed", "{} left out", "{} unreadable", "{} planned but without a record.")
    lead = n.counts(patterns, (len(failed), len(match.excluded), len(unreadable), len(never)), "records of the store")
    return Section(
        id="findings-section",
        title="Findings, failures and exclusions",
        lead=lead,
        tables=tuple(tables),
        notes=() if tables else ("There is nothing to report here.",),
    )
