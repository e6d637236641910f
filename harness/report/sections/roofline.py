"""The section on the energy of a step: constants fitted to each family, and the candidate by the baseline's."""

from __future__ import annotations

from markupsafe import Markup

from harness.analysis.roofline.results import TERMS, Prediction, Roofline, StepFit, Term
from harness.analysis.roofline.text import describe_fit
from harness.analysis.stats import Estimate
from harness.core.inference import name_regime
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section, Table, columns_of
from harness.report.plots.registry import draw_plot
from harness.report.plots.step_energy import list_predicted
from harness.report.sections.estimates import estimate_cell

_UNKNOWN = "no constants"


def roofline_section(roofline: Roofline) -> Section:
    """Return the constants of both families, the candidate's steps beside their projection, and what that says."""
    word = n.warning_word(fit.word for fit in roofline.fits).lower()
    lead: Cell = Markup(
        "The energy of a step is taken as joules per step, per byte and per FLOP, none below 0, and fitted to the "
        "gross energy of whole windows, prefill and decode apart. What those constants of a step of {} say of {} is "
        "<strong>projected</strong>, and stands beside what its steps took."
    ).format(roofline.baseline_arm, roofline.candidate_arm)
    if word:
        lead += Markup(" <strong>{}, not measured, and so are the constants.</strong>").format(f"The joules are {word}")
    title = "Energy of a step: fitted and predicted"
    return Section(
        id="roofline-section",
        title=f"{title} ({word})" if word else title,
        lead=lead,
        figures=(_figure(roofline, word),),
        tables=(_constants_table(roofline), _summary_table(roofline, word)),
        notes=tuple(_notes(roofline)),
    )


def _constants_table(roofline: Roofline) -> Table:
    rows = tuple(_constants_row(fit) for fit in roofline.fits)
    names = (
        *("Phase", "Family", "J per step", "per byte", "per FLOP", "Error, rms", "Error, held out"),
        *("Windows", "Workloads", "Grade"),
    )
    columns = columns_of(names, {"Phase", "Family", "Grade"})
    return Table(id="step-constants", caption="What a step costs: fitted constants", columns=columns, rows=rows)


def _constants_row(fit: StepFit) -> tuple[Cell, ...]:
    source = n.runs(fit.run_ids)
    return (
        fit.phase,
        fit.arm,
        *(_constant_cell(fit, term, source) for term in TERMS),
        n.percent(fit.rms, source, _UNKNOWN),
        n.percent(fit.held_out_rms, source, _UNKNOWN),
        n.count(fit.num_observations, source),
        n.count(fit.num_workloads, source),
        n.grade_badge(fit.grade, fit.simulated),
    )


def _constant_cell(fit: StepFit, term: Term, source: str) -> Cell:
    shown = estimate_cell(_constant(fit, term), "J", source)
    if fit.constants is None or not fit.constants[term].at_bound:
        return shown
    return Markup('{} <small class="why">held at 0</small>').format(shown)


def _constant(fit: StepFit, term: Term) -> Estimate:
    if fit.constants is None:
        return Estimate(value=None, interval=None, n=0, reason=fit.reason)
    found = fit.constants[term]
    return Estimate(value=found.value, interval=found.interval, n=fit.num_workloads, reason=found.reason)


def _figure(roofline: Roofline, word: str) -> Figure:
    reasons = sorted({f"{p.phase}: {p.reason}" for p in roofline.predictions if p.reason is not None})
    return Figure(
        id="f-step-energy",
        caption="A mark for each regime of the candidate; on the line a step takes what is projected.",
        svg=draw_plot("step_energy", roofline.predictions),
        table=_predicted_table(roofline, word),
        missing=f"Nothing is predicted: {'; '.join(reasons)}.",
    )


def _predicted_table(roofline: Roofline, word: str) -> Table | None:
    marks = list_predicted(roofline.predictions)
    if not marks:
        return None
    fitted = {fit.phase: fit.run_ids for fit in roofline.fits if fit.arm == roofline.baseline_arm}
    rows = tuple(
        (
            phase,
            row.size,
            name_regime(row.regime),
            estimate_cell(row.measured_j, "J", n.runs(row.run_ids)),
            _projected(n.si(row.predicted_j, "J", n.runs((*row.run_ids, *fitted[phase])))),
            estimate_cell(row.ratio, "", n.runs((*row.run_ids, *fitted[phase]))),
            n.count(row.ratio.n, n.runs(row.run_ids)),
            n.grade_badge(row.grade, row.simulated),
        )
        for phase, row in marks
    )
    took = word or "measured"
    names = (
        "Phase",
        "Size",
        "Regime",
        f"J of a step, {took}",
        "projected",
        f"{took} / projected",
        "n",
        "Grade",
    )
    columns = columns_of(names, {"Phase", "Size", "Regime", "Grade"})
    caption = f"Steps of {roofline.candidate_arm} by the constants of {roofline.baseline_arm}"
    return Table(id="step-predicted", caption=caption, columns=columns, rows=rows, sortable=True)


def _summary_table(roofline: Roofline, word: str) -> Table:
    took = word or "measured"
    rows = tuple(_summary_row(prediction) for prediction in roofline.predictions)
    names = (
        *("Phase", f"{took} / projected, all regimes", "by constants that fit as well", "Overhead of bytes and FLOPs"),
        *("over this share", "Error, rms", "Within the held-out error", "Windows", "Grade"),
    )
    columns = columns_of(names, {"Phase", "Grade"})
    return Table(
        id="step-summary", caption="Does the baseline's model hold for the candidate?", columns=columns, rows=rows
    )


def _summary_row(prediction: Prediction) -> tuple[Cell, ...]:
    source, why = n.runs(prediction.run_ids), prediction.reason
    ends = prediction.ratio_range
    spread = n.unknown(why, source) if ends is None else n.join([n.digits(end, source) for end in ends], " to ")
    return (
        prediction.phase,
        estimate_cell(prediction.ratio, "", source),
        spread,
        estimate_cell(prediction.overhead, "", source),
        n.percent(prediction.work_share, source, why),
        n.percent(prediction.rms, source, why),
        n.percent(prediction.within, source, why),
        n.count(prediction.num_observations, source),
        n.grade_badge(prediction.grade, prediction.simulated),
    )


def _notes(roofline: Roofline) -> list[Cell]:
    notes: list[Cell] = [_sentence(f"{p.phase}: {p.finding}") for p in roofline.predictions]
    notes += [_sentence(f"{f.phase}, {f.arm}: {'; '.join(told)}") for f in roofline.fits if (told := describe_fit(f))]
    notes.append(_sentence(roofline.power_limit_note))
    notes += [
        Markup("Left out: {} windows of {}, {}: {}.").format(
            n.count(one.num_windows, n.runs(one.run_ids)), one.arm, one.phase, one.reason
        )
        for one in roofline.left_out
    ]
    return notes


def _projected(shown: Markup) -> Markup:
    return Markup("{} {}").format(shown, n.projected_badge())


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
