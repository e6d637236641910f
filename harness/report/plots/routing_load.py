"""Load of the routed experts of one run, layer by layer, against an even spread."""

from __future__ import annotations

from markupsafe import Markup
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from harness.core.routing import RoutingStats
from harness.core.units import format_digits
from harness.report.page.numbers import TIMES
from harness.report.plots import style


def routing_load(routing: RoutingStats, run_id: str) -> Markup | None:
    """Return the heatmap of expert load over mean load (1 is even), experts across and layers down."""
    experts = max((len(row) for row in routing.load), default=0)
    if experts == 0:
        return None
    relative = [[share * len(row) for share in row] + [float("nan")] * (experts - len(row)) for row in routing.load]
    largest = max(max(share * len(row) for share in row) for row in routing.load if row)
    top = max(2.0, largest)
    described = (
        f"{len(routing.load)} expert layers of {experts} experts in {run_id}; the busiest expert carries "
        f"{format_digits(largest)} times the mean load; {routing.num_dead_experts} dead experts."
    )

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.grid(visible=False)
        mesh = axes.pcolormesh(
            relative, cmap=ListedColormap(list(style.HEAT)), vmin=0, vmax=top, edgecolors=style.PAPER, linewidth=1.2
        )
        axes.invert_yaxis()
        axes.set_yticks([i + 0.5 for i in range(len(relative))], [str(i + 1) for i in range(len(relative))])
        step = max(1, experts // (8 if style.is_narrow(axes) else 16))
        axes.set_xticks([i + 0.5 for i in range(0, experts, step)], [str(i) for i in range(0, experts, step)])
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
