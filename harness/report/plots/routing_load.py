"""Load of the routed experts of one run, layer by layer, against an even spread."""

from __future__ import annotations

from markupsafe import Markup
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from harness.core.routing import RoutingStats
from harness.core.units import format_digits
from harness.report.page.numbers import TIMES
from harness.report.plots import style
from harness.report.plots.frontier_marks import pick_evenly

MAX_LAYERS, MAX_EXPERTS, MAX_CELLS = 32, 256, 2048


def pick_cells(routing: RoutingStats) -> tuple[tuple[int, ...], tuple[int, ...], str]:
    """Return the layers and experts to draw, evenly chosen where they are many, and a note where any is left out."""
    layers, experts = len(routing.load), max((len(row) for row in routing.load), default=0)
    columns = pick_evenly(range(experts), MAX_EXPERTS)
    rows = pick_evenly(range(layers), min(MAX_LAYERS, max(1, MAX_CELLS // max(1, len(columns)))))
    left = []
    if len(rows) < layers:
        left.append(f"{len(rows)} of {layers} layers")
    if len(columns) < experts:
        left.append(f"{len(columns)} of {experts} experts")
    return rows, columns, f"Drawn: {' and '.join(left)}, evenly chosen." if left else ""


def routing_load(routing: RoutingStats, run_id: str) -> Markup | None:
    """Return the heatmap of expert load over mean load (1 is even), experts across and layers down."""
    experts = max((len(row) for row in routing.load), default=0)
    if experts == 0:
        return None
    layers, columns, note = pick_cells(routing)
    relative = [
        [row[i] * len(row) if i < len(row) else float("nan") for i in columns]
        for row in (routing.load[layer] for layer in layers)
    ]
    fine = len(columns) > 2 * MAX_LAYERS
    largest = max(max(share * len(row) for share in row) for row in routing.load if row)
    top = max(2.0, largest)
    described = (
        f"{len(routing.load)} expert layers of {experts} experts in {run_id}; the busiest expert carries "
        f"{format_digits(largest)} times the mean load; {routing.num_dead_experts} dead experts. {note}"
    ).strip()

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.grid(visible=False)
        mesh = axes.pcolormesh(
            relative,
            cmap=ListedColormap(list(style.HEAT)),
            vmin=0,
            vmax=top,
            edgecolors="none" if fine else style.PAPER,
            linewidth=0 if fine else 1.2,
        )
        axes.invert_yaxis()
        every = max(1, len(layers) // 16)
        named = range(0, len(layers), every)
        axes.set_yticks([i + 0.5 for i in named], [str(layers[i] + 1) for i in named])
        step = max(1, len(columns) // (8 if style.is_narrow(axes) else 16))
        places = range(0, len(columns), step)
        axes.set_xticks([i + 0.5 for i in places], [str(columns[i]) for i in places])
        axes.tick_params(length=0)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.set_title("Load of each expert, mean load = 1")
        axes.set_xlabel("Expert")
        axes.set_ylabel("Expert layer")
        bar = figure.colorbar(mesh, ax=axes, shrink=0.9, pad=0.02)
        bar.outline.set_visible(False)
        style.plain_axis(bar.ax.yaxis, TIMES)

    return style.draw(
        "routing",
        "Load of the routed experts",
        described,
        paint,
        wide=(8.4, min(7.0, 1.5 + 0.42 * len(relative))),
        narrow=(4.2, min(6.0, 1.3 + 0.36 * len(relative))),
    )
