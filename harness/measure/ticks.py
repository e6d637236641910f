"""When a counter ticked: a sample-and-hold counter is known exactly at its ticks and nowhere else.

Reads bracket every tick: it came after the last read of the old value and before the first of the new one. Dense reads
after each window's edge make one bracket narrow (about a millisecond), and the update period, measured at the start,
carries that precision to the ticks around it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.measure.poller import STARTUP_S
from harness.measure.samples import FloatArray, RowArray, Samples

# A tick is precise when its bracket is at most this share of the period.
_PRECISE_SHARE = 0.15
# ... and at most so many times as wide as is typical.
_PRECISE_FACTOR = 3.0
_MIN_TICKS = 4
# So many of the narrowest brackets are carried to the others.
_NUM_SOURCES = 8
# Counters faster than a few dense reads are known at every read, up to one period late.
FAST_PERIOD_S = 0.004
# Around an edge only this many periods are looked at.
CONTEXT_PERIODS = 12


@dataclass(frozen=True, slots=True)
class Period:
    """How often a counter ticks: the typical time between two ticks, how far one strays from it, its error (all s)."""

    period_s: float
    jitter_s: float
    error_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Ticks:
    """Times (s), half-widths of their brackets (s) and counter values (J), in order; values only rise."""

    times_s: FloatArray
    halves_s: FloatArray
    energy_j: FloatArray


def find_brackets(rows: RowArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return (earliest time, latest time, new value) of every change of the counter in `rows`."""
    rows = rows[~np.isnan(rows["energy_j"])]
    changed = np.flatnonzero(np.diff(rows["energy_j"]) != 0)
    half_read_s = rows["read_s"].astype(np.float64) / 2
    earliest_s = rows["time_s"][changed] - half_read_s[changed]
    latest_s = rows["time_s"][changed + 1] + half_read_s[changed + 1]
    return earliest_s, latest_s, rows["energy_j"][changed + 1].astype(np.float64)


def measure_period(samples: Samples) -> Period | None:
    """Return the counter's update period from the dense reads at the start of sampling, or ``None`` (too few ticks).

    A counter that changes at almost every read is faster than the reads can tell: its period is then at most the
    distance of two reads, and that is what is returned.
    """
    start = samples.between(-np.inf, np.inf)[:1]
    if start.size == 0:
        return None
    start_s = float(start["time_s"][0])
    rows = samples.between(start_s, start_s + STARTUP_S + 0.1)
    return fit_period(rows)


def fit_period(rows: RowArray) -> Period | None:
    """Return the update period that the ticks in `rows` show; see `measure_period`."""
    known = rows[~np.isnan(rows["energy_j"])]
    earliest_s, latest_s, _ = find_brackets(rows)
    if earliest_s.size < _MIN_TICKS or known.size < 2 * _MIN_TICKS:
        return None
    reads_s = float(np.median(np.diff(known["time_s"])))
    if earliest_s.size > 0.5 * known.size:
        return Period(min(reads_s, FAST_PERIOD_S / 2), 0.0)
    middles_s, halves_s = (earliest_s + latest_s) / 2, (latest_s - earliest_s) / 2
    steps_s = np.diff(middles_s)
    rough_s = float(np.median(steps_s))
    # a tick that was merely polled is no match for one that was read densely
    precise = halves_s <= min(_PRECISE_SHARE * rough_s, _PRECISE_FACTOR * float(np.median(halves_s)))
    both = precise[1:] & precise[:-1] & (np.abs(steps_s - rough_s) < 0.5 * rough_s)
    if both.sum() < _MIN_TICKS - 1:
        return None
    # ticks are numbered step by step, so that the error of one bracket is spread over all periods between
    first_s, last_s = middles_s[precise][0], middles_s[precise][-1]
    number = np.append(0.0, np.cumsum(np.round(np.diff(middles_s[precise]) / rough_s)))
    if number[-1] < _MIN_TICKS - 1:
        return None
    slope_s = float(np.polyfit(number, middles_s[precise], 1)[0])
    if abs(slope_s - rough_s) > 0.1 * rough_s:
        slope_s = float((last_s - first_s) / number[-1])
    stray_s = float(np.max(np.abs(steps_s[both] - slope_s)))
    blur_s = float(np.median(halves_s[precise]))
    return Period(slope_s, max(0.0, stray_s - 2 * blur_s), 2 * blur_s / float(number[-1]))


def locate_ticks(rows: RowArray, period: Period | None) -> Ticks:
    """Return the ticks that `rows` (the reads around one edge) show, each as precisely as reads and period allow.

    Only the stretch after the latest fall of the counter is used. With a fast counter each read is a tick.
    """
    rows = rows[~np.isnan(rows["energy_j"])]
    if period is not None and period.period_s <= FAST_PERIOD_S:
        half_s = np.full(rows.size, period.period_s / 2) + rows["read_s"] / 2
        return Ticks(rows["time_s"] - period.period_s / 2, half_s, rows["energy_j"].astype(np.float64))
    earliest_s, latest_s, energy_j = find_brackets(rows)
    if period is not None and earliest_s.size:
        # only the last tick inside a long bracket has the new value; in a short one there is no other
        alone = latest_s - earliest_s < period.period_s - period.jitter_s
        earliest_s = np.maximum(earliest_s, latest_s - (period.period_s + period.jitter_s))
        earliest_s, latest_s = _tighten(earliest_s, latest_s, alone, period)
    return Ticks((earliest_s + latest_s) / 2, (latest_s - earliest_s) / 2, energy_j)


def _tighten(
    earliest_s: FloatArray, latest_s: FloatArray, alone: NDArray[np.bool_], period: Period
) -> tuple[FloatArray, FloatArray]:
    """Carry the narrowest brackets to all others: ticks lie whole periods apart, give or take the jitter.

    Before a tick that is `alone` in its bracket the tick before came just one period earlier. Where a bracket allows
    several counts of periods, what all of them leave open stays open.
    """
    earliest_s, latest_s = earliest_s.copy(), latest_s.copy()
    places = np.arange(earliest_s.size)
    for source in np.argsort(latest_s - earliest_s, kind="stable")[:_NUM_SOURCES]:
        lowest_s, highest_s = earliest_s - latest_s[source], latest_s - earliest_s[source]
        far = np.maximum(1.0, np.maximum(np.abs(lowest_s), np.abs(highest_s)) / period.period_s)
        slack_s = np.sqrt(far) * period.jitter_s + far * period.error_s
        # the fewest and the most periods that can lie between
        fewest = np.ceil((lowest_s - slack_s) / period.period_s)
        most = np.floor((highest_s + slack_s) / period.period_s)
        fewest = np.where(places > source, np.maximum(fewest, 1.0), fewest)
        most = np.where(places < source, np.minimum(most, -1.0), most)
        if alone[source]:
            fewest = np.where(places == source - 1, np.maximum(fewest, -1.0), fewest)
        # none: the counter left its rhythm there, and the reads are believed
        carried = (fewest <= most) & (places != source)
        low_s = earliest_s[source] + fewest * period.period_s - slack_s
        high_s = latest_s[source] + most * period.period_s + slack_s
        earliest_s = np.where(carried, np.maximum(low_s, earliest_s), earliest_s)
        latest_s = np.where(carried, np.minimum(high_s, latest_s), latest_s)
    return earliest_s, latest_s
