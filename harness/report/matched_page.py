"""The page of a study that trained two families to a common quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from harness.analysis.claims import load_published
from harness.analysis.claims.projected import projected_rows
from harness.analysis.inference.results import InferenceDetail
from harness.analysis.results import MatchResult
from harness.analysis.roofline.results import Roofline
from harness.analysis.verdicts import ClaimVerdict
from harness.core.records import RunRecord
from harness.core.study import StudyInfo
from harness.report.estimates import Estimates, estimate_all
from harness.report.page import numbers as n
from harness.report.page.blocks import Section
from harness.report.page.render import PageOrigin, PageParts, render_page
from harness.report.page.sources import with_sources
from harness.report.plots.board import begin_drawing, draw_while, open_board
from harness.report.sections import (
    answer,
    checks,
    citation,
    downloads,
    environment,
    equality,
    expert_load,
    findings,
    frontier,
    headline,
    kinds,
    laws,
    limits,
    methods,
    power,
    published,
    quality_gate,
    regimes,
    reproduce,
    roofline,
    routing_by_task,
    runs,
    sensitivity,
    task_energy,
    tuning,
    views,
)


@with_sources
@open_board()
def render_report(  # noqa: PLR0917 - the parts of a page in the order that they are read
    records: Sequence[RunRecord],
    study: StudyInfo | None,
    match: MatchResult,
    verdicts: Sequence[ClaimVerdict],
    unreadable: Sequence[str],
    traces: Mapping[str, Mapping[str, Any]],
    *,
    origin: PageOrigin | None = None,
    estimates: Estimates | None = None,
) -> str:
    """Return the page. A pure function: no clock, no order that depends on the caller, no disk but the package's own.

    The package's own are the templates and the published claims. `estimates` are worked
    out here where they are not given.
    """
    origin = origin or PageOrigin()
    estimates = estimates or estimate_all(records, study, match, verdicts)
    records = sorted(records, key=lambda record: record.run_id)
    return render_page(
        PageParts(
            title=study.title if study is not None else f"Runs of {match.study}",
            study=match.study,
            arms=(match.baseline_arm, match.candidate_arm),
            summary=tuple(answer.summarise(match, verdicts, records)),
            overview=tuple(_overview(records, match, unreadable)),
            cards=tuple(answer.make_card(verdict, match) for verdict in verdicts),
            sections=tuple(
                _sections(records, study, match, verdicts, unreadable, traces, estimates, origin.records_sha256)
            ),
            origin=origin,
        )
    )


def _sections(  # noqa: PLR0917 - the same parts
    records: Sequence[RunRecord],
    study: StudyInfo | None,
    match: MatchResult,
    verdicts: Sequence[ClaimVerdict],
    unreadable: Sequence[str],
    traces: Mapping[str, Mapping[str, Any]],
    estimates: Estimates,
    records_sha256: str | None,
) -> list[Section]:
    detail = estimates.detail
    # what needs no laws, steps or sensitivity comes first, drawings too: they are worked out meanwhile
    before_laws = [
        headline.headline_section(match, verdicts),
        frontier.flops_section(match),
        frontier.joules_section(match),
        headline.curve_section(match, verdicts),
        task_energy.tasks_section(match),
    ]
    before_published = [
        power.trace_section(records, traces, match.candidate_arm),
        expert_load.routing_section(records),
    ]
    before_sensitivity = [
        quality_gate.quality_gate_section(match, detail),
        equality.budgets_section(match),
        equality.slices_section(match),
        equality.equivalence_section(match),
        checks.checks_section(match),
        findings.findings_section(records, match, unreadable, study),
        runs.runs_section(records, match),
        environment.sources_section(records),
        tuning.tuning_section(study),
    ]
    run_files = downloads.make_run_files(records, match.study)
    draw_while(lambda: not estimates.is_ready())
    alternatives, fitted, steps = estimates.wait()
    begin_drawing()  # beside the other sections
    found = [
        *before_laws,
        *_inference_sections(match, detail, steps),
        laws.laws_section(fitted, match.points),
        *before_published,
        published.published_section(load_published(), match, projected_rows(), fitted),
        *before_sensitivity,
        sensitivity.sensitivity_section(alternatives, verdicts),
        limits.limits_section(records, match),
        methods.methods_section(match, study),
        reproduce.reproduce_section(records, study, records_sha256),
    ]
    begin_drawing()  # beside the results as text
    return [
        *found,
        downloads.downloads_section(run_files, estimates.results()),
        citation.citation_section(records, study, match.study, records_sha256),
    ]


def _inference_sections(match: MatchResult, detail: InferenceDetail, steps: Roofline) -> list[Section]:
    """Return what the runs say of kinds of tasks and regimes; nothing where their windows carry none."""
    sections = []
    if match.kinds or detail.scores:
        sections.append(kinds.kinds_section(match, detail))
    if match.task_pairs:
        sections.append(kinds.pairs_section(match))
    if detail.arm_regimes:
        sections.append(regimes.regimes_section(detail, *_arms(match), costs_shown=bool(match.kinds)))
    if steps.num_in_sweeps:
        sections.append(roofline.roofline_section(steps))
    if detail.views is not None:
        sections.append(views.views_section(detail.views))
    if detail.routing or detail.coverage:
        sections.append(routing_by_task.routing_by_task_section(detail))
    return sections


def _arms(match: MatchResult) -> tuple[str, str]:
    return match.baseline_arm, match.candidate_arm


def _overview(records: Sequence[RunRecord], match: MatchResult, unreadable: Sequence[str]) -> list[tuple[str, Markup]]:
    finished = [r for r in records if r.status == "finished"]
    source = n.runs(r.run_id for r in finished)
    duration = sum(window.duration_s for r in records for window in r.windows)
    failed = len(records) - len(finished)
    return [
        ("finished runs", n.count(len(finished), source)),
        ("failed", n.count(failed, n.runs(r.run_id for r in records if r.status == "failed"))),
        ("unreadable files", n.count(len(unreadable), "files of the store")),
        ("seeds", n.count(len({r.seed for r in finished}), source)),
        ("time in measured windows", n.seconds(duration, "sum of all windows' durations")),
        (
            "matched loss, bits per byte",
            n.fixed(match.matched_loss, 3, f"rule: {match.rule}", match.matched_loss_reason),
        ),
    ]
