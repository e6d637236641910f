"""Estimates as cells of tables: the number, and its interval in small where it says more than the number."""

from __future__ import annotations

from markupsafe import Markup

from harness.analysis.stats import Estimate
from harness.report.page import numbers as n
from harness.report.page.blocks import Cell


def estimate_cell(estimate: Estimate, unit: str, source: str) -> Cell:
    """Return an estimate in `unit` (``%`` for shares, empty for ratios and counts) with its interval in small.

    An interval of no width is said in words, since its ends are the number itself.
    """
    interval = estimate.interval
    if estimate.value is not None and interval is not None and interval.low == interval.high:
        estimate = Estimate(value=estimate.value, interval=None, n=estimate.n, reason="no variation")
        interval = None
    if unit:
        return n.estimate(estimate, unit, source)
    shown = n.digits(estimate.value, source, estimate.reason)
    if estimate.value is None:
        return shown
    if interval is None:
        return Markup('{} <small class="why">{}</small>').format(shown, estimate.reason or "no interval")
    return Markup('{} <small class="why">{} to {}</small> <small class="why how">{:.0f}%, {}</small>').format(
        shown,
        n.digits(interval.low, source),
        n.digits(interval.high, source),
        100 * interval.level,
        interval.method,
    )
