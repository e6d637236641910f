"""Energy of one task and of one correct answer, stacked by device, gross beside net; what is modelled is hatched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from harness.analysis.device_joules import ArmDevices, DeviceJoules, TaskJoules
from harness.analysis.stats import Estimate
from harness.core.readings import Domain
from harness.core.units import format_si
from harness.report.page.numbers import energy_word, warning_word
from harness.report.plots import style

DOMAIN_WORDS: dict[Domain, str] = {"gpu": "GPU", "cpu": "CPU", "dram": "memory", "system": "whole system"}
_SHADES: dict[Domain, float] = {"gpu": 0.85, "cpu": 0.85, "dram": 0.4, "system": 0.6}
_HATCHES = {"measured": "", "modelled": "////", "simulated": "xxxx"}
_PANELS = (("gross", "net", "per task"), ("gross_per_correct", "net_per_correct", "per correct answer"))


@dataclass(frozen=True, slots=True)
class _Lane:
    """One bar: its label, its arm, the parts that it stacks, the figure of a part, and the estimate at its end."""

    label: str
    arm: ArmDevices
    parts: tuple[DeviceJoules, ...]
    field: str
    total: Estimate
    total_row: int
    beside: bool = False


def list_rows(arms: Iterable[ArmDevices]) -> list[tuple[ArmDevices, DeviceJoules | None]]:
    """Return the rows of the figure's table: each arm's parts, then its total (``None``), then what stands beside."""
    rows: list[tuple[ArmDevices, DeviceJoules | None]] = []
    for arm in arms:
        rows += [(arm, part) for part in arm.parts if part.inside]
        rows.append((arm, None))
        rows += [(arm, part) for part in arm.parts if not part.inside]
    return rows


def name_device(part: DeviceJoules, arm: ArmDevices) -> str:
    """Return what a device is called on the page: with its index where its domain has several."""
    several = sum(other.domain == part.domain for other in arm.parts) > 1
    return f"{DOMAIN_WORDS[part.domain]} {part.device_index}" if several else DOMAIN_WORDS[part.domain]


def energy_per_task(arms: Sequence[ArmDevices], baseline: str) -> Markup | None:
    """Return bars of joules stacked by device for each arm, or ``None`` where no arm has an energy."""
    known = [arm for arm in arms if arm.total.gross.value is not None]
    if not known:
        return None
    word = warning_word(
        energy_word(part.grade, part.simulated) for arm in known for part in arm.parts if part.inside
    ) or warning_word(energy_word(arm.grade, arm.simulated) for arm in known)
    what = f"{word} energy per task" if word else "Energy per task"
    rows = list_rows(arms)
    panels = [
        (f"Joules {told}", lanes)
        for gross, net, told in _PANELS
        if (lanes := [lane for arm in known for lane in _list_lanes(arm, gross, net, rows)])
    ]

    most = max(len(lanes) for _, lanes in panels)

    def paint(figure: Figure) -> None:
        narrow = figure.get_figwidth() < style.NARROW_INCHES
        shape = (len(panels), 1) if narrow else (1, len(panels))
        found = figure.subplots(*shape, squeeze=False, sharey=not narrow)
        for axes, (told, lanes) in zip(found.flat, panels, strict=True):
            _paint_panel(axes, lanes, rows, baseline)
            axes.set_xlabel(told)
        found.flat[0].set_title(what)
        figure.legend(handles=_list_handles(known), loc="outside lower left", ncols=1 if narrow else 4)

    return style.draw(
        "task-energy",
        what,
        _describe(known, word),
        paint,
        wide=(8.4, 1.9 + 0.34 * most),
        narrow=(4.2, 1.1 + len(panels) * (0.9 + 0.32 * most)),
    )


def _list_lanes(
    arm: ArmDevices, gross: str, net: str, rows: Sequence[tuple[ArmDevices, DeviceJoules | None]]
) -> list[_Lane]:
    """Return an arm's bars: gross, net, and one for each device beside the boundary; none without a gross energy."""
    if getattr(arm.total, gross).value is None:
        return []
    inside = tuple(part for part in arm.parts if part.inside)
    total = rows.index((arm, None))
    name = f"{style.clip(arm.arm, 12)} {style.clip(arm.size, 8)}"
    lanes = [
        _Lane(f"{name}, gross", arm, inside, gross, getattr(arm.total, gross), total),
        _Lane("net", arm, inside, net, getattr(arm.total, net), total),
    ]
    for part in arm.parts:
        if not part.inside and getattr(part.joules, gross).value is not None:
            estimate = getattr(part.joules, gross)
            row = rows.index((arm, part))
            lanes.append(_Lane(f"beside: {name_device(part, arm)}", arm, (part,), gross, estimate, row, beside=True))
    return lanes


def _paint_panel(
    axes: Axes,
    lanes: Sequence[_Lane],
    rows: Sequence[tuple[ArmDevices, DeviceJoules | None]],
    baseline: str,
) -> None:
    axes.grid(axis="y", visible=False)
    ends = [0.0]
    for position, lane in enumerate(lanes):
        if lane.total.value is None:
            axes.annotate("unknown", (0, position), xytext=(6, 0), textcoords="offset points", va="center")
            continue
        colour = style.BASELINE if lane.arm.arm == baseline else style.CANDIDATE
        _stack(axes, position, lane, rows, colour)
        high = lane.total.value
        if lane.total.interval is not None:
            low, high = lane.total.interval.low, max(high, lane.total.interval.high)
            axes.errorbar(
                [lane.total.value],
                [position],
                xerr=[[max(0.0, lane.total.value - low)], [high - lane.total.value]],
                color=style.INK,
                linestyle="none",
                capsize=3,
                linewidth=1.2,
            )
            ends.append(min(0.0, low))
        ends.append(high)
        axes.annotate(
            format_si(lane.total.value, "J"),
            (max(high, 0.0), position),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            weight="bold",
        )
    room = 0.34 if style.is_narrow(axes) else 0.28
    axes.set_xlim(min(ends) * 1.05, (max(ends) or 1.0) * (1 + room))
    axes.set_ylim(len(lanes) - 0.4, -0.6)
    axes.set_yticks(range(len(lanes)), [lane.label for lane in lanes])
    axes.xaxis.set_major_locator(MaxNLocator(4))
    style.si_axis(axes.xaxis, "J")


def _stack(
    axes: Axes, position: int, lane: _Lane, rows: Sequence[tuple[ArmDevices, DeviceJoules | None]], colour: str
) -> None:
    """Draw the parts of one bar from 0 on, negative ones to the left; one plain bar where a part is unknown."""
    height = 0.28 if lane.beside else 0.62
    values = [getattr(part.joules, lane.field).value for part in lane.parts]
    if not values or any(value is None for value in values):
        bar = axes.barh(position, lane.total.value or 0.0, height=height, facecolor=style.GRID, edgecolor=style.INK)
        style.mark_rows(bar.patches[0], [lane.total_row])
        return
    right = left = 0.0
    for part, value in zip(lane.parts, values, strict=True):
        start = right if value >= 0 else left
        hatch = _HATCHES.get(energy_word(part.grade, part.simulated), "")
        looks: tuple[dict[str, Any], ...] = (
            {"facecolor": colour, "alpha": _SHADES[part.domain], "linewidth": 0.0},
            {"facecolor": "none", "hatch": hatch, "edgecolor": style.INK, "linewidth": 0.7},
        )
        for look in looks:
            bar = axes.barh(position, value, left=start, height=height, **look)
            style.mark_rows(bar.patches[0], [rows.index((lane.arm, part))])
        right, left = (right + value, left) if value >= 0 else (right, left + value)


def _list_handles(arms: Sequence[ArmDevices]) -> list[Patch]:
    """Return one entry of the legend for each domain and kind of energy."""
    found = dict.fromkeys(
        (part.domain, energy_word(part.grade, part.simulated)) for arm in arms for part in arm.parts
    )  # in the order of the bars, each once
    return [
        Patch(
            facecolor=style.MUTED,
            alpha=_SHADES[domain],
            hatch=_HATCHES.get(word, ""),
            edgecolor=style.INK,
            label=f"{DOMAIN_WORDS[domain]}, {word}",
        )
        for domain, word in found
    ]


def _describe(arms: Sequence[ArmDevices], word: str) -> str:
    """Return the figure in words and numbers."""

    def tell(joules: Callable[[TaskJoules], Estimate], arm: ArmDevices) -> str:
        parts = ", ".join(
            f"{name_device(part, arm)} {format_si(joules(part.joules).value, 'J')}" for part in arm.parts if part.inside
        )
        return f"{format_si(joules(arm.total).value, 'J')}" + (f" ({parts})" if parts else "")

    lines = []
    for arm in arms:
        line = f"{arm.arm} size {arm.size}: {tell(lambda joules: joules.gross, arm)} per task gross"
        if arm.total.net.value is not None:
            line += f", {format_si(arm.total.net.value, 'J')} net of idle"
        if arm.total.gross_per_correct.value is not None:
            line += f", {format_si(arm.total.gross_per_correct.value, 'J')} per correct answer"
        lines.append(line)
    return "; ".join(lines) + "." + (f" {word.capitalize()}, not measured." if word else "")
