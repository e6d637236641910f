"""What a page says beyond the comparison itself and takes long to work out: sensitivity, laws, detail of the tasks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.analysis.inference.detail import describe_matched
from harness.analysis.inference.results import InferenceDetail
from harness.analysis.laws.matched import MatchedLaws, fit_matched
from harness.analysis.results import MatchResult
from harness.analysis.sensitivity.results import Sensitivity
from harness.analysis.sensitivity.study import estimate_sensitivity
from harness.analysis.verdicts import ClaimVerdict
from harness.core.beside import Beside, start_beside
from harness.core.records import RunRecord
from harness.core.study import StudyInfo

Slow = tuple[Sensitivity, MatchedLaws]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """What the runs say of kinds and regimes, and a call that waits for the sensitivity of the study and its laws.

    `is_ready` says whether that call would not wait for another process.
    """

    detail: InferenceDetail
    wait: Callable[[], Slow]
    is_ready: Callable[[], bool]


def start_estimates(
    records: Sequence[RunRecord],
    study: StudyInfo | None,
    match: MatchResult,
    verdicts: Sequence[ClaimVerdict],
    clean: Callable[[Slow], Slow] = lambda found: found,
) -> Beside[Slow]:
    """Begin the sensitivity of the study and its laws beside this process; `clean` is the last that is done to them."""
    return start_beside(lambda: clean((estimate_sensitivity(records, study, match, verdicts), fit_matched(match))))


def estimate_all(
    records: Sequence[RunRecord],
    study: StudyInfo | None,
    match: MatchResult,
    verdicts: Sequence[ClaimVerdict],
    started: Beside[Slow] | None = None,
) -> Estimates:
    """Return all of it; what takes longest may have been `started` already."""
    beside = started or start_estimates(records, study, match, verdicts)
    wait = functools.cache(beside)
    return Estimates(detail=describe_matched(records, match, study), wait=wait, is_ready=beside.is_ready)
