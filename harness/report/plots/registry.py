"""All figures of the page by name: a new one is a module of this package and a line here."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from harness.core.registry import Registry

PLOTS = Registry(
    "plot",
    {
        "headline_ratios": "harness.report.plots.headline_ratios:headline_ratios",
        "loss_against_flops": "harness.report.plots.frontier:loss_against_flops",
        "loss_against_joules": "harness.report.plots.frontier:loss_against_joules",
        "multiplier_over_loss": "harness.report.plots.multiplier_curve:multiplier_over_loss",
        "energy_per_task": "harness.report.plots.task_energy:energy_per_task",
        "power_trace": "harness.report.plots.power_trace:power_trace",
        "routing_load": "harness.report.plots.routing_load:routing_load",
        "regime_energy": "harness.report.plots.regime_energy:regime_energy",
        "step_energy": "harness.report.plots.step_energy:step_energy",
        "kind_accuracy": "harness.report.plots.kind_accuracy:kind_accuracy",
        "kind_experts": "harness.report.plots.kind_experts:kind_experts",
        "sensitivity": "harness.report.plots.sensitivity:sensitivity",
        "law_fit": "harness.report.plots.law_fit:law_fit",
        "law_residuals": "harness.report.plots.law_residuals:law_residuals",
        "published_ratios": "harness.report.plots.published_ratios:published_ratios",
        "ratio_forest": "harness.report.plots.forest:ratio_forest",
        "expert_coverage": "harness.report.plots.expert_coverage:expert_coverage",
    },
)


def draw_plot(name: str, *inputs: Any, **options: Any) -> Markup | None:
    """Return the figure `name` drawn from `inputs`, or ``None`` where they hold nothing to draw."""
    figure: Markup | None = PLOTS.get(name)(*inputs, **options)
    return figure
