"""The overhead factor that a candidate's windows imply: what the projection calls ``expert_overhead``, solved for."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.analysis.inference.seeds import average_seeds
from harness.analysis.roofline.observations import Observations
from harness.analysis.stats import Estimate, estimate_mean, floor_at_zero

METHOD = "t over seeds"
# J per step, per byte and per FLOP
Constants = tuple[float, float, float]
# Halvings after which a bracket of doubles is no wider than its ends are exact.
_HALVINGS = 60


def estimate_overhead(own: Observations, constants: Constants) -> Estimate:
    """Return the factor on the energy of bytes and FLOPs that makes the geometric mean of measured over predicted 1.

    It stands where the projection has ``expert_overhead``: the cost of the step is not multiplied. Power limits are
    left out. Unknown where some run's step alone costs more than was measured, or where bytes and FLOPs cost nothing.
    """
    if constants[1] == constants[2] == 0:
        return _unknown("the constants charge nothing for bytes or FLOPs")
    runs, run = np.unique(own.run, return_inverse=True)
    factors = _solve(own, run, len(runs), constants)
    below = int(np.isnan(factors).sum())
    if below:
        return _unknown(f"in {below} of {len(runs)} runs a step took less than its constant part alone")
    of_runs = [own.runs[place] for place in runs]
    known = [(one.run_id, one.seed, factor) for one, factor in zip(of_runs, factors.tolist(), strict=True)]
    return floor_at_zero(estimate_mean(average_seeds(known), method=METHOD))


def _solve(own: Observations, run: Any, num_runs: int, constants: Constants) -> Any:
    """Return the factor of each run, NaN where not even 0 is low enough: all runs are halved towards at once."""
    weights = _weigh(own, run, num_runs)
    work = constants[1] * own.num_bytes + constants[2] * own.flops
    target = np.bincount(run, weights=weights * np.log(own.joules), minlength=num_runs)

    def misfit(factors: Any) -> Any:
        logs = np.log(constants[0] + factors[run] * work)
        return target - np.bincount(run, weights=weights * logs, minlength=num_runs)

    solvable = np.ones(num_runs, dtype=bool) if constants[0] == 0 else misfit(np.zeros(num_runs)) > 0
    low, high = np.full(num_runs, 0.5), np.full(num_runs, 2.0)
    while (short := solvable & (misfit(high) > 0)).any():
        high[short] *= 2
    while (over := solvable & (misfit(low) < 0)).any():
        low[over] /= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = misfit(middle) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(solvable, (low + high) / 2, np.nan)


def _weigh(own: Observations, run: Any, num_runs: int) -> Any:
    """Return weights that add up to 1 in each run, each of its sizes and regimes weighing the same."""
    cells, cell = own.cells()
    pairs, pair = np.unique(run * len(cells) + cell, return_inverse=True)
    num_cells = np.bincount(pairs // len(cells), minlength=num_runs)
    return 1 / np.bincount(pair)[pair] / num_cells[run]


def _unknown(reason: str) -> Estimate:
    return Estimate(value=None, interval=None, n=0, reason=reason)
