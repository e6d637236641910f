"""Numbers as markup: each carries its exact value and where it came from, and the unknown says why.

``data-value`` is ``repr`` of the number, ``data-source`` the run ids or the formula behind it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from harness.analysis.results import Interval, Multiplier
from harness.analysis.stats import Estimate
from harness.core.readings import Grade
from harness.core.units import format_digits, format_duration, format_si
from harness.report.page.sources import cite_runs

_MAX_LISTED = 12
TIMES = "\N{MULTIPLICATION SIGN}"
GRADE_WORDS: dict[str, str] = {
    "A": "hardware energy counter",
    "B": "sampled hardware power",
    "C": "modelled from load and nameplate power",
    "D": "assumed",
}


def num(value: float | None, text: str, source: str, reason: str | None = None) -> Markup:
    """Return `text` as the shown form of `value`; ``None`` or a non-finite value shows as unknown with `reason`."""
    if value is None or not math.isfinite(value):
        return unknown(reason, source)
    shown = f'<span data-value="{value!r}" data-source="{escape(source)}">{escape(text)}</span>'
    return Markup(shown)  # noqa: S704 - each part is escaped or a number; `Markup.format` takes four times as long


def unknown(reason: str | None, source: str = "") -> Markup:
    """Return the word unknown and its reason."""
    return Markup(
        '<span class="unknown" data-value="" data-source="{}">unknown</span> <small class="why">{}</small>'
    ).format(source, reason or "not recorded")


def si(value: float | None, unit: str, source: str, reason: str | None = None) -> Markup:
    """Return `value` in `unit` with an SI prefix."""
    return num(value, format_si(value, unit), source, reason)


def digits(value: float | None, source: str, reason: str | None = None, places: int = 3) -> Markup:
    """Return `value` with `places` significant digits."""
    return num(value, format_digits(value, places), source, reason)


def fixed(value: float | None, places: int, source: str, reason: str | None = None) -> Markup:
    """Return `value` with `places` decimals."""
    return num(value, "" if value is None else f"{value:.{places}f}", source, reason)


def count(value: int | None, source: str, reason: str | None = None) -> Markup:
    """Return an integer with thin spaces between its thousands."""
    return num(value, "" if value is None else f"{value:,}".replace(",", "\u202f"), source, reason)


def percent(value: float | None, source: str, reason: str | None = None) -> Markup:
    """Return the share `value` (0 to 1) as per cent; ``data-value`` keeps the share."""
    return num(value, "" if value is None else f"{100 * value:.1f}%", source, reason)


def seconds(value: float | None, source: str, reason: str | None = None) -> Markup:
    """Return a duration in seconds the way people read it."""
    return num(value, format_duration(value), source, reason)


def interval(value: Interval | None, source: str, suffix: str = TIMES) -> Markup:
    """Return ``low to high (95%, method)`` or that there is no interval."""
    if value is None:
        return Markup('<span class="why">no interval</span>')
    return Markup('{} to {} <small class="why how">{:.0f}%, {}</small>').format(
        num(value.low, format_digits(value.low) + suffix, source),
        num(value.high, format_digits(value.high) + suffix, source),
        100 * value.level,
        value.method,
    )


def estimate(value: Estimate, unit: str, source: str) -> Markup:
    """Return an estimate in `unit` (``%`` for shares) with the ends of its interval, or why it has none, in small."""
    shown = percent if unit == "%" else lambda number, origin, why=None: si(number, unit, origin, why)
    number = shown(value.value, source, value.reason)
    if value.value is None:
        return number
    if value.interval is None:
        return Markup('{} <small class="why">{}</small>').format(number, value.reason or "no interval")
    ends = (shown(value.interval.low, source), shown(value.interval.high, source))
    return Markup('{} <small class="why">{} to {}</small> <small class="why how">{:.0f}%, {}</small>').format(
        number, *ends, 100 * value.interval.level, value.interval.method
    )


def multiplier(value: Multiplier) -> Markup:
    """Return a multiplier, its lower bound as ``at least``, or unknown with the reason."""
    source = runs(value.run_ids)
    if value.estimate is not None:
        return num(value.estimate, f"{format_digits(value.estimate)}{TIMES}", source)
    if value.lower_bound is not None:
        shown = num(value.lower_bound, f"{format_digits(value.lower_bound)}{TIMES}", source)
        return Markup('at least {} <small class="why">{}</small>').format(shown, value.reason or "a lower bound")
    return unknown(value.reason, source)


def runs(run_ids: Iterable[str]) -> str:
    """Return the source line of run ids; on a page a token of its book (``§3``), which composes like any text."""
    return cite_runs(run_ids)


def is_modelled(grade: Grade | None) -> bool:
    """Return whether energy of this grade is a model's answer and not a measurement."""
    return grade in ("C", "D")


def energy_word(grade: Grade | None, simulated: bool = False) -> str:
    """Return what kind of energy this is: simulated, modelled, measured or unknown."""
    if simulated:
        return "simulated"
    if grade is None:
        return "unknown"
    return "modelled" if is_modelled(grade) else "measured"


def warning_word(kinds: Iterable[str]) -> str:
    """Return the loudest warning among kinds of energy, in capitals, or an empty string."""
    found = set(kinds)
    return next((word.upper() for word in ("simulated", "modelled") if word in found), "")


def grade_badge(grade: Grade | None, simulated: bool = False) -> Markup:
    """Return the grade as a badge whose words do not depend on colour."""
    if simulated:
        return Markup('<span class="badge modelled">simulated</span>')
    if grade is None:
        return Markup('<span class="badge">no grade</span>')
    kind = "modelled" if is_modelled(grade) else "measured"
    return Markup('<span class="badge {}">{} {}</span>').format(kind, grade, kind)


def where(run_ids: Sequence[str]) -> Markup | str:
    """Return the one run id, a fold that lists a few, or of many the count, whose source names them."""
    ids = sorted(set(run_ids))
    if len(ids) == 1:
        return ids[0]
    if len(ids) > _MAX_LISTED:
        return num(len(ids), f"{len(ids)} runs", runs(ids))
    listed = join((Markup("<code>{}</code>").format(run) for run in ids), ", ")
    return Markup("<details><summary>{} runs</summary>{}</details>").format(len(ids), listed)


def counts(patterns: Sequence[str], values: Sequence[int], source: str) -> Markup:
    """Return each value in its pattern (``{} files``), joined by commas."""
    pairs = zip(patterns, values, strict=True)
    return join((escape(text).format(count(value, source)) for text, value in pairs), ", ")


def projected_badge() -> Markup:
    """Return the mark of a number that nobody measured: a projection by a model or beyond what was run."""
    return Markup('<span class="badge modelled">projected</span>')


def join(parts: Iterable[Markup | str], separator: str = " ") -> Markup:
    """Join parts, escaping those that are plain text."""
    return escape(separator).join(parts)
