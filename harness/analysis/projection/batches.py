"""Where on the batch axis a saving would hold: ranges of batches whose ratio stays at or below a threshold."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.projection.comparison import Comparison, estimate_ratio

THRESHOLDS = (0.1, 0.5, 1.0)
MAX_BATCH = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRange:
    """Batches, both ends included, at which the ratio stays at or below a threshold."""

    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The ratio over all batches of 1 to `last_batch`: its extremes, and the ranges for each threshold."""

    last_batch: int
    lowest: float
    lowest_at: int
    highest: float
    highest_at: int
    ranges: dict[str, tuple[BatchRange, ...]]


def sweep_batches(setup: Comparison, last_batch: int = MAX_BATCH, thresholds: tuple[float, ...] = THRESHOLDS) -> Sweep:
    """Return where the projected ratio lies at or below each threshold, with as many cards as each batch needs."""
    ratios = [estimate_ratio(setup, batch) for batch in range(1, last_batch + 1)]
    lowest, highest = min(ratios), max(ratios)
    return Sweep(
        last_batch=last_batch,
        lowest=lowest,
        lowest_at=ratios.index(lowest) + 1,
        highest=highest,
        highest_at=ratios.index(highest) + 1,
        ranges={f"{limit:g}": _find_ranges(ratios, limit) for limit in thresholds},
    )


def _find_ranges(ratios: list[float], limit: float) -> tuple[BatchRange, ...]:
    ranges: list[BatchRange] = []
    first: int | None = None
    for batch, ratio in enumerate([*ratios, float("inf")], start=1):
        if ratio <= limit and first is None:
            first = batch
        elif ratio > limit and first is not None:
            ranges.append(BatchRange(first=first, last=batch - 1))
            first = None
    return tuple(ranges)
