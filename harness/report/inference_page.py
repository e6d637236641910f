"""The page of a study in which nothing was trained: published models or servers on the same questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from harness.analysis.inference.checks import ABOVE_CHANCE
from harness.analysis.inference.results import InferenceDetail, InferenceResult, KindCost
from harness.analysis.roofline.study import build_roofline, pick_records
from harness.analysis.sensitivity.results import Sensitivity
from harness.analysis.verdicts import ClaimVerdict
from harness.core.records import RunRecord
from harness.core.study import StudyInfo
from harness.core.units import format_digits
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Section
from harness.report.page.render import PageOrigin, PageParts, render_page
from harness.report.page.sources import with_sources
from harness.report.plots.board import open_board
from harness.report.results_file import ResultsFile
from harness.report.sections import (
    answer,
    checks,
    citation,
    downloads,
    environment,
    findings,
    power,
    quality_gate,
    reproduce,
)
from harness.report.sections.inference_costs import accuracy_section, costs_section, ratios_section
from harness.report.sections.inference_runs import inference_runs_section, models_section
from harness.report.sections.regimes import regimes_section
from harness.report.sections.roofline import roofline_section
from harness.report.sections.routing_by_task import routing_by_task_section
from harness.report.sections.sensitivity import sensitivity_section
from harness.report.sections.serving import serving_section
from harness.report.sections.views import views_section

_METHODS = (
    (
        "Nothing was trained here: models or servers answer as they are. A task is the mean over its kinds, each "
        "weighing the same. A ratio is candidate over baseline, with its interval over repeats of the whole run."
    ),
    (
        "Tokenizers differ, so energy stands per task, per token of each model's own, and per byte of the answer that "
        "was judged. Each answers a different question."
    ),
    (
        "Accuracy is compared example by example on the same prompts. Repeats of a greedy answer are no new evidence, "
        "so n counts distinct examples; the 90% interval adds half an observation to each cell (Agresti and Min 2005)."
    ),
    (
        "A direction in which the candidate needs less is given only where it is not inferior within the margin, one "
        "in which it needs more only where it is not superior beyond it; otherwise the verdict is inconclusive."
    ),
    (
        "Energy is that of whole windows, edges bounded. Grades A and B are measurements; C and D are models and yield "
        "no verdict on energy. FLOPs are counted by formula, where one knows the model."
    ),
)


@with_sources
@open_board()
def render_inference(  # noqa: PLR0917 - the parts of a page in the order that they are read
    records: Sequence[RunRecord],
    study: StudyInfo | None,
    result: InferenceResult,
    detail: InferenceDetail,
    verdicts: Sequence[ClaimVerdict],
    unreadable: Sequence[str],
    traces: Mapping[str, Mapping[str, Any]],
    *,
    alternatives: Sensitivity,
    results: ResultsFile,
    origin: PageOrigin | None = None,
) -> str:
    """Return the page; pure, like the page of a study that trained."""
    origin = origin or PageOrigin()
    records = sorted(records, key=lambda record: record.run_id)
    return render_page(
        PageParts(
            title=study.title if study is not None else f"Runs of {result.study}",
            study=result.study,
            arms=(result.baseline_arm, result.candidate_arm),
            summary=tuple(summarise_inference(result, verdicts, records)),
            overview=tuple(inference_overview(records, result, unreadable)),
            cards=tuple(answer.make_card(verdict, result) for verdict in verdicts),
            sections=tuple(
                inference_sections(
                    records,
                    study,
                    result,
                    detail,
                    verdicts,
                    unreadable,
                    traces,
                    alternatives=alternatives,
                    results=results,
                    records_sha256=origin.records_sha256,
                )
            ),
            origin=origin,
        )
    )


def summarise_inference(
    result: InferenceResult, verdicts: Sequence[ClaimVerdict], records: Sequence[RunRecord]
) -> list[Cell]:
    """Return the answer as one to three paragraphs that a newcomer can read."""
    finished = [record for record in records if record.status == "finished"]
    if not finished:
        return [f"There is nothing to compare yet: of {len(records)} runs that could be read, none finished."]
    if result.suite is None:
        return [f"There is no comparison: {result.reason}. What single runs say stands below."]
    paragraphs = [_energy_sentence(result, result.suite), _accuracy_sentence(result, result.suite)]
    if verdicts:
        parts = [Markup("“{}”: <strong>{}</strong>").format(v.claim.statement.rstrip("."), v.verdict) for v in verdicts]
        paragraphs.append(Markup("The claims: ") + n.join(parts, "; ") + ".")
    return paragraphs


def inference_overview(
    records: Sequence[RunRecord], result: InferenceResult, unreadable: Sequence[str]
) -> list[tuple[str, Markup]]:
    """Return the figures under the answer."""
    finished = [record for record in records if record.status == "finished"]
    source = n.runs(record.run_id for record in finished)
    suite = result.suite
    asked = min((arm.num_examples for arm in suite.arms), default=None) if suite is not None else None
    duration = sum(window.duration_s for record in records for window in record.windows)
    return [
        ("finished runs", n.count(len(finished), source)),
        ("failed", n.count(len(records) - len(finished), n.runs(r.run_id for r in records if r.status == "failed"))),
        *([("unreadable files", n.count(len(unreadable), "files of the store"))] if unreadable else ()),
        ("repeats", n.count(len({record.seed for record in finished}), source)),
        ("kinds of tasks", n.count(len(result.kinds), source)),
        ("distinct questions", n.count(asked, source, "no accuracy is known")),
        ("time in measured windows", n.seconds(duration, "sum of all windows' durations")),
    ]


def inference_sections(  # noqa: PLR0917 - the parts of a page
    records: Sequence[RunRecord],
    study: StudyInfo | None,
    result: InferenceResult,
    detail: InferenceDetail,
    verdicts: Sequence[ClaimVerdict],
    unreadable: Sequence[str],
    traces: Mapping[str, Mapping[str, Any]],
    *,
    alternatives: Sensitivity,
    results: ResultsFile,
    records_sha256: str | None = None,
) -> list[Section]:
    """Return the sections in order; those without data are left out."""
    arms = result.baseline_arm, result.candidate_arm
    sections = []
    if result.suite is not None:
        sections += [costs_section(result, result.suite), ratios_section(result, result.suite)]
    sections.append(quality_gate.inference_gate_section(result, detail))
    if detail.scores:
        sections.append(accuracy_section(result, detail))
    if detail.serving:
        sections.append(serving_section(detail.serving))
    if detail.arm_regimes:
        sections.append(regimes_section(detail, *arms, costs_shown=result.suite is not None))
    steps = build_roofline(pick_records(records, study), arms)
    if steps.num_in_sweeps:
        sections.append(roofline_section(steps))
    if detail.views is not None:
        sections.append(views_section(detail.views))
    if detail.routing or detail.coverage:
        sections.append(routing_by_task_section(detail))
    if traces:
        sections.append(power.trace_section(records, traces, result.candidate_arm))
    return [
        *sections,
        models_section(records),
        checks.checks_section(result),
        findings.findings_section(records, result, unreadable, study),
        inference_runs_section(records),
        environment.sources_section(records),
        sensitivity_section(alternatives, verdicts, unit="repeat"),
        _methods_section(result, study),
        reproduce.reproduce_section(records, study, records_sha256),
        downloads.downloads_section(downloads.make_run_files(records, result.study), results),
        citation.citation_section(records, study, result.study, records_sha256),
        _limits_section(records, result),
    ]


def _energy_sentence(result: InferenceResult, suite: KindCost) -> Cell:
    ratio = next(ratio for ratio in suite.ratios if ratio.metric == "energy_per_task")
    source = n.runs(ratio.run_ids)
    if ratio.estimate is None:
        return Markup("How much energy a task takes cannot be compared: {}.").format(ratio.reason or "unknown")
    word = n.energy_word(ratio.grade, any(arm.simulated for arm in suite.arms))
    times = max(ratio.estimate, 1 / ratio.estimate)
    amount = Markup("{} {}").format(
        n.num(times, f"{format_digits(times)} times", source), "less" if ratio.estimate < 1 else "more"
    )
    sentence = Markup(
        "For the same questions the {} models needed <strong>{}</strong> {} energy than the {} models"
    ).format(result.candidate_arm, amount, word, result.baseline_arm)
    if ratio.interval is not None:
        sentence += Markup(" (ratio {} to {}, {:.0f}% confidence, {} repeats)").format(
            n.digits(ratio.interval.low, source),
            n.digits(ratio.interval.high, source),
            100 * ratio.interval.level,
            n.count(ratio.n, source),
        )
        if ratio.interval.low <= 1 <= ratio.interval.high:
            sentence += ". That interval holds 1: no difference is shown"
    else:
        sentence += Markup(" ({})").format(ratio.reason or "no interval")
    if word in ("modelled", "simulated"):
        sentence += ". No energy meter could be read, so this is no measurement"
    return sentence + "."


def _accuracy_sentence(result: InferenceResult, suite: KindCost) -> Cell:
    found = suite.accuracy
    known = [arm.accuracy for arm in suite.arms]
    if found is None or found.difference is None or None in known:
        return "How well they answered is unknown."
    source = n.runs(found.run_ids)
    sentence = Markup("They answered {} of the questions rightly, the {} models {}").format(
        n.percent(known[1], source), result.baseline_arm, n.percent(known[0], source)
    )
    if any(check.code == ABOVE_CHANCE and check.outcome == "fail" for check in result.checks):
        return sentence + ": not better than blind answers would be, so whether they are equally good cannot be told."
    words = {
        "equivalent": "within the margin that was declared, so they count as equally good",
        "different": "further apart than the margin that was declared",
        "inconclusive": "too few examples to call them equally good within the margin that was declared",
        "unknown": "no margin was declared beforehand, so nothing is called equally good",
    }
    return sentence + Markup(": {}.").format(words[found.outcome])


def _methods_section(result: InferenceResult, study: StudyInfo | None) -> Section:
    notes: list[Cell] = list(_METHODS)
    if study is not None and study.notes:
        notes.append(f"From the study: {study.notes}")
    return Section(id="methods", title="Methods, in short", notes=tuple(notes), facts=(("Rule", result.rule),))


def _limits_section(records: Sequence[RunRecord], result: InferenceResult) -> Section:
    notes: list[Cell] = [
        (
            "Two models differ in more than one thing: data, training, size and post-training are not held equal here, "
            "so a ratio belongs to these two and not to their architectures."
        ),
        "The questions are few and narrow; equally good on them says nothing about others.",
    ]
    if any(n.is_modelled(grade) for grade in result.grades):
        notes.append("Energy: no meter could be read. Modelled joules follow time and nameplate power.")
    if any(sensor.simulated for record in records for sensor in record.sensors):
        notes.append("Some readings are SIMULATED. They exercise the program and say nothing about any machine.")
    if any(record.serving is not None for record in records):
        notes.append("A server's energy is that of this machine while it served; what else ran is in it.")
    notes.append("Chance: intervals over repeats cover this machine's noise, not another machine or another day.")
    return Section(id="limits", title="What this does not show", notes=tuple(notes))
