"""Power over the time of one run with its measured windows shaded."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from harness.core.units import format_digits
from harness.report.plots import style

_COLOURS = (style.THIRD, style.FOURTH, style.INK, style.MUTED)
_MAX_LABELS = 12
MAX_POINTS = 1200
MAX_WINDOWS = 60
SEVERAL = "many short windows"
_SHADE_COLUMNS = 600


def clean_series(trace: dict[str, Any]) -> list[tuple[str, list[float], list[float]]]:
    """Return (label, times in s, power in W) of each readable series; points that are no numbers are left out."""
    found = []
    for series in _dicts(trace.get("series")):
        times, power = series.get("times_s"), series.get("power_w")
        if not isinstance(times, list) or not isinstance(power, list):
            continue
        pairs = [(float(t), float(p)) for t, p in zip(times, power, strict=False) if _is_number(t) and _is_number(p)]
        if pairs:
            label = (
                f"{series.get('domain', 'unknown')} {series.get('device_index', '')} "
                f"({series.get('sensor', 'unknown')})"
            )
            found.append((label, [t for t, _ in pairs], [p for _, p in pairs]))
    return found


def clean_windows(trace: dict[str, Any]) -> list[tuple[str, int, float, float]]:
    """Return (phase, repetition, begin in s, end in s) of each readable window in order of time."""
    found = [
        (str(w.get("phase", "unknown")), int(w.get("repetition", 0) or 0), float(w["begin_s"]), float(w["end_s"]))
        for w in _dicts(trace.get("windows"))
        if _is_number(w.get("begin_s")) and _is_number(w.get("end_s"))
    ]
    return sorted(found, key=lambda window: window[2:])


def simplify(times: Sequence[float], power: Sequence[float], limit: int = MAX_POINTS) -> list[tuple[float, float]]:
    """Return at most `limit` points in order of time: lowest and highest of each column of equal width.

    Peaks and troughs are kept to the last watt; what lies between them inside a column is left out.
    """
    points = sorted(zip(times, power, strict=True))
    if len(points) <= limit:
        return points
    columns = (limit - 2) // 2
    begin, span = points[0][0], points[-1][0] - points[0][0] or 1.0
    found: list[tuple[float, float]] = []
    for _, column in itertools.groupby(
        points, lambda point: min(columns - 1, int((point[0] - begin) / span * columns))
    ):
        members = list(column)
        low = min(range(len(members)), key=lambda i: members[i][1])
        high = max(range(len(members)), key=lambda i: members[i][1])
        found += [members[i] for i in sorted({low, high})]
    return sorted({points[0], *found, points[-1]})


def merge_windows(windows: Sequence[tuple[str, int, float, float]], span: float) -> list[tuple[str, int, float, float]]:
    """Return (phase, first repetition, begin, end) to shade: where there are many, short neighbours become one."""
    found: list[tuple[str, int, float, float]] = []
    column = span / _SHADE_COLUMNS if len(windows) > MAX_WINDOWS else 0.0
    for phase, repetition, begin, end in windows:
        if found and end - begin < 4 * column and begin - found[-1][3] <= column:
            last = found.pop()
            found.append((phase if last[0] == phase else SEVERAL, last[1], last[2], max(end, last[3])))
        else:
            found.append((phase, repetition, begin, end))
    return found


def power_trace(
    trace: dict[str, Any],
    run_id: str,
    *,
    word: str,
    where: str = "one run",
    rows: Mapping[tuple[str, float], int] | None = None,
) -> Markup | None:
    """Return power (W) over time (s) of `run_id`, or ``None`` when the trace holds no sample.

    `rows` tells the row of the figure's table for a window, by its phase and its begin in seconds to the millisecond.
    """
    series, windows = clean_series(trace), clean_windows(trace)
    if not series:
        return None
    series = [(label, *_columns(simplify(times, power, MAX_POINTS // len(series)))) for label, times, power in series]
    what = f"{word} power" if word else "Power"
    peak = max(max(power) for _, _, power in series)
    end = max([max(times) for _, times, _ in series] + [window[3] for window in windows])
    described = (
        f"{what} of {run_id} over {format_digits(end)} s, at most {format_digits(peak)} W; "
        f"{len(windows)} measured windows shaded."
    )

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_xlim(min(0.0, *(min(times) for _, times, _ in series)), end * 1.01 or 1)
        axes.set_ylim(0, peak * 1.5 or 1)
        last_label = -math.inf
        shaded = merge_windows(windows, end)
        for position, (phase, _, begin, stop) in enumerate(shaded):
            shade = axes.axvspan(begin, stop, facecolor=style.MUTED, alpha=0.13 if position % 2 else 0.22, linewidth=0)
            if rows and (row := rows.get((phase, round(begin, 3)))) is not None:
                style.mark_rows(shade, [row])
            middle = (begin + stop) / 2
            if len(shaded) <= _MAX_LABELS or middle - last_label > 0.07 * end:
                axes.annotate(
                    style.clip(phase.replace("_", " ")),
                    (middle, 0.98),
                    xycoords=("data", "axes fraction"),
                    rotation=90,
                    ha="center",
                    va="top",
                    fontsize=8.5,
                )
                last_label = middle
        for position, (label, times, power) in enumerate(series):
            axes.plot(
                times,
                power,
                color=_COLOURS[position % len(_COLOURS)],
                linestyle=style.DASHES[position % len(style.DASHES)],
                linewidth=1.3,
                label=style.clip(label.lstrip("_"), 32),
            )
        axes.set_title(f"{what} over {where}")
        axes.set_xlabel("Seconds since the start of the measurement")
        axes.set_ylabel("Watts" + (f" ({word.lower()})" if word else ""))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=1 if style.is_narrow(axes) else 3)

    return style.draw("power", f"{what} over {where}", described, paint, wide=(8.4, 3.8), narrow=(4.2, 4.2))


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [time for time, _ in points], [power for _, power in points]


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
