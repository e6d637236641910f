"""Numbers with units as people read them: SI prefixes, sensible digits, and an honest word for the unknown."""

from __future__ import annotations

import math

_PREFIXES = ((1e24, "Y"), (1e21, "Z"), (1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_SMALL_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


def format_si(value: float | None, unit: str, digits: int = 3) -> str:
    """Render `value` (in `unit`) with an SI prefix and `digits` significant digits; ``None`` gives ``"unknown"``."""
    if value is None or not math.isfinite(value):
        return "unknown"
    if value == 0:
        return f"0 {unit}".strip()
    size = abs(value)
    for factor, prefix in (*_PREFIXES, *_SMALL_PREFIXES):
        if size >= factor:
            return f"{format_digits(value / factor, digits)} {prefix}{unit}".strip()
    return f"{value:.{digits - 1}e} {unit}".strip()


def format_digits(value: float | None, digits: int = 3) -> str:
    """Render `value` with `digits` significant digits in plain notation where it stays readable."""
    if value is None or not math.isfinite(value):
        return "unknown"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if not -4 <= exponent <= 6:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - exponent)}f}"


def format_duration(seconds: float | None) -> str:
    """Render a duration in seconds as ``4.2 s``, ``3 min 10 s`` or ``1 h 05 min``."""
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    if seconds < 60:
        return f"{format_digits(seconds, 3)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"
