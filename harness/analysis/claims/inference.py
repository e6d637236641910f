"""Verdicts on models and servers that were not trained here, by the same rules as those on a matched study.

Equal quality is shown by the answers. A direction in which the candidate needs less holds only where it is not
inferior: the lower end of its accuracy less the baseline's lies above -margin. One in which it needs more holds only
where it is not superior beyond the margin, since better answers may cost more. Else the verdict is *inconclusive*.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.claims.judge import FAMILIES, MODELLED_GRADES, Case, Row, judge_case
from harness.analysis.claims.text import explain_ratio
from harness.analysis.inference.checks import ACCURACY_CODE
from harness.analysis.inference.results import InferenceResult
from harness.analysis.verdicts import ClaimSpec, ClaimVerdict, VerdictWord

TRAINING = "nothing was trained in this study, and the claim is about training"
EQUAL_LOSS = "the claim compares at equal loss, and models that were not trained here are compared by their answers"


def judge_inference(claims: Sequence[ClaimSpec], result: InferenceResult) -> list[ClaimVerdict]:
    """Return the verdict on each claim, in order."""
    return [_judge(claim, result) for claim in claims]


def _judge(claim: ClaimSpec, result: InferenceResult) -> ClaimVerdict:
    mismatch = find_mismatch(claim, result)
    grades = result.grades

    def explain(row: Row, word: VerdictWord, reason: str | None) -> str:
        arms = (result.baseline_arm, result.candidate_arm)
        return explain_ratio(claim, _describe_place(result), arms, row, word, reason, unit="repeat")

    return judge_case(
        claim,
        Case(
            row=Row(reason=mismatch) if mismatch is not None else _find_row(claim, result),
            checks=result.checks,
            has_runs=result.num_runs > 0,
            has_measured_energy=bool(grades) and None not in grades and not set(grades) & set(MODELLED_GRADES),
            matched_loss=None,
            explain=explain,
            mismatch=mismatch,
            find_obstacle=lambda word: _find_obstacle(claim, result, word),
            unit="repeat",
        ),
    )


def find_mismatch(claim: ClaimSpec, result: InferenceResult) -> str | None:
    """Return why the study is none that the claim speaks about, or ``None``; what the records leave open passes."""
    asked = claim.selectors
    if result.num_runs == 0:
        return None
    if claim.metric.startswith("training_") or claim.metric == "peak_memory":
        return TRAINING
    if asked.matched_by == "loss":
        return EQUAL_LOSS
    for role, wanted, arm in (
        ("baseline", asked.baseline, result.baseline_arm),
        ("candidate", asked.candidate, result.candidate_arm),
    ):
        found = (arm, *result.families.get(arm, ()))
        if wanted != "any" and wanted not in found and (len(found) > 1 or wanted not in FAMILIES):
            return f"the claim's {role} is {wanted}, and the study's is '{arm}' ({', '.join(found[1:]) or 'unknown'})"
    if claim.kind == "energy" and asked.boundary and any(set(one) != set(asked.boundary) for one in result.boundaries):
        had = "; ".join("+".join(domains) for domains in result.boundaries)
        return f"the claim's energy covers {'+'.join(asked.boundary)}, and the study's covers {had}"
    return None


def _find_row(claim: ClaimSpec, result: InferenceResult) -> Row:
    ratios = result.suite.ratios if result.suite is not None else ()
    found = next((ratio for ratio in ratios if ratio.metric == claim.metric), None)
    if found is None or result.suite is None:
        return Row(reason=result.reason or "the study has no such number")
    return Row(
        estimate=found.estimate,
        interval=found.interval,
        n=found.n,
        grade=found.grade,
        run_ids=found.run_ids,
        simulated=claim.kind == "energy" and any(arm.simulated for arm in result.suite.arms),
        reason=found.reason,
    )


def _find_obstacle(claim: ClaimSpec, result: InferenceResult, word: VerdictWord) -> tuple[str, str] | None:
    """Return why the accuracies do not allow a direction: the candidate needs less where a claim of less is supported.

    Claims of more (``>=``) turn it around.
    """
    accuracy = result.suite.accuracy if result.suite is not None else None
    claims_less = claim.comparator in ("<=", "<")
    needs_less = claims_less == (word == "supported")
    if accuracy is None or accuracy.interval is None or accuracy.margin is None:
        why = accuracy.reason if accuracy is not None else None
        return ACCURACY_CODE, f"whether the answers are equally good is unknown ({why or 'no accuracy'})"
    interval, margin = accuracy.interval, accuracy.margin
    found = f"{interval.level:.0%} CI of candidate less baseline {interval.low:+.1%} to {interval.high:+.1%}"
    if needs_less and not accuracy.non_inferior:
        return ACCURACY_CODE, f"the candidate is not shown to be as accurate within {margin:g} ({found})"
    if not needs_less and not accuracy.not_superior:
        return ACCURACY_CODE, f"the candidate may be more accurate by over {margin:g}, which may cost energy ({found})"
    return None


def _describe_place(result: InferenceResult) -> str:
    """Return how well the arms answered, the baseline first."""
    arms = result.suite.arms if result.suite is not None else ()
    known = [arm.accuracy for arm in arms if arm.accuracy is not None]
    if len(known) < 2:
        return "On the same questions"
    return f"At accuracies of {known[0]:.1%} and {known[1]:.1%} on the same questions"
