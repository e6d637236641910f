"""The section of the scaling laws: fits with intervals, what warns of trouble, held-out budgets, multipliers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.laws.intervals import Quantity
from harness.analysis.laws.matched import MatchedLaws
from harness.analysis.laws.multiplier import LawMultiplier
from harness.analysis.laws.runs import LawRun, draw_lines, estimate_seed_band, fit_runs
from harness.analysis.laws.study import Comparison, FamilyLaw
from harness.analysis.results import FrontierPoint, Interval
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell, Figure, Section, Table, columns_of
from harness.report.plots.law_fit import group_runs, say_selection
from harness.report.plots.registry import draw_plot

MAX_SEEDS = 12  # more are told by their lowest and highest; every run stands in the table of runs
_RESIDUAL_NAMES = ("Residual", "Of each seed, or lowest to highest")
_LOSS_NAMES = ("Loss", "Lowest to highest", "By the law")


def laws_section(laws: MatchedLaws, points: Sequence[FrontierPoint] = ()) -> Section:
    """Return the laws of both arms over the runs `points`; an arm without one says why."""
    lead = (
        "A law is fitted to all runs of a family: L(N, D) = E + A N^-alpha + B D^-beta, N active parameters, D tokens, "
        "loss in bits per byte. Verdicts never rest on it; it says what the runs predict, and how well."
    )
    notes: list[Cell] = [f"{arm}: no law, {reason}." for arm, reason in sorted(laws.reasons.items())]
    study = laws.study
    if study is None:
        return Section(id="laws-section", title="Scaling laws", lead=lead, notes=tuple(notes))
    families = study.families
    tables = [_parameters(families), _held_out(families)]
    if study.comparison is not None:
        tables.append(_multipliers(study.comparison))
        notes.append(_shared_e(study.comparison))
    notes += [f"{law.family}: {warning}." for law in families for warning in law.warnings]
    method = "; ".join(dict.fromkeys(law.fit.sampling.method for law in families))
    notes.append(f"Intervals: {method}; {study.resamples} resamples.")
    return Section(
        id="laws-section",
        title="Scaling laws",
        lead=lead,
        figures=_figures(families, points),
        tables=tuple(tables),
        notes=tuple(notes),
    )


def _figures(families: tuple[FamilyLaw, ...], points: Sequence[FrontierPoint]) -> tuple[Figure, ...]:
    """Return the fits over the runs and their residuals; nothing where the runs are not at hand."""
    runs = [run for law in families for run in fit_runs(law.fit, points)]
    if not runs:
        return ()
    lines = [line for law in families for line in draw_lines(law.fit, fit_runs(law.fit, points))]
    selection = say_selection(runs)
    bands = {str(law.family): estimate_seed_band(law.fit, law.diagnostics.lack_of_fit.seed_noise) for law in families}
    return (
        Figure(
            id="f-law-fit",
            caption=f"Lines are the laws at the sizes that were run, only as far as they were run. {selection}".strip(),
            svg=draw_plot("law_fit", runs, lines),
            table=_runs_table("law-fit", "Runs and what the laws say of them", runs, residuals=False),
        ),
        Figure(
            id="f-law-residuals",
            caption=(
                "Marks inside the band differ from the law by no more than seeds differ from each other (95%); a trend "
                f"outside of it is what the law does not describe. {selection}"
            ).strip(),
            svg=draw_plot("law_residuals", runs, bands),
            table=_runs_table("law-residuals", "Residuals of the laws", runs, residuals=True),
        ),
    )


def _runs_table(table_id: str, caption: str, runs: Sequence[LawRun], *, residuals: bool) -> Table:
    """Return one row for each configuration, means over its seeds, in the order that the figure's marks name."""
    names = (
        "Family",
        "Size",
        "Training FLOPs",
        "Seeds",
        *(("Residual", "Of each seed, or lowest to highest") if residuals else _LOSS_NAMES),
    )
    rows = tuple(_runs_row(group, residuals=residuals) for group in group_runs(runs))
    columns = columns_of(names, first_numeric=2)
    return Table(id=table_id, caption=caption, columns=columns, rows=rows, sortable=True)


def _runs_row(group: Sequence[LawRun], *, residuals: bool) -> tuple[Cell, ...]:
    first, source = group[0], n.runs(run.run_id for run in group)
    law = f"law of {first.family}"
    head = first.family, first.size, n.si(first.flops, "FLOP", first.run_id), n.count(len(group), "runs of this row")
    if residuals:
        mean = statistics.fmean(run.log_residual for run in group)
        if len(group) > MAX_SEEDS:
            ends = (choose(group, key=lambda run: run.log_residual) for choose in (min, max))
            each = n.join((_residual(run.log_residual, run.run_id) for run in ends), " to ")
        else:
            each = n.join((_residual(run.log_residual, run.run_id) for run in group), ", ")
        return *head, _residual(mean, f"{law}; {source}"), each
    mean = statistics.fmean(run.loss for run in group)
    ends = (choose(group, key=lambda run: run.loss) for choose in (min, max))
    span = n.join((n.fixed(run.loss, 4, run.run_id) for run in ends), " to ")
    return *head, n.fixed(mean, 4, source), span, n.fixed(first.fitted, 4, law)


def _residual(value: float, source: str) -> Cell:
    return n.num(value, f"{100 * value:+.2f}%", source)


def _parameters(families: tuple[FamilyLaw, ...]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for law in families:
        source = f"fit of {len(law.fit.points)} runs of {law.family}"
        rows += [
            (str(law.family), name, *_quantity(value, source), n.digits(value.stderr, source, value.reason))
            for name, value in law.fit.parameters.items()
        ]
        residual = f"residuals of {source}"
        rows.append((str(law.family), "rms log residual", n.digits(law.diagnostics.rms_log_residual, residual), "", ""))
        rows.append(
            (str(law.family), "largest log residual", n.digits(law.diagnostics.largest_log_residual, residual), "", "")
        )
        lack = law.diagnostics.lack_of_fit
        rows.append(
            (str(law.family), "lack of fit against seeds, p", n.digits(lack.p_value, residual, lack.reason), "", "")
        )
    names = ("Family", "What", "Estimate", "95% interval", "Standard error")
    return _table("laws", "Parameters and residuals", names, rows, 2)


def _held_out(families: tuple[FamilyLaw, ...]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for law in families:
        source = f"law of {law.family}"
        held = law.held_out
        if held.reason is not None:
            reason = Markup('<small class="why">{}</small>').format(held.reason)
            rows.append((str(law.family), "largest budget held out", n.unknown(held.reason), reason, "", ""))
        for point in held.points:
            inside = {True: "inside", False: "outside", None: "not told"}[point.inside]
            fitted = f"fit without the largest budget; {source}"
            rows.append(
                (
                    str(law.family),
                    Markup("held out: {}").format(n.si(point.flops, "FLOP", fitted)),
                    *_quantity(point.predicted, fitted),
                    n.fixed(point.observed, 4, "mean over seeds"),
                    inside,
                )
            )
        if law.optimum is not None:
            flops = n.si(law.optimum.flops, "FLOP", source)
            what = Markup("next budget: {} {}").format(flops, n.projected_badge() if law.optimum.extrapolated else "")
            rows.append((str(law.family), what, *_quantity(law.optimum.loss, source), "not run", ""))
    names = ("Family", "Budget", "Predicted loss", "95% interval", "Came out", "In the interval")
    return _table("laws-predictions", "Predictions: of a budget held out, and of the next one", names, rows, 2)


def _multipliers(comparison: Comparison) -> Table:
    rows: list[tuple[Cell, ...]] = [
        row
        for label, found in (
            ("each its own E", comparison.multipliers),
            ("one E for both", comparison.shared_multipliers),
        )
        for row in (_multiplier(label, m) for m in found)
    ]
    names = ("Fit", "At loss", "Multiplier", "95% interval", "Beyond the runs of")
    return _table("laws-multipliers", "Baseline compute over candidate compute, from the laws", names, rows, 1)


def _multiplier(label: str, m: LawMultiplier) -> tuple[Cell, ...]:
    source = f"laws of {m.baseline} and {m.candidate}"
    beyond: Cell = "none"
    if m.extrapolated:
        beyond = Markup("{} {}").format(", ".join(m.extrapolated), n.projected_badge())
    return (
        label,
        n.fixed(m.loss, 4, source, m.reason),
        n.digits(m.estimate, source, m.reason),
        _span(m.interval, source, m.reason),
        beyond,
    )


def _shared_e(comparison: Comparison) -> str:
    test = comparison.shared_e
    words = {True: "is rejected", False: "is not rejected", None: "cannot be tested"}[test.rejected]
    parts = [f"p = {pair.p_value:.2g}" if pair.p_value is not None else "p unknown" for pair in test.pairs]
    return f"One irreducible loss E for both families {words} ({', '.join(parts)}); not found is not proven equal."


def _quantity(quantity: Quantity, source: str) -> tuple[Cell, Cell]:
    return n.digits(quantity.estimate, source, quantity.reason, 4), _span(quantity.interval, source, quantity.reason)


def _span(interval: Interval | None, source: str, reason: str | None) -> Cell:
    if interval is None:
        return Markup('<span class="why">no interval{}</span>').format(f": {reason}" if reason else "")
    return Markup("{} to {}").format(n.digits(interval.low, source), n.digits(interval.high, source))


def _table(
    table_id: str, caption: str, names: tuple[str, ...], rows: list[tuple[Cell, ...]], first_numeric: int
) -> Table:
    words = ("In the interval", "Beyond the runs of")
    columns = columns_of(names, words, first_numeric=first_numeric)
    return Table(id=table_id, caption=caption, columns=columns, rows=tuple(rows))
