"""What a law says about a budget before it is run: the compute-optimal size, its tokens and its loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.analysis.laws.fit import LawFit
from harness.analysis.laws.forms import FLOPS_PER_PARAM_TOKEN, LOSS_OF_COMPUTE, find_optimum
from harness.analysis.laws.intervals import Quantity, estimate_quantity
from harness.analysis.laws.objective import Array

# A budget that exceeds the largest one only by rounding is not beyond it.
BUDGET_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPrediction:
    """The best that a family can do with `flops`; `params` and `tokens` are ``None`` for L(C).

    `extrapolated` when the budget lies beyond those in the data; `outside` names what does besides: the optimum's
    params or tokens. The interval of `loss` is that of the law's curve: a run's own noise comes on top of it.
    """

    flops: float
    params: Quantity | None
    tokens: Quantity | None
    loss: Quantity
    extrapolated: bool
    outside: tuple[str, ...]
    smallest_budget: float
    largest_budget: float
    convention: str


def predict_at_budget(fit: LawFit, budget: float) -> BudgetPrediction:
    """Predict the compute-optimal run of `fit` at `budget` FLOPs (in the unit of the points' own FLOPs)."""
    smallest, largest = float(fit.points.budgets.min()), float(fit.points.budgets.max())
    per_token = fit.points.flops_per_param_token
    with np.errstate(all="ignore"):
        best = find_optimum(fit.form, fit.vector[None], budget, per_token)
        draws = find_optimum(fit.form, fit.draws, budget, per_token)

    def quantity(values: Array | None, drawn: Array | None) -> Quantity | None:
        if values is None or drawn is None:
            return None
        return estimate_quantity(float(values[0]), drawn, fit.sampling)

    return BudgetPrediction(
        flops=budget,
        params=quantity(best.params, draws.params),
        tokens=quantity(best.tokens, draws.tokens),
        loss=estimate_quantity(float(best.loss[0]), draws.loss, fit.sampling),
        extrapolated=not smallest / (1 + BUDGET_TOLERANCE) <= budget <= largest * (1 + BUDGET_TOLERANCE),
        outside=tuple(
            name
            for name, values in (("params", best.params), ("tokens", best.tokens))
            if values is not None and _lies_outside(float(values[0]), fit.points.column(name))
        ),
        smallest_budget=smallest,
        largest_budget=largest,
        convention=_describe_convention(fit),
    )


def _lies_outside(value: float, column: Array) -> bool:
    return not float(column.min()) <= value <= float(column.max())


def _describe_convention(fit: LawFit) -> str:
    points = fit.points
    if fit.form is LOSS_OF_COMPUTE:
        return "the loss at C as the points' own FLOPs count it"
    if points.flops is None:
        return f"C = {FLOPS_PER_PARAM_TOKEN:g} N D"
    ratio = points.flops / (points.column("params") * points.column("tokens"))
    if np.allclose(ratio, FLOPS_PER_PARAM_TOKEN, rtol=1e-6):
        return f"C = {FLOPS_PER_PARAM_TOKEN:g} N D, as in the points"
    text = f"C = k N D with k = {points.flops_per_param_token:.4g}, the geometric mean of C / (N D) over the points"
    if ratio.max() > 1.02 * ratio.min():
        text += f" ({ratio.min():.4g} to {ratio.max():.4g}: the optimum holds only as far as k is constant)"
    return text
