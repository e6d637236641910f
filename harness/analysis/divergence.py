"""Whether a run diverged: a loss that is not finite, worse than guessing, or far above what training had reached."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from harness.analysis.once import once
from harness.analysis.points import LOSS_METRIC
from harness.core.records import RunRecord

# How far the end may lie above the lowest stretch before it, relative. Healthy runs of the committed studies, constant
# rates without a decay included, stay below 1.2%.
MAX_RISE = 0.10
# The share of the curve that is averaged: single points are means over ten steps and scatter by some percent.
STRETCH = 0.10
MIN_STRETCH = 3
# Training too short to learn anything may end a few percent above guessing every token alike, relative.
MAX_OVER_GUESSING = 0.5
# How training says that it gave up (harness.train.loop), as it stands in the error of a failed record.
_NOT_FINITE = tuple(f"the training loss is {word} " for word in ("nan", "inf", "-inf"))


@once
def has_diverged(record: RunRecord) -> str | None:
    """Return why `record` counts as diverged, or ``None``; a run that failed for another reason did not diverge.

    A curve under two stretches of three points is too short to tell of a rise.
    """
    if record.status == "failed":
        error = record.error or ""
        return error if any(words in error for words in _NOT_FINITE) else None
    losses = [loss for _, loss in record.loss_curve]
    if not all(math.isfinite(loss) for loss in losses):
        return "its training loss is not finite"
    unknown = next((q.reason for q in record.quality if q.value is None and q.reason), "")
    if "not finite" in unknown:
        return unknown
    return _describe_guessing(record) or _describe_rise(losses)


def _describe_guessing(record: RunRecord) -> str | None:
    loss, data = record.quality_value(LOSS_METRIC), record.data
    if loss is None or data is None or data.vocab_size < 2 or data.bytes_per_token <= 0:
        return None
    guessing = math.log2(data.vocab_size) / data.bytes_per_token
    if loss <= guessing * (1 + MAX_OVER_GUESSING):
        return None
    return f"its held-out loss is {loss:.3g} bits per byte, and guessing every token alike gives {guessing:.3g}"


def _describe_rise(losses: Sequence[float]) -> str | None:
    length = max(MIN_STRETCH, round(len(losses) * STRETCH))
    if len(losses) < 2 * length:
        return None
    last = statistics.fmean(losses[-length:])
    if 0 < last <= min(losses) * (1 + MAX_RISE):  # no stretch has a lower mean than its lowest loss
        return None
    lowest = min(statistics.fmean(losses[first : first + length]) for first in range(len(losses) - length + 1))
    if last <= lowest * (1 + MAX_RISE):
        return None
    return f"its training loss ended at {last:.3g} bits per byte after it had been at {lowest:.3g}"
