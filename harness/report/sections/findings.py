"""Everything that went wrong or was left out: findings, failures, exclusions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from markupsafe import Markup

from harness.analysis.inference.results import InferenceResult
from harness.analysis.results import MatchResult
from harness.core.readings import Finding
from harness.core.records import RunRecord
from harness.core.study import StudyInfo
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Section, Table, text_columns
from harness.report.sections.run_lists import list_runs

# Texts of one code that stand in rows of their own; texts that hold a figure of their run are as many as the runs.
MAX_TEXTS = 12
_RANK = {"error": 0, "warning": 1, "info": 2}


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
    if found:
        tables.append(
            Table(
                id="findings",
                caption="Findings",
                columns=text_columns("Severity", "Finding", "Code", "Where"),
                rows=tuple(_group_findings(found, seen)),
            )
        )
    if failed:
        rows: tuple[tuple[Cell, ...], ...] = tuple(
            (r.run_id, r.arm, r.size, r.error or "no error text recorded") for r in failed
        )
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


def _group_findings(found: Sequence[tuple[Finding, str]], seen: Collection[str]) -> Iterator[tuple[Cell, ...]]:
    """Return a row for each text; of a code with very many texts those of most runs, and one row for all others."""
    texts: dict[tuple[str, str], dict[str, list[str]]] = {}
    for finding, where in found:
        texts.setdefault((finding.severity, finding.code), {}).setdefault(finding.text, []).append(where)
    for (severity, code), by_text in sorted(texts.items(), key=lambda item: (_RANK[item[0][0]], item[0])):
        badge = Markup('<span class="severity {}">{}</span>').format(severity, severity)
        name = Markup("<code>{}</code>").format(code)
        common = sorted(by_text, key=lambda text: (-len(by_text[text]), text))
        if len(common) > MAX_TEXTS + 1:
            common, others = common[:MAX_TEXTS], common[MAX_TEXTS:]
        else:
            others = []
        for text in sorted(common):
            yield badge, text, name, list_runs(by_text[text], seen)
        if others:
            runs = {where for text in others for where in by_text[text]}
            yield badge, f"{len(others)} more texts of this code; the records hold them", name, list_runs(runs, seen)
