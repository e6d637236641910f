"""Claims as data, and the verdict on each: supported, not supported at the tested scale, inconclusive, not measured.

A claim says ``candidate / baseline <= factor``. It is supported when the whole confidence interval lies at or below the
factor, and not supported at the tested scale when the whole interval lies above it. FLOPs are counted, so those claims
are judged on any machine; an energy claim needs hardware readings (grade A or B) on both sides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

import yaml  # type: ignore[import-untyped, unused-ignore]
from pydantic import TypeAdapter, ValidationError

from harness.analysis.results import ClaimSpec, ClaimVerdict, Interval, MatchResult, VerdictWord
from harness.analysis.stats import invert_interval
from harness.analysis.summary import verdicts_to_json
from harness.core.errors import ConfigError, did_you_mean
from harness.core.records import Grade

__all__ = ["judge", "judge_all", "load_claims", "verdicts_to_json"]

CLAIM_PACKAGE = "harness.conf"
CLAIM_FOLDER = "claim"
MODELLED_GRADES: tuple[Grade, ...] = ("C", "D")

_NOUNS = {
    "training_flops": "training FLOPs",
    "training_energy": "training energy",
    "energy_per_task": "energy per task",
    "energy_per_correct": "energy per correct answer",
}
_ARMS = {"dense": "dense", "moe": "sparse-expert"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """Candidate over baseline for one claim, before it is judged."""

    estimate: float | None = None
    interval: Interval | None = None
    n: int = 0
    grade: Grade | None = None
    run_ids: tuple[str, ...] = ()
    upper_bound: float | None = None
    reason: str | None = None


def load_claims(ids: Sequence[str] | None = None, folder: Traversable | None = None) -> list[ClaimSpec]:
    """Return the claims named by `ids` in that order, or all of them by id; `folder` replaces the shipped one.

    Raises:
        ConfigError: an id is not known, or a claim file does not say what a claim needs.
    """
    known = {claim.id: claim for claim in _read_claims(folder)}
    for wanted in ids or ():
        if wanted not in known:
            raise ConfigError(
                f"claim '{wanted}' is not known; there are: {', '.join(sorted(known))}.{did_you_mean(wanted, known)}"
            )
    return [known[name] for name in (sorted(known) if ids is None else ids)]


def _read_claims(folder: Traversable | None) -> Iterator[ClaimSpec]:
    if folder is None:
        folder = resources.files(CLAIM_PACKAGE) / CLAIM_FOLDER
    adapter = TypeAdapter(ClaimSpec)
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".yaml"):
            continue
        try:
            claim = adapter.validate_python(yaml.safe_load(file.read_text(encoding="utf-8")))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the file"
            raise ConfigError(f"claim file {file.name}: {where}: {first['msg']}") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"claim file {file.name} is not YAML: {error}") from error
        if not claim.factor > 0:
            raise ConfigError(f"claim file {file.name}: factor is {claim.factor}; it must be above 0.")
        yield claim


def judge_all(claims: Sequence[ClaimSpec], match: MatchResult) -> list[ClaimVerdict]:
    """Return the verdict on each claim, in order."""
    return [judge(claim, match) for claim in claims]


def judge(claim: ClaimSpec, match: MatchResult) -> ClaimVerdict:
    """Judge one claim; a failing fairness check turns either directional verdict into *inconclusive*."""
    row = _find_row(claim, match)
    failing = tuple(
        check.code
        for check in match.checks
        if check.outcome == "fail" and check.blocking and (claim.kind == "energy" or not check.energy_only)
    )
    word, reason = _decide(claim, match, row)
    blocking: tuple[str, ...] = ()
    if failing and word in ("supported", "not supported at the tested scale"):
        titles = "; ".join(f"{check.title}: {check.text}" for check in match.checks if check.code in failing)
        word, blocking = "inconclusive", failing
        reason = f"a fairness check failed ({titles})"
    elif failing and word == "inconclusive":
        blocking = failing
    modelled = word == "not measured"
    shown = dataclasses.replace(row, estimate=None, interval=None) if modelled else row
    return ClaimVerdict(
        claim=claim,
        verdict=word,
        text=_explain(claim, match, row, word, reason),
        estimate=shown.estimate,
        interval=shown.interval,
        multiplier=1 / shown.estimate if shown.estimate else None,
        multiplier_interval=invert_interval(shown.interval),
        n=row.n,
        grade=row.grade,
        matched_loss=match.matched_loss,
        run_ids=row.run_ids,
        blocking=blocking,
        modelled_estimate=row.estimate if modelled else None,
        modelled_interval=row.interval if modelled else None,
        upper_bound=None if modelled else row.upper_bound,
    )


def _find_row(claim: ClaimSpec, match: MatchResult) -> _Row:
    missing = match.matched_loss_reason or "the study has no such number"
    if claim.metric in ("training_flops", "training_energy"):
        resource = "flops" if claim.metric == "training_flops" else "energy"
        found = next((m for m in match.headline if m.resource == resource), None)
        if found is None:
            return _Row(reason=missing)
        return _Row(
            estimate=1 / found.estimate if found.estimate else None,
            interval=invert_interval(found.interval),
            n=found.n,
            grade=found.grade,
            run_ids=found.run_ids,
            upper_bound=1 / found.lower_bound if found.lower_bound else None,
            reason=found.reason,
        )
    ratio = next((r for r in match.task_ratios if r.metric == claim.metric), None)
    if ratio is None:
        return _Row(reason=missing)
    return _Row(
        estimate=ratio.estimate,
        interval=ratio.interval,
        n=ratio.n,
        grade=ratio.grade,
        run_ids=ratio.run_ids,
        reason=ratio.reason,
    )


def _decide(  # noqa: PLR0911  # one return for each verdict and its reason
    claim: ClaimSpec, match: MatchResult, row: _Row
) -> tuple[VerdictWord, str | None]:
    if not match.points:
        return "not measured", row.reason
    if claim.kind == "energy":
        if row.grade in MODELLED_GRADES:
            return "not measured", f"the energy readings are modelled or simulated (grade {row.grade})"
        if row.grade is None and not _has_measured_energy(match):
            return "not measured", row.reason or "there is no energy reading"
    if row.estimate is None:
        return "inconclusive", row.reason or "there is no estimate"
    if row.interval is None:
        return "inconclusive", row.reason or "there is no interval"
    if row.interval.high <= claim.factor:
        return "supported", None
    if row.interval.low > claim.factor:
        return "not supported at the tested scale", None
    return "inconclusive", "the interval holds the claim's factor"


def _has_measured_energy(match: MatchResult) -> bool:
    """Return whether every run of both arms has hardware readings: what is missing is then a match, not a meter."""
    grades = {point.energy_grade for point in match.points if point.arm in (match.baseline_arm, match.candidate_arm)}
    return bool(grades) and grades <= {"A", "B"}


def _explain(claim: ClaimSpec, match: MatchResult, row: _Row, word: VerdictWord, reason: str | None) -> str:
    """Say the verdict in plain words: what was found, how sure, and what the claim says."""
    noun = _NOUNS[claim.metric]
    loss = next((m.loss for m in match.headline), match.matched_loss)
    place = f"At {loss:.2f} bits per byte" if loss is not None else "In this study"
    candidate = f"the {_name(match.candidate_arm)} models"
    baseline = f"the {_name(match.baseline_arm)} models' {noun}"
    says = f"the claim is {claim.factor:g}x or less"
    seeds = f"n = {row.n} seed{'' if row.n == 1 else 's'}"
    if row.estimate is None:
        if row.upper_bound is not None and word != "not measured":
            found = f"{place} {candidate} needed less than {row.upper_bound:.2g}x of {baseline}, in every seed"
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


def _name(arm: str) -> str:
    return _ARMS.get(arm, f"'{arm}'")


def _number(value: float) -> str:
    """Return two decimals, or two significant digits below 0.1."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
