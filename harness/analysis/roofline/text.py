"""Constants of a step and the candidate by them as plain text, from the same numbers as the JSON."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.inference.text_detail import format_interval
from harness.analysis.roofline.fit import MAX_CONDITION
from harness.analysis.roofline.results import TERMS, Prediction, Roofline, StepFit, Term
from harness.analysis.stats import Estimate
from harness.core.inference import name_regime
from harness.core.units import format_digits, format_si

TERM_WORDS: dict[Term, str] = {"j_per_step": "per step", "j_per_byte": "per byte", "j_per_flop": "per FLOP"}
WHAT_IT_IS = (
    "energy of a step = J per step + J per byte * bytes + J per FLOP * FLOPs, none below 0; gross energy of whole "
    "windows, so idle power is in the constants"
)


def roofline_to_text(roofline: Roofline) -> str:
    """Return fits, predictions and what was left out, without colours."""
    device = f" on {roofline.device}" if roofline.device else ""
    lines = [
        f"study {roofline.study}{device}: {roofline.num_observations} windows",
        WHAT_IT_IS,
        roofline.power_limit_note,
    ]
    for fit in roofline.fits:
        lines += ["", *_fit_lines(fit)]
    for prediction in roofline.predictions:
        lines += ["", *_prediction_lines(prediction)]
    if roofline.left_out:
        lines += ["", "windows left out"]
        lines += [f"  {one.num_windows} {one.phase} of {one.arm}: {one.reason}" for one in roofline.left_out]
    return "\n".join(lines)


def warn_of_energy(fit: StepFit) -> list[str]:
    """Return in words that the constants are no measurement, where they are none."""
    if fit.constants is None or fit.word not in ("modelled", "simulated"):
        return []
    if fit.word == "simulated":
        return ["the energy is SIMULATED: the constants are those of no device"]
    return ["the energy is modelled, not measured, and so are the constants: they say how a power model follows time"]


def describe_fit(fit: StepFit) -> list[str]:
    """Return in words what a reader of the constants must know; nothing of a fit without any."""
    if fit.constants is None:
        return []
    told = []
    if fit.mixed:
        names = " and ".join(TERM_WORDS[term] for term in fit.mixed)
        how = f"condition {format_digits(fit.condition)}" if fit.condition is not None else "no full rank"
        told.append(
            f"the constants {names} are not told apart ({how}, above {MAX_CONDITION:g} is too much): single ones mean "
            "little, their sum predicts steps of the same kind"
        )
    bound = [TERM_WORDS[term] for term in TERMS if fit.constants[term].at_bound]
    if bound:
        told.append(f"held at 0, below which no constant goes: {', '.join(bound)}")
    if fit.num_capped:
        told.append(f"{fit.num_capped} of {fit.num_observations} predictions are capped at the power limit")
    return told


def _fit_lines(fit: StepFit) -> list[str]:
    basis = (
        f"{fit.num_observations} windows of {fit.num_runs} runs, {fit.num_regimes} regimes, {fit.num_workloads} that "
        "differ in work"
    )
    lines = [f"{fit.phase}, {fit.arm} ({fit.word} energy): {basis}"]
    if fit.constants is None:
        return [*lines, f"  constants unknown: {fit.reason}"]
    for term in TERMS:
        constant = fit.constants[term]
        unit = "J" if term == "j_per_step" else "pJ"
        factor = 1.0 if term == "j_per_step" else 1e12
        ends = constant.interval
        interval = (
            f"{ends.level:.0%}: {format_digits(ends.low * factor)} to {format_digits(ends.high * factor)} {unit} "
            f"({ends.method})"
            if ends is not None
            else f"no interval ({constant.reason})"
        )
        if constant.at_bound:
            interval = f"held at 0; {interval}"
        lines.append(f"  {TERM_WORDS[term]:<10}{format_digits(constant.value * factor):>10} {unit:<3} {interval}")
    lines.append(
        f"  relative error: rms {_percent(fit.rms)}, of a workload that the fit did not see "
        f"{_percent(fit.held_out_rms)}; {fit.word} over predicted {format_digits(fit.own_ratio)}; correlation of bytes "
        f"and FLOPs {format_digits(fit.correlation)}"
    )
    return [*lines, *(f"  note: {note}" for note in (*warn_of_energy(fit), *describe_fit(fit)))]


def _prediction_lines(prediction: Prediction) -> list[str]:
    p = prediction
    title = f"{p.phase}: {p.candidate_arm} projected by the constants of {p.baseline_arm}, beside what it took"
    lines = [f"{title} ({p.word} energy)"]
    if p.reason is not None:
        return [*lines, f"  {p.finding}"]
    table = [["regime", "J/step", "projected", "measured/projected", "95% over seeds", "n", "capped"]]
    if p.word != "measured":
        table[0][3] = f"{p.word}/projected"
    table += [
        [
            f"{row.size}, {name_regime(row.regime)}",
            format_si(row.measured_j.value, "J"),
            format_si(row.predicted_j, "J"),
            format_digits(row.ratio.value),
            _ends(row.ratio),
            str(row.ratio.n),
            str(row.num_capped),
        ]
        for row in p.regimes
    ]
    lines += _aligned(table)
    lines.append(f"  geometric mean {format_digits(p.ratio.value)} {_ends(p.ratio)}, n = {p.ratio.n} seeds")
    if p.ratio_range is not None:
        low, high = p.ratio_range
        lines.append(
            f"  by constants that fit the baseline about as well: {format_digits(low)} to {format_digits(high)}"
        )
    if p.overhead.value is None:
        lines.append(f"  implied overhead of bytes and FLOPs: unknown ({p.overhead.reason})")
    else:
        lines.append(
            f"  implied overhead of bytes and FLOPs: {format_digits(p.overhead.value)} {_ends(p.overhead)}, over "
            f"{_percent(p.work_share)} of the prediction"
        )
    lines.append(
        f"  rms {_percent(p.rms)}; with that overhead {_percent(p.overhead_rms)}, with the whole step scaled "
        f"{_percent(p.scaled_rms)}; within the held-out error {_percent(p.within)} of {p.num_observations} windows; "
        f"{p.num_outside} windows outside the work that was fitted; {p.num_capped} capped"
    )
    return [*lines, f"  finding: {p.finding}"]


def _ends(estimate: Estimate) -> str:
    return f"[{format_interval(estimate.interval)}]" if estimate.interval is not None else f"[{estimate.reason}]"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f}%"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            f"{c:<{w}}" if place == 0 else f"{c:>{w}}" for place, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
