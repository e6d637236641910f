"""Equivalence by two one-sided tests (TOST): equally good within a margin that was declared before the first run.

A difference that is not significant is not equality. TOST turns the question around: the arms are equivalent at level
alpha when the interval of their difference at level 1 - 2 alpha lies wholly inside the margin (Schuirmann 1987).
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import special  # type: ignore[import-untyped, unused-ignore]

from harness.analysis.distributions import chi2_quantiles, t_quantile, t_tail
from harness.analysis.results import Equivalence
from harness.analysis.stats import Pairing, estimate_difference, spread_of_difference

ALPHA = 0.05
Outcome = Literal["equivalent", "different", "inconclusive", "unknown"]


def check_equivalence(
    first: Sequence[float],
    second: Sequence[float],
    margin: float | None,
    pairing: Pairing,
    *,
    what: str,
    unit: str,
    run_ids: Sequence[str] = (),
    missing: str | None = None,
) -> Equivalence:
    """Return whether mean(first) - mean(second) over seeds lies within +-`margin`, with the power of the test.

    `missing` is the reason why there are no values to test.

    Raises:
        ValueError: the margin is not above zero.
    """
    if margin is not None and not margin > 0:
        raise ValueError("an equivalence margin is above zero")
    ids = tuple(sorted(run_ids))
    spread = spread_of_difference(first, second, pairing) if not missing else None
    difference = statistics.fmean(first) - statistics.fmean(second) if first and second and not missing else None
    reason = missing
    if reason is None and spread is None:
        reason = "fewer than two seeds give no interval"
    elif reason is None and margin is None:
        reason = "the study declared no margin before its first run"
    if reason is not None or spread is None or margin is None or difference is None:
        interval = None
        if spread is not None:
            interval = estimate_difference(first, second, pairing, level=1 - 2 * ALPHA).interval
        return Equivalence(
            what=what,
            unit=unit,
            outcome="unknown",
            difference=difference,
            interval=interval,
            margin=margin,
            p_value=None,
            power=None,
            n=len(first),
            run_ids=ids,
            reason=reason,
        )
    interval = estimate_difference(first, second, pairing, level=1 - 2 * ALPHA).interval
    assert interval is not None  # noqa: S101  # two seeds or more always give one
    outcome: Outcome = "inconclusive"
    if -margin < interval.low and interval.high < margin:
        outcome = "equivalent"
    elif interval.low > margin or interval.high < -margin:
        outcome = "different"
    return Equivalence(
        what=what,
        unit=unit,
        outcome=outcome,
        difference=difference,
        interval=interval,
        margin=margin,
        p_value=estimate_p_value(difference, spread.stderr, spread.degrees, margin),
        power=estimate_power(spread.stderr, spread.degrees, margin),
        n=len(first),
        run_ids=ids,
    )


def estimate_p_value(difference: float, stderr: float, degrees: int, margin: float) -> float:
    """Return the larger of both one-sided p values: the smallest alpha at which the arms would be equivalent."""
    if stderr <= 0:
        return 0.0 if abs(difference) < margin else 1.0
    return t_tail((margin - abs(difference)) / stderr, degrees)


def estimate_power(stderr: float, degrees: int, margin: float) -> float:
    """Return the chance that TOST finds equivalence where the true difference is 0 (normal means, spread as seen)."""
    if stderr <= 0:
        return 1.0
    critical = t_quantile(1 - ALPHA, degrees)
    rooms = margin / stderr - critical * _spread_quantiles(degrees)
    return float(np.mean(np.maximum(0.0, 2 * special.ndtr(rooms) - 1)))


@functools.lru_cache(maxsize=32)
def _spread_quantiles(degrees: int) -> np.ndarray:
    """Return evenly spaced quantiles of estimated over true spread, to average over: the spread is estimated too."""
    shares = (np.arange(400) + 0.5) / 400
    return np.sqrt(chi2_quantiles(shares, degrees) / degrees)
