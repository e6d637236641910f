"""The overhead factor that a candidate's windows imply: what the projection calls ``expert_overhead``, solved for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import optimize  # type: ignore[import-untyped, unused-ignore]

from harness.analysis.inference.seeds import average_seeds
from harness.analysis.roofline.results import Observation
from harness.analysis.stats import Estimate, estimate_mean, floor_at_zero

METHOD = "t over seeds"
# J per step, per byte and per FLOP
Constants = tuple[float, float, float]


def estimate_overhead(own: Sequence[Observation], constants: Constants) -> Estimate:
    """Return the factor on the energy of bytes and FLOPs that makes the geometric mean of measured over predicted 1.

    It stands where the projection has ``expert_overhead``: the cost of the step is not multiplied. Power limits are
    left out. Unknown where some run's step alone costs more than was measured, or where bytes and FLOPs cost nothing.
    """
    if constants[1] == constants[2] == 0:
        return _unknown("the constants charge nothing for bytes or FLOPs")
    runs: dict[str, list[Observation]] = {}
    for one in own:
        runs.setdefault(one.run_id, []).append(one)
    found = [(run_id, rows[0].seed, _solve_overhead(rows, constants)) for run_id, rows in sorted(runs.items())]
    known = [(run_id, seed, factor) for run_id, seed, factor in found if factor is not None]
    if len(known) < len(found):
        below = len(found) - len(known)
        return _unknown(f"in {below} of {len(found)} runs a step took less than its constant part alone")
    return floor_at_zero(estimate_mean(average_seeds(known), method=METHOD))


def _solve_overhead(rows: Sequence[Observation], constants: Constants) -> float | None:
    """Return the factor for one run, ``None`` where not even 0 is low enough."""
    groups = Counter((one.size, one.regime) for one in rows)
    weights = np.array([1 / groups[one.size, one.regime] for one in rows]) / len(groups)
    work = np.array([constants[1] * one.num_bytes + constants[2] * one.flops for one in rows])
    target = float(weights @ np.log([one.joules for one in rows]))

    def misfit(factor: float) -> float:
        return target - float(weights @ np.log(constants[0] + factor * work))

    if constants[0] > 0 and misfit(0.0) <= 0:
        return None
    low, high = 0.5, 2.0
    while misfit(high) > 0:
        high *= 2
    while misfit(low) < 0:
        low /= 2
    return float(optimize.brentq(misfit, low, high, xtol=1e-12))


def _unknown(reason: str) -> Estimate:
    return Estimate(value=None, interval=None, n=0, reason=reason)
