"""The verdict on a testable claim: supported, not supported at the tested scale, inconclusive, not measured.

A claim says ``candidate / baseline <= factor`` (or ``<``, ``>=``, ``>``). It is supported when the whole confidence
interval lies on the claim's side of its limit, and not supported at the tested scale when the whole interval lies on
the other side. FLOPs are counted, so those claims are judged on any machine; an energy claim needs hardware readings
(grade A or B) on both sides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.analysis.claims.text import explain_verdict
from harness.analysis.results import Check, Interval, MatchResult, Resource
from harness.analysis.stats import invert_interval
from harness.analysis.verdicts import ClaimSpec, ClaimVerdict, VerdictWord
from harness.core.readings import Grade

MODELLED_GRADES: tuple[Grade, ...] = ("C", "D")
FAMILIES = ("dense", "sparse")
DIRECTIONAL: tuple[VerdictWord, ...] = ("supported", "not supported at the tested scale")

_RESOURCES: dict[str, Resource] = {
    "training_flops": "flops",
    "training_tokens": "tokens",
    "training_seconds": "seconds",
    "training_energy": "energy",
    "training_net_energy": "net_energy",
    "peak_memory": "peak_memory",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Candidate over baseline for one claim, before it is judged."""

    estimate: float | None = None
    interval: Interval | None = None
    n: int = 0
    grade: Grade | None = None
    run_ids: tuple[str, ...] = ()
    upper_bound: float | None = None
    simulated: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one claim is judged on, whatever kind of study it comes from.

    `mismatch` says why the study is none that the claim speaks about. `explain` writes the sentence under the verdict;
    `find_obstacle` says why a direction must not be given, beyond the checks, as the code and the words of a check.
    """

    row: Row
    checks: tuple[Check, ...]
    has_runs: bool
    has_measured_energy: bool
    matched_loss: float | None
    explain: Callable[[Row, VerdictWord, str | None], str]
    mismatch: str | None = None
    find_obstacle: Callable[[VerdictWord], tuple[str, str] | None] = lambda _: None
    unit: str = "seed"


def judge_all(claims: Sequence[ClaimSpec], match: MatchResult) -> list[ClaimVerdict]:
    """Return the verdict on each claim, in order."""
    return [judge(claim, match) for claim in claims]


def judge(claim: ClaimSpec, match: MatchResult) -> ClaimVerdict:
    """Judge one claim; a failing fairness check turns either directional verdict into *inconclusive*."""
    mismatch = find_mismatch(claim, match)

    def explain(row: Row, word: VerdictWord, reason: str | None) -> str:
        return explain_verdict(claim, match, row, word, reason)

    return judge_case(
        claim,
        Case(
            row=Row(reason=mismatch) if mismatch is not None else _find_row(claim, match),
            checks=match.checks,
            has_runs=bool(match.points),
            has_measured_energy=_has_measured_energy(match),
            matched_loss=None if claim.selectors.matched_by == "accuracy" else match.matched_loss,
            explain=explain,
            mismatch=mismatch,
        ),
    )


def judge_case(claim: ClaimSpec, case: Case) -> ClaimVerdict:
    """Judge one claim on its case: the interval's side, then the checks, the number of repeats and other obstacles."""
    row, mismatch = case.row, case.mismatch
    failing = tuple(
        check.code
        for check in case.checks
        if check.outcome == "fail" and check.blocking and (claim.kind != "counted" or not check.energy_only)
    )
    word, reason = ("not measured", mismatch) if mismatch is not None else _decide(claim, case)
    blocking: tuple[str, ...] = ()
    obstacle = case.find_obstacle(word) if word in DIRECTIONAL else None
    if failing and word in DIRECTIONAL:
        titles = "; ".join(f"{check.title}: {check.text}" for check in case.checks if check.code in failing)
        word, blocking = "inconclusive", failing
        reason = f"a fairness check failed ({titles})"
    elif failing and word == "inconclusive":
        blocking = failing
    elif word in DIRECTIONAL and row.n < claim.min_n:
        word = "inconclusive"
        reason = f"{row.n} {case.unit}s, and the claim asks for at least {claim.min_n} before a direction is given"
    elif obstacle is not None:
        word, blocking, reason = "inconclusive", (obstacle[0],), obstacle[1]
    modelled = word == "not measured"
    shown = dataclasses.replace(row, estimate=None, interval=None) if modelled else row
    return ClaimVerdict(
        claim=claim,
        verdict=word,
        text=case.explain(row, word, reason) if mismatch is None else f"Not measured: {mismatch}.",
        estimate=shown.estimate,
        interval=shown.interval,
        multiplier=1 / shown.estimate if shown.estimate else None,
        multiplier_interval=invert_interval(shown.interval),
        n=row.n,
        grade=row.grade,
        matched_loss=case.matched_loss,
        run_ids=row.run_ids,
        blocking=blocking,
        modelled_estimate=row.estimate if modelled else None,
        modelled_interval=row.interval if modelled else None,
        upper_bound=None if modelled else row.upper_bound,
    )


def skip_all(claims: Sequence[ClaimSpec], reason: str) -> list[ClaimVerdict]:
    """Return *not measured* for each claim, because of `reason`: there is no study to judge it on."""
    return [
        ClaimVerdict(
            claim=claim,
            verdict="not measured",
            text=f"Not measured: {reason}.",
            estimate=None,
            interval=None,
            multiplier=None,
            multiplier_interval=None,
            n=0,
            grade=None,
            matched_loss=None,
            run_ids=(),
            blocking=(),
        )
        for claim in claims
    ]


def find_mismatch(claim: ClaimSpec, match: MatchResult) -> str | None:
    """Return why the study is none that the claim speaks about, or ``None``; what the records leave open passes."""
    asked = claim.selectors
    if not match.points:
        return None
    if asked.matched_by == "accuracy" and match.accuracy is None:
        return "the claim compares at equal accuracy, and the study has none"
    for role, wanted, arm in (
        ("baseline", asked.baseline, match.baseline_arm),
        ("candidate", asked.candidate, match.candidate_arm),
    ):
        found = (arm, *_families(match, arm))
        # without parameters the family is open, but the name of another arm is not
        if wanted != "any" and wanted not in found and (len(found) > 1 or wanted not in FAMILIES):
            return f"the claim's {role} is {wanted}, and the study's is '{arm}' ({', '.join(found[1:]) or 'unknown'})"
    if claim.kind == "energy" and asked.boundary:
        arms = (match.baseline_arm, match.candidate_arm)
        covered = {point.energy_domains for point in match.points if point.arm in arms and point.energy_domains}
        if covered and any(set(domains) != set(asked.boundary) for domains in covered):
            had = "; ".join(sorted("+".join(domains) for domains in covered))
            return f"the claim's energy covers {'+'.join(asked.boundary)}, and the study's covers {had}"
    return None


def _families(match: MatchResult, arm: str) -> tuple[str, ...]:
    """Return ``("dense",)`` or ``("sparse",)`` as the parameters of an arm's runs say, empty where they do not."""
    known = [
        point.active_params < point.total_params
        for point in match.points
        if point.arm == arm and point.active_params is not None and point.total_params is not None
    ]
    if not known:
        return ()
    return ("sparse",) if all(known) else ("mixed",) if any(known) else ("dense",)


def _find_row(claim: ClaimSpec, match: MatchResult) -> Row:
    """Return the row of the claim's metric: at the matched loss, or at equal accuracy where it asks for that."""
    by_accuracy = match.accuracy if claim.selectors.matched_by == "accuracy" else None
    matched = match if by_accuracy is None else by_accuracy
    missing = (
        match.matched_loss_reason if by_accuracy is None else by_accuracy.reason
    ) or "the study has no such number"
    resource = _RESOURCES.get(claim.metric)
    if resource is not None:
        found = next((m for m in matched.headline if m.resource == resource), None)
        if found is None:
            return Row(reason=missing)
        return Row(
            estimate=1 / found.estimate if found.estimate else None,
            interval=invert_interval(found.interval),
            n=found.n,
            grade=found.grade,
            run_ids=found.run_ids,
            upper_bound=1 / found.lower_bound if found.lower_bound else None,
            simulated=found.simulated,
            reason=found.reason,
        )
    ratio = next((r for r in matched.task_ratios if r.metric == claim.metric), None)
    if ratio is None:
        return Row(reason=missing)
    return Row(
        estimate=ratio.estimate,
        interval=ratio.interval,
        n=ratio.n,
        grade=ratio.grade,
        run_ids=ratio.run_ids,
        simulated=claim.kind == "energy" and any(task.simulated for task in matched.arm_tasks),
        reason=ratio.reason,
    )


def _decide(  # noqa: PLR0911  # one return for each verdict and its reason
    claim: ClaimSpec, case: Case
) -> tuple[VerdictWord, str | None]:
    row = case.row
    if not case.has_runs:
        return "not measured", row.reason
    if claim.kind == "energy":
        if row.simulated:
            return "not measured", "the energy readings are simulated"
        if row.grade in MODELLED_GRADES:
            return "not measured", f"the energy readings are modelled or simulated (grade {row.grade})"
        if row.grade is None and not case.has_measured_energy:
            return "not measured", row.reason or "there is no energy reading"
    if row.estimate is None:
        return "inconclusive", row.reason or "there is no estimate"
    if row.interval is None:
        return "inconclusive", row.reason or "there is no interval"
    word = place_interval(claim, row.interval)
    return word, None if word in DIRECTIONAL else "the interval holds the claim's factor"


def place_interval(claim: ClaimSpec, interval: Interval) -> VerdictWord:
    """Return the verdict that an interval of candidate over baseline alone gives, on either side of the limit.

    An end that lies exactly at the limit counts for the claim with ``<=`` and ``>=``, against it with ``<`` and ``>``.
    """
    low, high, limit = interval.low, interval.high, claim.limit
    holds, fails = {
        "<=": (high <= limit, low > limit),
        "<": (high < limit, low >= limit),
        ">=": (low >= limit, high < limit),
        ">": (low > limit, high <= limit),
    }[claim.comparator]
    if holds:
        return "supported"
    return "not supported at the tested scale" if fails else "inconclusive"


def _has_measured_energy(match: MatchResult) -> bool:
    """Return whether every run of both arms has hardware readings: what is missing is then a match, not a meter."""
    grades = {point.energy_grade for point in match.points if point.arm in (match.baseline_arm, match.candidate_arm)}
    return bool(grades) and grades <= {"A", "B"}
