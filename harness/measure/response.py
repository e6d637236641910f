"""How a power signal follows a load whose switches are known: how often it changes, over how long it is a mean.

Each update is taken for the mean power over a window that ended some delay before it. Where a signal does not follow
that model, nothing is told of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.measure.samples import FloatArray
from harness.measure.trace import BusyTime
from harness.sensors.profile import Fit

_MIN_CHANGES = 8
# The rhythm of the changes: 1 where all gaps are whole multiples of a period, 0 where they are any.
_MIN_RHYTHM = 0.8
_MAX_COUNT = 20  # periods between two changes that are still counted
_MIN_WINDOW_S, _MAX_WINDOW_S, _MAX_DELAY_S = 0.001, 2.5, 0.5
_MIN_EXPLAINED = 0.9
# Updates that saw a part of a switch: without them a window could be of any length.
_MIN_PARTIAL = 4
_MIN_UPDATES = 24
_PARTIAL = (0.03, 0.97)
_FINE_S = 2e-5


@dataclass(frozen=True, slots=True)
class Updates:
    """When a held signal was updated (s, monotonic), what it showed then (W), and how well the times are known (s)."""

    times_s: FloatArray
    power_w: FloatArray
    blur_s: float

    def only(self, chosen: npt.NDArray[np.bool_]) -> Updates:
        """Return the chosen updates only."""
        return Updates(self.times_s[chosen], self.power_w[chosen], self.blur_s)


@dataclass(frozen=True, slots=True)
class Response:
    """The window and delay of a signal in seconds, and the powers (W) that it showed at rest and under load."""

    window_s: Fit
    delay_s: Fit
    idle_w: float | None = None
    busy_w: float | None = None


def find_updates(times_s: FloatArray, power_w: FloatArray) -> tuple[Fit, Updates | None]:
    """Return the update period in seconds and the updates; ``None`` for both where changes do not tell them.

    An update that shows the same power as the one before is no change, so gaps are whole multiples of the period.
    """
    known = ~np.isnan(power_w)
    times_s, power_w = times_s[known], power_w[known]
    changed = np.flatnonzero(np.diff(power_w) != 0)
    if changed.size < _MIN_CHANGES:
        return Fit(None, None, f"it changed {changed.size} times; {_MIN_CHANGES} are needed"), None
    read_s = float(np.median(np.diff(times_s)))
    if changed.size > 0.5 * times_s.size:
        return Fit(None, None, f"it changes at almost every read, so within {2 * read_s * 1e3:.1f} ms"), None
    middles_s = (times_s[changed] + times_s[changed + 1]) / 2
    precise = times_s[changed + 1] - times_s[changed] <= 2 * read_s
    middles_s = middles_s[precise]
    gaps_s = np.diff(middles_s)
    rough_s = _find_rhythm(gaps_s, read_s)
    if rough_s is None:
        return Fit(None, None, "its changes keep no rhythm"), None
    period = _refine(middles_s, gaps_s, rough_s, read_s)
    assert period.value is not None  # noqa: S101 - a rough period was found
    counts = np.round(gaps_s / period.value).astype(np.int64)
    updates_s = np.array(
        [
            start_s + k * period.value
            for start_s, count in zip(middles_s, [*counts, 1], strict=True)
            for k in range(count if 0 < count <= _MAX_COUNT else 1)
        ]
    )
    # the read in the middle of the time that a value is held; a reader that slept through that time saw no update
    halfway_s = updates_s + period.value / 2
    place = np.minimum(np.searchsorted(times_s, halfway_s), times_s.size - 1)
    seen = np.abs(times_s[place] - halfway_s) < period.value / 4
    return period, Updates(updates_s[seen], power_w[place[seen]], read_s)


def fit_response(updates: Updates, busy: BusyTime) -> Response:
    """Return the averaging window and delay that explain the updates best, by least squares.

    The half-widths hold for noise in the power and in the times of updates; the load is believed to have two levels.
    """
    times_s, power_w = updates.times_s, updates.power_w
    spread = float(np.sum((power_w - power_w.mean()) ** 2)) if power_w.size else 0.0
    if power_w.size < _MIN_UPDATES or spread == 0:
        return _unknown(f"{power_w.size} updates under a changing load do not tell it")
    window_s, delay_s = _search(times_s, power_w, busy)
    share, residual_w, levels = _explain(times_s, power_w, busy, window_s, delay_s)
    explained = 1 - float(np.sum(residual_w**2)) / spread
    if explained < _MIN_EXPLAINED:
        return _unknown(f"a mean over a fixed window explains {explained:.0%} of its course only")
    partial = int(np.sum((share > _PARTIAL[0]) & (share < _PARTIAL[1])))
    if partial < _MIN_PARTIAL:
        return _unknown(f"{partial} updates fell on a switch of the load; {_MIN_PARTIAL} are needed")
    halves = _half_widths(updates, busy, window_s, delay_s, residual_w)
    window, delay = Fit(window_s, halves[0]), Fit(delay_s, halves[1])
    return Response(window, delay, float(levels[0]), float(levels[0] + levels[1]))


def combine_lag(period: Fit, response: Response) -> Fit:
    """Return how old a signal's value is on average while it is held, in seconds."""
    parts = (period, response.window_s, response.delay_s)
    for part in parts:
        if part.value is None:
            return Fit(None, None, part.reason)
    values = [part.value or 0.0 for part in parts]
    halves = [part.half or 0.0 for part in parts]
    return Fit(values[2] + (values[0] + values[1]) / 2, math.hypot(halves[0] / 2, halves[1] / 2, halves[2]))


def _find_rhythm(gaps_s: FloatArray, read_s: float) -> float | None:
    """Return the longest period of which all gaps are whole multiples, or ``None``."""
    gaps_s = gaps_s[(gaps_s > 2 * read_s) & (gaps_s < 3.0)]
    if gaps_s.size < _MIN_CHANGES - 1:
        return None
    longest_s, shortest_s = 1.2 * float(np.percentile(gaps_s, 25)), 3 * read_s
    if longest_s <= shortest_s:
        return None
    periods_s = np.geomspace(longest_s, shortest_s, math.ceil(math.log(longest_s / shortest_s) / 0.002) + 1)
    near = gaps_s[None, :] / periods_s[:, None]
    weight = near < _MAX_COUNT
    rhythm = np.sum(np.cos(2 * np.pi * near) * weight, axis=1) / np.maximum(weight.sum(axis=1), 1)
    good = np.flatnonzero(rhythm >= _MIN_RHYTHM)
    if good.size == 0:
        return None
    peak = periods_s[good[0]]
    inside = np.flatnonzero((periods_s <= peak) & (periods_s >= 0.8 * peak))
    return float(periods_s[inside[np.argmax(rhythm[inside])]])


def _refine(middles_s: FloatArray, gaps_s: FloatArray, rough_s: float, read_s: float) -> Fit:
    """Return the period by a common slope over stretches of changes that can be counted."""
    period_s, half_s = rough_s, None
    for _ in range(3):
        counts = np.round(gaps_s / period_s)
        breaks = np.flatnonzero((counts > _MAX_COUNT) | (counts < 1)) + 1
        numbers, times_s = [], []
        for part in np.split(np.arange(middles_s.size), breaks):
            if part.size < 3:
                continue
            number = np.concatenate(([0.0], np.cumsum(counts[part[:-1]])))
            numbers.append(number - number.mean())
            times_s.append(middles_s[part] - middles_s[part].mean())
        if not numbers:
            return Fit(period_s, read_s)
        number, time_s = np.concatenate(numbers), np.concatenate(times_s)
        weight = float(number @ number)
        period_s = float(number @ time_s) / weight
        stray_s = float(np.sqrt(np.mean((time_s - period_s * number) ** 2)))
        half_s = 2 * max(stray_s, read_s / 4) / math.sqrt(weight)
    return Fit(period_s, half_s)


def _explain(
    times_s: FloatArray, power_w: FloatArray, busy: BusyTime, window_s: float, delay_s: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the busy shares that updates saw, what they leave unexplained (W), and the levels (idle, rise; W)."""
    share = busy.share(times_s - delay_s, window_s)
    centred = share - share.mean()
    norm = float(centred @ centred)
    rise_w = float(centred @ power_w) / norm if norm > 0 else 0.0
    idle_w = float(power_w.mean()) - rise_w * float(share.mean())
    return share, power_w - idle_w - rise_w * share, np.array([idle_w, rise_w])


def _search(times_s: FloatArray, power_w: FloatArray, busy: BusyTime) -> tuple[float, float]:
    """Return window and delay of the least squares, over a grid of window and age of its middle that closes in."""

    def cost(window_s: float, age_s: float) -> float:
        residual_w = _explain(times_s, power_w, busy, window_s, age_s - window_s / 2)[1]
        return float(residual_w @ residual_w)

    windows_s = np.geomspace(_MIN_WINDOW_S, _MAX_WINDOW_S, 60)
    ages_s = np.linspace(0, _MAX_DELAY_S + _MAX_WINDOW_S / 2, 176)
    ratio, step_s = float(windows_s[1] / windows_s[0]), float(ages_s[1])
    while True:
        inside = [(w, a) for w in windows_s for a in ages_s if 0 <= a - w / 2 <= _MAX_DELAY_S]
        # a delay of 0 is a choice for each window, also between the ages of the grid
        _, window_s, age_s = min((cost(w, a), w, a) for w, a in (*inside, *((w, w / 2) for w in windows_s)))
        if step_s < _FINE_S and (ratio - 1) * window_s < _FINE_S:
            return float(window_s), float(age_s - window_s / 2)
        windows_s = np.clip(window_s * ratio ** np.linspace(-1.5, 1.5, 13), _MIN_WINDOW_S, _MAX_WINDOW_S)
        ages_s = age_s + step_s * np.linspace(-1.5, 1.5, 13)
        ratio, step_s = ratio**0.25, step_s / 4


def _half_widths(
    updates: Updates, busy: BusyTime, window_s: float, delay_s: float, residual_w: FloatArray
) -> tuple[float, float]:
    """Return the 95% half-widths of window and delay (s): from curvature, and never below the blur of the times."""
    step_s = max(updates.blur_s, 0.02 * window_s)
    arguments = (updates.times_s, updates.power_w, busy)
    slopes = []
    for shift in ((step_s, 0.0), (0.0, step_s)):
        up = _explain(*arguments, window_s + shift[0], delay_s + shift[1])[1]
        slopes.append((up - residual_w) / step_s)
    jacobian = np.stack(slopes, axis=1)
    noise = float(residual_w @ residual_w) / max(1, residual_w.size - 4)
    errors_s = 2 * np.sqrt(np.diag(np.linalg.pinv(jacobian.T @ jacobian)) * noise)
    return math.hypot(float(errors_s[0]), updates.blur_s), math.hypot(float(errors_s[1]), updates.blur_s)


def _unknown(reason: str) -> Response:
    return Response(Fit(None, None, reason), Fit(None, None, reason))
