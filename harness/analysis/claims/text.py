"""A verdict in plain words: what was found, how sure it is, and what the claim says."""

from __future__ import annotations

from typing import Protocol

from harness.analysis.results import Interval, MatchResult
from harness.analysis.verdicts import ClaimSpec, VerdictWord

NOUNS = {
    "training_flops": "training FLOPs",
    "training_tokens": "training tokens",
    "training_seconds": "training time",
    "training_energy": "training energy",
    "training_net_energy": "training energy net of idle",
    "peak_memory": "peak memory",
    "flops_per_task": "FLOPs per task",
    "seconds_per_task": "time per task",
    "energy_per_task": "energy per task",
    "net_energy_per_task": "energy per task net of idle",
    "energy_per_correct": "energy per correct answer",
    "energy_per_token": "energy per token of the answer",
    "energy_per_byte": "energy per byte of the answer",
}
_ARMS = {"dense": "dense", "moe": "sparse-expert"}
_COMPARED = {"<=": "{}x or less", "<": "less than {}x", ">=": "{}x or more", ">": "more than {}x"}


class Ratio(Protocol):
    """Candidate over baseline as it is to be told; `upper_bound` holds where the baseline never got there."""

    @property
    def estimate(self) -> float | None:
        """The ratio."""

    @property
    def interval(self) -> Interval | None:
        """Its confidence interval."""

    @property
    def n(self) -> int:
        """How many seeds it rests on."""

    @property
    def upper_bound(self) -> float | None:
        """What the ratio is below of in every seed."""


def describe_claim(claim: ClaimSpec) -> str:
    """Return the claim in numbers, e.g. ``0.1x or less``, with its tolerance where it has one (and so the limit)."""
    text = _COMPARED[claim.comparator].format(f"{claim.factor:g}")
    if not claim.tolerance:
        return text
    return f"{text}, with a tolerance of {claim.tolerance:.3g} (limit {claim.limit:.4g}x)"


def explain_verdict(claim: ClaimSpec, match: MatchResult, row: Ratio, word: VerdictWord, reason: str | None) -> str:
    """Return the sentence under a verdict, from the loss that was matched to the reason for the word."""
    arms = (match.baseline_arm, match.candidate_arm)
    return explain_ratio(claim, _describe_place(claim, match), arms, row, word, reason)


def explain_ratio(  # noqa: PLR0917 - the parts of one sentence
    claim: ClaimSpec,
    place: str,
    arms: tuple[str, str],
    row: Ratio,
    word: VerdictWord,
    reason: str | None,
    *,
    unit: str = "seed",
) -> str:
    """Return the same for baseline and candidate (`arms`) at any `place`; `unit` is what was repeated."""
    noun = NOUNS[claim.metric]
    candidate = f"the {_name(arms[1])} models"
    baseline = f"the {_name(arms[0])} models' {noun}"
    says = f"the claim is {describe_claim(claim)}"
    seeds = f"n = {row.n} {unit}{'' if row.n == 1 else 's'}"
    if row.estimate is None:
        if row.upper_bound is not None and word != "not measured":
            found = f"{place} {candidate} needed less than {row.upper_bound:.2g}x of {baseline}, in every {unit}"
        else:
            found = f"{place} the ratio of {noun} is unknown"
        return f"{found}; {says}. {word.capitalize()}: {reason}."
    if row.interval is not None:
        sure = f"{row.interval.level:.0%} CI {_number(row.interval.low)}-{_number(row.interval.high)}, {seeds}"
    else:
        sure = seeds
    verb = "needed, by modelled energy that is no measurement," if word == "not measured" else "needed"
    found = f"{place} {candidate} {verb} {_number(row.estimate)}x ({sure}) of {baseline}; {says}."
    return f"{found} {word.capitalize()}{f': {reason}' if reason else ''}."


def _describe_place(claim: ClaimSpec, match: MatchResult) -> str:
    """Return at which equal quality the models were compared."""
    if claim.selectors.matched_by == "accuracy":
        error = match.accuracy.error_rate if match.accuracy is not None else None
        return f"At an accuracy of {1 - error:.1%}" if error is not None else "In this study"
    loss = next((m.loss for m in match.headline), match.matched_loss)
    return f"At {loss:.2f} bits per byte" if loss is not None else "In this study"


def _name(arm: str) -> str:
    return _ARMS.get(arm, f"'{arm}'")


def _number(value: float) -> str:
    """Return two decimals, or two significant digits below 0.1."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
