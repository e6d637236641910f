"""The small scale in a verdict card: where the ratio and its interval stand against the claimed factor."""

from __future__ import annotations

import math

from markupsafe import Markup

_WIDTH, _LEFT, _RIGHT, _Y = 320.0, 8.0, 312.0, 30.0


def verdict_scale(
    factor: float, estimate: float | None, low: float | None, high: float | None, *, modelled: bool, above: bool = False
) -> Markup | None:
    """Return a log scale of candidate over baseline; the claimed zone (up to `factor`, or `above` it) is shaded.

    `low` and `high` bound the interval; a modelled ratio is drawn hollow and dashed.
    """
    if estimate is None or estimate <= 0 or factor <= 0 or not math.isfinite(estimate):
        return None
    known = [v for v in (estimate, low, high, factor, 1.0) if v is not None and v > 0]
    left, right = math.log(min(known) / 1.8), math.log(max(known) * 1.8)

    def x(value: float) -> str:
        share = (math.log(max(value, math.exp(left))) - left) / (right - left)
        return f"{_LEFT + share * (_RIGHT - _LEFT):.1f}"

    bound = "at least" if above else "at most"
    words = f"ratio {estimate:.3g}, claimed {bound} {factor:.3g}" + (", modelled" if modelled else "")
    begin, end = (float(x(factor)), _RIGHT) if above else (_LEFT, float(x(factor)))
    dash = ' stroke-dasharray="4 3"' if modelled else ""
    parts = [
        f'<svg class="scale" viewBox="0 0 {_WIDTH:.0f} 62" role="img" aria-label="{words}"><title>{words}</title>',
        f'<rect x="{begin:.1f}" y="{_Y - 9}" width="{end - begin:.1f}" height="18" fill="var(--zone)"/>',
        f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{_Y}" y2="{_Y}" stroke="var(--rule)" stroke-width="1.5"/>',
    ]
    for value, label in ((factor, f"claim {factor:.3g}"), (1.0, "equal")):
        parts.append(
            f'<line x1="{x(value)}" x2="{x(value)}" y1="{_Y - 9}" y2="{_Y + 9}" '
            'stroke="var(--muted)" stroke-width="1.5"/>'
        )
        parts.append(f'<text x="{x(value)}" y="{_Y + 26}" text-anchor="middle">{label}</text>')
    if low is not None and high is not None and low > 0:
        parts.append(
            f'<line x1="{x(low)}" x2="{x(high)}" y1="{_Y}" y2="{_Y}" stroke="var(--ink)" stroke-width="5"{dash}/>'
        )
    fill = "var(--card)" if modelled else "var(--ink)"
    parts.append(f'<circle cx="{x(estimate)}" cy="{_Y}" r="6.5" fill="{fill}" stroke="var(--ink)" stroke-width="2"/>')
    parts.append(f'<text class="here" x="{x(estimate)}" y="{_Y - 14}" text-anchor="middle">{estimate:.3g}</text></svg>')
    return Markup("".join(parts))  # noqa: S704 - made of numbers only
