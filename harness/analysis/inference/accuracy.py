"""Equally good on the same questions? The difference in accuracy, paired by example, with TOST and its power.

One question gives a candidate less baseline of -1, 0 or 1; each kind of task weighs the same. Its interval adds half an
observation to each cell of the table of right and wrong answers (Agresti and Min 2005, doi 10.1002/sim.1781), shared
out over the kinds: without it, models that agree on all of a few questions would count as exactly equal.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.distributions import normal_quantile, t_quantile
from harness.analysis.equivalence import ALPHA, Outcome, estimate_p_value, estimate_power
from harness.analysis.inference.results import AccuracyDifference
from harness.analysis.results import Interval
from harness.core.answers import TaskResult
from harness.core.errors import RecordError

METHOD = "t on differences by example, half an observation added to each cell"
UNPAIRED_METHOD = "normal, two independent binomial shares"
PSEUDO = 0.5
WANTED_POWER = 0.8
# By (kind, index): the share of the times that it was asked at which the question was answered rightly.
Scores = Mapping[tuple[str, int], float]


@dataclass(frozen=True, slots=True)
class _Sums:
    difference: float
    centre: float
    stderr: float
    degrees: int
    num_examples: int


def score_examples(rows: Sequence[TaskResult]) -> tuple[dict[tuple[str, int], float], dict[tuple[str, int], str], int]:
    """Return the score and the prompt's hash of each example, and how many rows failed; a failure is a wrong answer.

    Rows without a judgement that did not fail are left out.
    """
    told: dict[tuple[str, int], list[float]] = {}
    prompts: dict[tuple[str, int], str] = {}
    failed = 0
    for row in rows:
        key = row.kind, row.index
        if row.status == "failed":
            failed += 1
        elif row.correct is None:
            continue
        told.setdefault(key, []).append(1.0 if row.correct else 0.0)
        prompts[key] = row.prompt_sha256
    return {key: statistics.fmean(values) for key, values in told.items()}, prompts, failed


def require_same_prompts(arms: tuple[str, str], prompts: Sequence[Mapping[tuple[str, int], str]]) -> None:
    """Check that both arms were asked the same text under each example's number.

    Raises:
        RecordError: a prompt differs; the message names the first.
    """
    for kind, index in sorted(set(prompts[0]) & set(prompts[1])):
        if prompts[0][kind, index] != prompts[1][kind, index]:
            raise RecordError(
                f"answers to different prompts are not compared: example {index} of '{kind}' is another text for "
                f"{arms[0]} than for {arms[1]}; ask both with the same task settings and data."
            )


def compare_by_example(
    baseline: Scores,
    candidate: Scores,
    margin: float | None,
    *,
    what: str,
    num_failed: int = 0,
    run_ids: Sequence[str] = (),
) -> AccuracyDifference:
    """Return candidate less baseline in accuracy over the examples that both were asked, each kind weighing the same.

    Raises:
        ValueError: the margin is not above zero.
    """
    common = sorted(set(baseline) & set(candidate))
    by_kind: dict[str, list[float]] = {}
    for key in common:
        by_kind.setdefault(key[0], []).append(candidate[key] - baseline[key])
    sums = _add_up(list(by_kind.values()))
    if sums is None:
        return unknown_difference(what, margin, "no example was asked of both arms", num_failed, run_ids)
    return _test(sums, margin, METHOD, what=what, num_failed=num_failed, run_ids=run_ids)


def compare_shares(
    baseline: Sequence[tuple[float, int]],
    candidate: Sequence[tuple[float, int]],
    margin: float | None,
    *,
    what: str,
    run_ids: Sequence[str] = (),
) -> AccuracyDifference:
    """Return the same from (accuracy, examples) of each kind alone, where no answers were kept.

    Both shares count as independent; they are not, since the questions are the same, so it is too wide more often than
    too narrow.
    """
    if not baseline or len(baseline) != len(candidate) or any(n < 1 for _, n in (*baseline, *candidate)):
        return unknown_difference(what, margin, "the accuracy of an arm is unknown", 0, run_ids)
    count = len(baseline)
    variance = 0.0
    for share, n in (*baseline, *candidate):
        smoothed = (share * n + 1) / (n + 2)  # no share is exactly sure after a few answers
        variance += smoothed * (1 - smoothed) / (n + 2)
    difference = math.fsum(b[0] - a[0] for a, b in zip(baseline, candidate, strict=True)) / count
    examples = sum(min(a[1], b[1]) for a, b in zip(baseline, candidate, strict=True))
    sums = _Sums(difference, difference, math.sqrt(variance) / count, max(1, examples - count), examples)
    return _test(sums, margin, UNPAIRED_METHOD, what=what, num_failed=0, run_ids=run_ids)


def unknown_difference(
    what: str, margin: float | None, reason: str, num_failed: int = 0, run_ids: Sequence[str] = ()
) -> AccuracyDifference:
    """Return that nothing can be said, and why."""
    return AccuracyDifference(
        what=what,
        difference=None,
        interval=None,
        margin=margin,
        outcome="unknown",
        non_inferior=None,
        not_superior=None,
        p_value=None,
        power=None,
        num_examples=0,
        num_examples_needed=None,
        num_failed=num_failed,
        run_ids=tuple(sorted(run_ids)),
        reason=reason,
    )


def _add_up(kinds: Sequence[Sequence[float]]) -> _Sums | None:
    """Return the mean over kinds of their mean differences, with the standard error of the smoothed one."""
    if not kinds:
        return None
    share = PSEUDO / len(kinds)
    variance, centre = 0.0, 0.0
    for values in kinds:
        n = len(values) + 4 * share
        mean = math.fsum(values) / n
        # both cells of disagreement get `share` answers: their sum is 0, their squares are 1 each
        squares = math.fsum(value**2 for value in values) + 2 * share
        variance += (squares / n - mean**2) / n
        centre += mean / len(kinds)
    num_examples = sum(len(values) for values in kinds)
    return _Sums(
        difference=statistics.fmean(statistics.fmean(values) for values in kinds),
        centre=centre,
        stderr=math.sqrt(variance) / len(kinds),
        degrees=max(1, num_examples - len(kinds)),
        num_examples=num_examples,
    )


def _test(
    sums: _Sums, margin: float | None, method: str, *, what: str, num_failed: int, run_ids: Sequence[str]
) -> AccuracyDifference:
    if margin is not None and not margin > 0:
        raise ValueError("an equivalence margin is above zero")
    critical = t_quantile(1 - ALPHA, sums.degrees)
    low, high = sums.centre - critical * sums.stderr, sums.centre + critical * sums.stderr
    interval = Interval(low=low, high=high, level=1 - 2 * ALPHA, method=method)
    outcome: Outcome = "unknown"
    if margin is not None:
        outcome = "inconclusive"
        if -margin < low and high < margin:
            outcome = "equivalent"
        elif low > margin or high < -margin:
            outcome = "different"
    return AccuracyDifference(
        what=what,
        difference=sums.difference,
        interval=interval,
        margin=margin,
        outcome=outcome,
        non_inferior=None if margin is None else low > -margin,
        not_superior=None if margin is None else high < margin,
        p_value=None if margin is None else estimate_p_value(sums.centre, sums.stderr, sums.degrees, margin),
        power=None if margin is None else estimate_power(sums.stderr, sums.degrees, margin),
        num_examples=sums.num_examples,
        num_examples_needed=None if margin is None else _count_needed(sums, margin),
        num_failed=num_failed,
        run_ids=tuple(sorted(run_ids)),
        reason="the study declared no margin before its first run" if margin is None else None,
    )


def _count_needed(sums: _Sums, margin: float) -> int:
    """Return how many examples give 80% power at a true difference of 0 and the spread seen (normal approximation)."""
    wanted = normal_quantile(1 - ALPHA) + normal_quantile(0.5 + WANTED_POWER / 2)
    return math.ceil(sums.num_examples * (wanted * sums.stderr / margin) ** 2)
