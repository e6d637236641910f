"""What a page says beyond the comparison itself and takes long: sensitivity, laws, steps, detail of the tasks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.analysis.claims import verdicts_to_json
from harness.analysis.inference.detail import describe_matched
from harness.analysis.inference.results import InferenceDetail
from harness.analysis.laws.matched import MatchedLaws, fit_matched
from harness.analysis.results import MatchResult
from harness.analysis.roofline.observe import Observed
from harness.analysis.roofline.results import Roofline
from harness.analysis.roofline.study import build_roofline, pick_records
from harness.analysis.sensitivity.results import Sensitivity
from harness.analysis.sensitivity.study import estimate_sensitivity
from harness.analysis.verdicts import ClaimVerdict
from harness.core.beside import Beside, start_beside
from harness.core.records import RunRecord
from harness.core.study import StudyInfo
from harness.report.results_file import ResultsFile

Slow = tuple[Sensitivity, MatchedLaws, Roofline]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """What the runs say of kinds and regimes, and a call that waits for sensitivity, laws and the energy of a step.

    `is_ready` says whether that call would not wait for another process; `results` gives what
    both the page and the file beside it hold.
    """

    detail: InferenceDetail
    results: Callable[[], ResultsFile]
    wait: Callable[[], Slow]
    is_ready: Callable[[], bool]


def start_estimates(
    records: Sequence[RunRecord],
    study: StudyInfo | None,
    match: MatchResult,
    verdicts: Sequence[ClaimVerdict],
    *,
    clean: Callable[[Slow], Slow] = lambda found: found,
    observed: Sequence[Observed] | None = None,
) -> Beside[Slow]:
    """Begin sensitivity, laws and energy of a step beside this process; `clean` is the last that is done to them.

    `observed` are all windows of `records`, where these were observed before.
    """
    arms = match.baseline_arm, match.candidate_arm

    def work() -> Slow:
        steps = build_roofline(pick_records(records, study), arms, observed=observed)
        return clean((estimate_sensitivity(records, study, match, verdicts), fit_matched(match), steps))

    return start_beside(work)


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
    return Estimates(
        detail=describe_matched(records, match, study),
        results=functools.cache(lambda: ResultsFile(verdicts_to_json(verdicts, match, wait()[0]))),
        wait=wait,
        is_ready=beside.is_ready,
    )
