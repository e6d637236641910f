"""What a page says beyond the comparison itself and takes long to work out: sensitivity, laws, detail of the tasks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.analysis.claims.projected import ProjectedRow, keep_projected_rows, projected_rows
from harness.analysis.inference.detail import describe_matched
from harness.analysis.inference.results import InferenceDetail
from harness.analysis.laws.matched import MatchedLaws, fit_matched
from harness.analysis.results import MatchResult
from harness.analysis.sensitivity.results import Sensitivity
from harness.analysis.sensitivity.study import estimate_sensitivity
from harness.analysis.verdicts import ClaimVerdict
from harness.core.beside import start_beside
from harness.core.records import RunRecord
from harness.core.study import StudyInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """What the runs say of kinds and regimes, and a call that waits for the sensitivity of the study and its laws.

    `is_ready` says whether that call would not wait for another process.
    """

    detail: InferenceDetail
    wait: Callable[[], tuple[Sensitivity, MatchedLaws]]
    is_ready: Callable[[], bool]


def estimate_all(
    records: Sequence[RunRecord],
    study: StudyInfo | None,
    match: MatchResult,
    verdicts: Sequence[ClaimVerdict],
    estimate: Callable[[], Sensitivity] | None = None,
) -> Estimates:
    """Begin all of it, in two processes where there are two cores.

    `estimate` gives the sensitivity where it is not that of these records.
    """

    def estimate_beside() -> tuple[Sensitivity, MatchedLaws, tuple[ProjectedRow, ...]]:
        found = estimate() if estimate is not None else estimate_sensitivity(records, study, match, verdicts)
        return found, fit_matched(match), projected_rows()

    beside = start_beside(estimate_beside)

    @functools.cache
    def wait() -> tuple[Sensitivity, MatchedLaws]:
        sensitivity, laws, projected = beside()
        keep_projected_rows(projected)
        return sensitivity, laws

    return Estimates(detail=describe_matched(records, match, study), wait=wait, is_ready=beside.is_ready)
