"""How far a claim is from turning."""

from __future__ import annotations

from harness.analysis.sensitivity.results import Distance
from harness.analysis.verdicts import ClaimVerdict


def measure_distance(verdict: ClaimVerdict) -> Distance:
    """Return by which factor the ratio would have to move to lie at the claim's limit."""
    limit, ratio, interval = verdict.claim.limit, verdict.estimate, verdict.interval
    end = None
    if interval is not None and ratio is not None:
        # the end on the far side has to cross as well, before the claim is supported
        end = interval.high if verdict.claim.comparator in ("<=", "<") else interval.low
    return Distance(
        claim_id=verdict.claim.id,
        statement=verdict.claim.statement,
        verdict=verdict.verdict,
        limit=limit,
        ratio=ratio,
        factor=limit / ratio if ratio else None,
        interval_factor=limit / end if end else None,
        reason=None if ratio else "there is no measured or counted ratio that the claim is judged on",
    )
