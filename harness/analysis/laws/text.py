"""A fit as a table for the terminal, without colours."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.laws.heldout import HeldOut
from harness.analysis.laws.intervals import Quantity
from harness.analysis.laws.matched import MatchedLaws
from harness.analysis.laws.multiplier import LawMultiplier
from harness.analysis.laws.optimum import BudgetPrediction
from harness.analysis.laws.study import Comparison, FamilyLaw, LawStudy

_HEAD = f"  {'':<8}{'estimate':>12}{'stderr':>12}  95% interval"


def study_to_text(study: LawStudy) -> str:
    """Return every family's law, what warns of trouble, predictions, and the comparison of families."""
    lines = [f"note: {note}" for note in study.notes]
    for law in study.families:
        lines += [*([""] if lines else []), *_family_lines(law)]
    if study.comparison is not None:
        lines += _comparison_lines(study.comparison)
    methods = dict.fromkeys(law.fit.sampling.method for law in study.families)
    lines += ["", f"intervals: {'; '.join(methods)}; {study.resamples} resamples, seed {study.seed}"]
    return "\n".join(lines)


def matched_to_text(laws: MatchedLaws) -> str:
    """Return the laws of a matched study in a line or two an arm, or why an arm has none."""
    lines = ["scaling laws L(N, D), N active parameters and D tokens (isojoule fit says more)"]
    lines += [f"  {arm}: none, {reason}" for arm, reason in sorted(laws.reasons.items())]
    for law in laws.study.families if laws.study is not None else ():
        values = ", ".join(f"{name} {_short(q.estimate)} ({_interval(q)})" for name, q in law.fit.parameters.items())
        lines.append(f"  {law.family}: {values}")
        if law.optimum is not None:
            loss = law.optimum.loss
            lines.append(
                f"    next budget {law.optimum.flops:.3g} FLOPs, extrapolated before it is run: "
                f"loss {_short(loss.estimate)} ({_interval(loss)})"
            )
        lines += [f"    warning: {warning}" for warning in law.warnings]
    if laws.study is not None and laws.study.comparison is not None:
        lines += _multiplier_lines("compute multipliers of the laws", laws.study.comparison.multipliers)[1:]
    return "\n".join(lines)


def _family_lines(law: FamilyLaw) -> list[str]:
    points, diagnostics = law.fit.points, law.diagnostics
    title = f"{law.family}: " if law.family is not None else ""
    lines = [f"{title}{law.fit.form.name}, {len(points)} points, {points.num_configurations} configurations", _HEAD]
    lines += [_quantity_line(name, value) for name, value in law.fit.parameters.items()]
    lines.append(
        f"  log residuals: rms {diagnostics.rms_log_residual:.3g}, largest {diagnostics.largest_log_residual:.3g}, "
        f"{diagnostics.share_in_linear_part:.0%} in the linear part of Huber's loss"
    )
    for name, slope in diagnostics.trends.items():
        lines.append(f"  trend with ln {name}: {_short(slope.estimate)} ({_interval(slope)})")
    lack = diagnostics.lack_of_fit
    known = lack.statistic is not None and lack.p_value is not None
    verdict = f"F = {lack.statistic:.3g}, p = {lack.p_value:.2g}" if known else f"unknown: {lack.reason}"
    lines.append(f"  lack of fit: {verdict}")
    lines += _held_out_lines(law.held_out)
    if law.optimum is not None:
        lines += _optimum_lines(law.optimum)
    return [*lines, *(f"  warning: {warning}" for warning in law.warnings)]


def _optimum_lines(optimum: BudgetPrediction) -> list[str]:
    span = f"{optimum.smallest_budget:.3g} to {optimum.largest_budget:.3g}"
    beyond = f", EXTRAPOLATED: the data hold {span}" if optimum.extrapolated else ""
    lines = [f"  at {optimum.flops:.4g} FLOPs{beyond}", f"    {optimum.convention}"]
    for name in ("params", "tokens", "loss"):
        quantity: Quantity | None = getattr(optimum, name)
        if quantity is not None:
            lines.append(_quantity_line(name, quantity) + ("  (not in the data)" if name in optimum.outside else ""))
    return lines


def _held_out_lines(held_out: HeldOut) -> list[str]:
    if held_out.rms_log_error is None:
        return [f"  largest budget held out: unknown ({held_out.reason})"]
    judged = [point for point in held_out.points if point.inside is not None]
    head = (
        f"  largest budget held out ({held_out.held_out_flops:.3g} FLOPs): rms log error {held_out.rms_log_error:.3g}"
    )
    return [f"{head}, {held_out.num_inside} of {len(judged)} losses inside their prediction interval"]


def _comparison_lines(comparison: Comparison) -> list[str]:
    test = comparison.shared_e
    lines = ["", "one irreducible loss E for all families?", f"  {test.statistic}"]
    for pair in test.pairs:
        p = "unknown" if pair.p_value is None else f"{pair.p_value:.2g}"
        lines.append(
            f"  E({pair.first}) - E({pair.second}) = {_short(pair.difference.estimate)} "
            f"({_interval(pair.difference)}), p = {p}"
        )
    verdict = {True: "a shared E is rejected", False: "a shared E is not rejected", None: "cannot be told"}
    lines.append(f"  {verdict[test.rejected]}; sharing it adds {test.objective_increase:.3g} to the objective")
    lines += _multiplier_lines("compute multipliers, each family with its own E", comparison.multipliers)
    for law in comparison.shared_laws:
        lines += ["", f"{law.family} with the shared E", _HEAD]
        lines += [_quantity_line(name, value) for name, value in law.fit.parameters.items()]
    return lines + _multiplier_lines("compute multipliers with the shared E", comparison.shared_multipliers)


def _multiplier_lines(title: str, multipliers: Sequence[LawMultiplier]) -> list[str]:
    lines = ["", title]
    for m in multipliers:
        loss = f"{m.loss:.4f}" if m.loss is not None else "unknown"
        at = f"{m.candidate}'s loss at {m.budget:.3g} FLOPs ({loss})" if m.budget else f"loss {loss}"
        span = f"{m.interval.low:.3f} to {m.interval.high:.3f}" if m.interval else m.reason or "-"
        if m.lower_bound is not None:
            span = f"above {m.lower_bound:.3f}: {m.reason}"
        value = f"{m.estimate:.3f}" if m.estimate is not None else "unknown"
        beyond = f"  EXTRAPOLATED for {', '.join(m.extrapolated)}" if m.extrapolated else ""
        lines.append(f"  {m.baseline} / {m.candidate} at {at}: {value} ({span}){beyond}")
    return lines


def _quantity_line(name: str, quantity: Quantity) -> str:
    return f"  {name:<8}{_short(quantity.estimate):>12}{_short(quantity.stderr):>12}  {_interval(quantity)}"


def _interval(quantity: Quantity) -> str:
    interval = quantity.interval
    return f"{interval.low:.5g} to {interval.high:.5g}" if interval else f"unknown: {quantity.reason}"


def _short(value: float | None) -> str:
    return f"{value:.5g}" if value is not None else "unknown"
