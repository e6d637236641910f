"""The answer in plain words, and one card for each claim."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.analysis.claims.text import NOUNS
from harness.analysis.inference.results import InferenceResult
from harness.analysis.results import Interval, MatchResult, Multiplier
from harness.analysis.verdicts import ClaimVerdict
from harness.core.records import RunRecord
from harness.core.units import format_digits
from harness.report.page import numbers as n
from harness.report.page.blocks import Card, Cell
from harness.report.plots.verdict_scale import verdict_scale

_TONES = {
    "supported": "good",
    "not supported at the tested scale": "bad",
    "inconclusive": "open",
    "not measured": "none",
}
_METRICS = {**NOUNS, "training_flops": "training compute"}
_BOUNDS = {"<=": "at most", "<": "below", ">=": "at least", ">": "above"}


def summarise(match: MatchResult, verdicts: Sequence[ClaimVerdict], records: Sequence[RunRecord]) -> list[Cell]:
    """Return the answer as one to three paragraphs that a newcomer can read."""
    finished = [record for record in records if record.status == "finished"]
    if not finished:
        return [
            (
                f"There is nothing to compare yet: of {len(records)} runs that could be read, none finished. "
                "What failed, and why, is listed below."
            )
        ]
    flops = _headline(match, "flops")
    if match.matched_loss is None or flops is None:
        families = ", ".join(sorted({record.arm for record in finished}))
        return [
            Markup("The two families cannot be compared: {}. Finished runs: {} ({}).").format(
                match.matched_loss_reason or "no loss was reached by both", str(len(finished)), families
            )
        ]
    paragraphs: list[Cell] = [_compute_sentence(match, flops), _energy_sentence(match)]
    paragraphs.append(_verdict_sentence(verdicts))
    return [paragraph for paragraph in paragraphs if paragraph]


def make_card(verdict: ClaimVerdict, match: MatchResult | InferenceResult) -> Card:
    """Return the card of one verdict; a ratio of modelled energies stands beside it and never as the verdict."""
    claim, source = verdict.claim, n.runs(verdict.run_ids)
    word = verdict.verdict
    titles = {check.code: check.title for check in match.checks}
    energy_blind = word == "not measured" and claim.kind == "energy"
    facts: list[tuple[str, Cell]] = [
        (
            "The claim in numbers",
            Markup("{} {} of the baseline").format(
                _BOUNDS[claim.comparator], n.digits(claim.factor, f"claim {claim.id}")
            ),
        ),
        ("What is compared", f"{_METRICS[claim.metric]}, candidate over baseline"),
    ]
    if claim.tolerance:
        facts.append(("Limit with its tolerance", n.digits(claim.limit, f"claim {claim.id}")))
    if verdict.estimate is not None and not energy_blind:
        facts.append(("Ratio", n.digits(verdict.estimate, source)))
        facts.append(("Interval", n.interval(verdict.interval, source, suffix="")))
    if verdict.upper_bound is not None:
        facts.append(("Upper bound", Markup("at most {}").format(n.digits(verdict.upper_bound, source))))
    facts += [
        ("Repeats compared" if isinstance(match, InferenceResult) else "Seeds compared", n.count(verdict.n, source)),
        (
            "Grade",
            n.grade_badge(verdict.grade)
            if claim.kind == "energy"
            else Markup('<span class="badge measured">{}</span>').format(claim.kind),
        ),
    ]
    if verdict.matched_loss is not None:
        facts.append(("Matched loss", Markup("{} bits per byte").format(n.fixed(verdict.matched_loss, 3, source))))
    return Card(
        claim_id=claim.id,
        statement=claim.statement,
        source=claim.source,
        word=word,
        tone=_TONES[word],
        text=verdict.text,
        big=_big(verdict, energy_blind),
        big_label=_big_label(verdict, energy_blind),
        scale=_scale(verdict, energy_blind),
        facts=tuple(facts),
        blocking=tuple(titles.get(code, code) for code in verdict.blocking),
        modelled=_modelled(verdict, source) if energy_blind and n.is_modelled(verdict.grade) else "",
    )


def _big(verdict: ClaimVerdict, energy_blind: bool) -> Markup:
    if verdict.estimate is None or energy_blind:
        return Markup('<span data-value="" data-source="">no verdict</span>')
    shown = max(verdict.estimate, 1 / verdict.estimate) if verdict.estimate > 0 else None
    return n.num(shown, f"{format_digits(shown)}{n.TIMES}", n.runs(verdict.run_ids), "the ratio is not positive")


def _big_label(verdict: ClaimVerdict, energy_blind: bool) -> str:
    metric = _METRICS[verdict.claim.metric]
    if verdict.estimate is None or energy_blind:
        return f"{metric} was not measured" if verdict.verdict == "not measured" else "no ratio"
    amount = "as much" if _is_even(verdict.estimate) else "less" if verdict.estimate < 1 else "more"
    claim = verdict.claim
    if claim.comparator in (">=", ">") or claim.factor > 1:
        return f"{amount} {metric}, where {_BOUNDS[claim.comparator]} {claim.factor:.3g} of the baseline is claimed"
    return f"{amount} {metric}, where {1 / claim.factor:.3g}{n.TIMES} less is claimed"


def _is_even(ratio: float) -> bool:
    return ratio > 0 and format_digits(max(ratio, 1 / ratio)) == format_digits(1.0)


def _scale(verdict: ClaimVerdict, energy_blind: bool) -> Markup | None:
    estimate = verdict.modelled_estimate if energy_blind else verdict.estimate
    interval: Interval | None = verdict.modelled_interval if energy_blind else verdict.interval
    low, high = (interval.low, interval.high) if interval is not None else (None, None)
    above = verdict.claim.comparator in (">=", ">")
    return verdict_scale(verdict.claim.limit, estimate, low, high, modelled=energy_blind, above=above)


def _modelled(verdict: ClaimVerdict, source: str) -> Cell:
    words = Markup(
        "<strong>Energy on this machine is modelled</strong>, because no energy meter could "
        "be read for these runs; a model yields no verdict. "
    )
    if verdict.modelled_estimate is None:
        return words + Markup("There is no modelled ratio either.")
    shown = n.digits(verdict.modelled_estimate, f"modelled energies; {source}")
    return words + Markup("The ratio of the modelled energies, candidate over baseline, is {} ({}). {}").format(
        shown,
        n.interval(verdict.modelled_interval, f"modelled energies; {source}", suffix=""),
        Markup('<span class="badge modelled">modelled</span>'),
    )


def _headline(match: MatchResult, resource: str) -> Multiplier | None:
    return next((row for row in match.headline if row.resource == resource), None)


def _compute_sentence(match: MatchResult, row: Multiplier) -> Cell:
    source = n.runs(row.run_ids)
    loss = n.fixed(match.matched_loss, 3, source)
    begin = Markup("Trained to the same quality, {} bits per byte on held-out text, ").format(loss)
    if row.estimate is None or row.estimate <= 0:
        if row.lower_bound is None:
            return begin + Markup("the compute multiplier cannot be told: {}.").format(
                row.reason or "no reason recorded"
            )
        bound = n.num(row.lower_bound, f"{format_digits(row.lower_bound)} times", source)
        return begin + Markup(
            "the {} models needed <strong>at least {} less</strong> training compute than the {} models, "
            "which never got there."
        ).format(match.candidate_arm, bound, match.baseline_arm)
    amount, link = _amount(row.estimate, source)
    sentence = begin + Markup("the {} models needed <strong>{}</strong> training compute {} the {} models").format(
        match.candidate_arm, amount, link, match.baseline_arm
    )
    if row.interval is not None:
        sentence += Markup(" (multiplier {} to {}, {:.0f}% confidence, {} seeds)").format(
            n.digits(row.interval.low, source),
            n.digits(row.interval.high, source),
            100 * row.interval.level,
            n.count(row.n, source),
        )
        if row.interval.low <= 1 <= row.interval.high:
            sentence += ". That interval holds 1: no difference between the families is shown"
    else:
        sentence += Markup(" (seeds: {}, too few for an interval)").format(n.count(row.n, source))
    return sentence + "."


def _amount(estimate: float, source: str) -> tuple[Markup, str]:
    """Return a multiplier in words, and the word that leads to what it is compared with."""
    ratio = max(estimate, 1 / estimate)
    shown = format_digits(ratio)
    if _is_even(estimate):
        return Markup("about as much ({})").format(n.num(ratio, f"{shown}{n.TIMES}", source)), "as"
    return Markup("{} {}").format(n.num(ratio, f"{shown} times", source), "less" if estimate >= 1 else "more"), "than"


def _energy_sentence(match: MatchResult) -> Cell:
    row = _headline(match, "energy")
    if row is None or row.estimate is None or row.estimate <= 0:
        return "How much energy that took cannot be told from these records."
    amount, link = _amount(row.estimate, n.runs(row.run_ids))
    kind = n.energy_word(row.grade, row.simulated)
    tails = {
        "simulated": "It is made up to exercise the program.",
        "modelled": (
            "No energy meter could be read, so this follows running time and a power model; it is not a measurement."
        ),
    }
    tail = tails.get(kind, f"The energy is of grade {row.grade or 'unknown'}.")
    return Markup("They spent {} <strong>{}</strong> training energy {} the {} models. {}").format(
        amount, kind, link, match.baseline_arm, tail
    )


def _verdict_sentence(verdicts: Sequence[ClaimVerdict]) -> Cell:
    if not verdicts:
        return "No claim was put to the test."
    parts = [Markup("“{}”: <strong>{}</strong>").format(v.claim.statement.rstrip("."), v.verdict) for v in verdicts]
    return Markup("The claims: ") + n.join(parts, "; ") + "."
