"""Build the report: records in, one self-contained page out, the same bytes for the same records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from harness.analysis.claims import judge_all, load_claims, load_published, verdicts_to_json
from harness.analysis.claims.inference import judge_inference
from harness.analysis.claims.spec import INFERENCE_CLAIMS, PRESS_CLAIMS
from harness.analysis.inference.compare import compare_inference
from harness.analysis.inference.detail import describe_inference, describe_matched, is_inference
from harness.analysis.inference.load import load_answers
from harness.analysis.inference.results import InferenceDetail, InferenceResult
from harness.analysis.inference.summary import inference_verdicts_to_json
from harness.analysis.laws.matched import fit_matched
from harness.analysis.match import match_study
from harness.analysis.results import MatchResult
from harness.analysis.verdicts import ClaimVerdict
from harness.core.errors import RecordError
from harness.core.records import RunRecord
from harness.core.store import Store, write_text_atomically
from harness.core.study import StudyInfo, load_study
from harness.report import (
    answer,
    closing,
    equality,
    evidence,
    inference_page,
    inside,
    kinds,
    laws,
    provenance,
    published,
    regimes,
    routing_by_task,
    tuning,
)
from harness.report import numbers as n
from harness.report.blocks import Card, Cell, Section

_TEMPLATES = Path(__file__).parent / "templates"
VERDICTS_FILE = "verdicts.json"
_INFERENCE = {"costs-section", "kinds-section", "regimes-section", "serving-section", "models-section"}


def build_report(root: Path, out: Path, *, now_utc: str | None = None) -> Path:
    """Match, judge and render the store at `root`; write the page to `out` and ``verdicts.json`` beside it.

    The page names no time of its own, so that the same records give the same bytes; `now_utc` adds one as a label.

    Raises:
        RecordError: there is no record file at all under `root`.
    """
    store = Store(root)
    records, unreadable = store.load_records()
    try:
        study = load_study(root)
    except RecordError as error:
        study = None
        unreadable = [*unreadable, str(error).replace(str(root), "").lstrip("/")]
    traces = {r.run_id: trace for r in records if (trace := store.load_trace(r.run_id)) is not None}
    if is_inference(records, study):
        answers = load_answers(store, records)
        result = compare_inference(records, answers, study, unreadable)
        verdicts = judge_inference(load_claims(study.claims if study is not None else INFERENCE_CLAIMS), result)
        detail = describe_inference(records, answers, study)
        page = render_inference(records, study, result, detail, verdicts, unreadable, traces, now_utc=now_utc)
        content = inference_verdicts_to_json(verdicts, result)
    else:
        match = match_study(records, study, unreadable)
        verdicts = judge_all(load_claims(study.claims if study is not None else PRESS_CLAIMS), match)
        page = render_report(records, study, match, verdicts, unreadable, traces, now_utc=now_utc)
        content = verdicts_to_json(verdicts, match)
    write_text_atomically(out, page)
    answers_text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    write_text_atomically(out.with_name(VERDICTS_FILE), answers_text + "\n")
    return out


def render_report(  # noqa: PLR0917 - the parts of a page in the order that they are read
    records: Sequence[RunRecord],
    study: StudyInfo | None,
    match: MatchResult,
    verdicts: Sequence[ClaimVerdict],
    unreadable: Sequence[str],
    traces: Mapping[str, Mapping[str, Any]],
    *,
    now_utc: str | None = None,
) -> str:
    """Return the page. A pure function: no clock, no order that depends on the caller, no disk but the package's own.

    The package's own are the templates and the published claims.
    """
    records = sorted(records, key=lambda record: record.run_id)
    return _render(
        study,
        now_utc,
        name=match.study,
        arms=(match.baseline_arm, match.candidate_arm),
        summary=answer.summarise(match, verdicts, records),
        overview=_overview(records, match, unreadable),
        cards=[answer.make_card(verdict, match) for verdict in verdicts],
        sections=_sections(records, study, match, verdicts, unreadable, traces),
    )


def render_inference(  # noqa: PLR0917 - the parts of a page in the order that they are read
    records: Sequence[RunRecord],
    study: StudyInfo | None,
    result: InferenceResult,
    detail: InferenceDetail,
    verdicts: Sequence[ClaimVerdict],
    unreadable: Sequence[str],
    traces: Mapping[str, Mapping[str, Any]],
    *,
    now_utc: str | None = None,
) -> str:
    """Return the page of a study in which nothing was trained; pure, like `render_report`."""
    records = sorted(records, key=lambda record: record.run_id)
    return _render(
        study,
        now_utc,
        name=result.study,
        arms=(result.baseline_arm, result.candidate_arm),
        summary=inference_page.summarise_inference(result, verdicts, records),
        overview=inference_page.inference_overview(records, result, unreadable),
        cards=[answer.make_card(verdict, result) for verdict in verdicts],
        sections=inference_page.inference_sections(records, study, result, detail, unreadable, traces),
    )


def _render(
    study: StudyInfo | None,
    now_utc: str | None,
    *,
    name: str,
    arms: tuple[str, str],
    summary: list[Cell],
    overview: list[tuple[str, Markup]],
    cards: list[Card],
    sections: list[Section],
) -> str:
    """Fill the page's template."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.html.j2").render(
        title=study.title if study is not None else f"Runs of {name}",
        study=name,
        built_utc=now_utc,
        baseline=arms[0],
        candidate=arms[1],
        summary=summary,
        overview=overview,
        cards=cards,
        sections=sections,
        style=_asset("style.css") + (_asset("inference.css") if _INFERENCE & {s.id for s in sections} else ""),
        script=_asset("report.js"),
    )


def _sections(  # noqa: PLR0917 - the same parts
    records: Sequence[RunRecord],
    study: StudyInfo | None,
    match: MatchResult,
    verdicts: Sequence[ClaimVerdict],
    unreadable: Sequence[str],
    traces: Mapping[str, Mapping[str, Any]],
) -> list[Section]:
    detail = describe_matched(records, match, study)
    return [
        evidence.headline_section(match),
        evidence.flops_section(match),
        evidence.joules_section(match),
        evidence.curve_section(match, verdicts),
        equality.budgets_section(match),
        equality.slices_section(match),
        laws.laws_section(fit_matched(match)),
        evidence.tasks_section(match),
        *_inference_sections(match, detail),
        equality.equivalence_section(match),
        published.published_section(load_published(), match),
        inside.trace_section(records, traces, match.candidate_arm),
        inside.routing_section(records),
        provenance.checks_section(match),
        provenance.findings_section(records, match, unreadable, study),
        provenance.runs_section(records, match),
        provenance.sources_section(records),
        tuning.tuning_section(study),
        closing.methods_section(match, study),
        closing.reproduce_section(records, study),
        closing.limits_section(records, match),
    ]


def _inference_sections(match: MatchResult, detail: InferenceDetail) -> list[Section]:
    """Return what the runs say of kinds of tasks and regimes; nothing where their windows carry none."""
    sections = []
    if match.kinds or detail.scores:
        sections.append(kinds.kinds_section(match, detail))
    if match.task_pairs:
        sections.append(kinds.pairs_section(match))
    if detail.arm_regimes:
        sections.append(regimes.regimes_section(detail, match.baseline_arm, match.candidate_arm))
    if detail.views is not None:
        sections.append(regimes.views_section(detail.views))
    if detail.routing or detail.coverage:
        sections.append(routing_by_task.routing_by_task_section(detail))
    return sections


def _asset(name: str) -> Markup:
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - a file of this package


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
